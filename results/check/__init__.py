"""Sanity checks on results. A file is a check: `find(evidence)` -> one `Finding` after another, nothing where all is well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins

if TYPE_CHECKING:
    import pandas as pd

    from results.check._means import Means
    from results.reading.load import Results

PROBLEM, NOTE = "problem", "note"
MOST = 5  # names that are told one by one


@dataclass(frozen=True)
class Finding:
    """name: of the defect; level: PROBLEM, or NOTE for what a reader must know but may be right as it is."""

    name: str
    level: str
    where: str
    what: str
    why: str
    do: str

    def text(self) -> str:
        return f"{self.level}: {self.name} in {self.where}\n  what: {self.what}\n  why:  {self.why}\n  do:   {self.do}"


@dataclass(frozen=True)
class Evidence:
    """What checks look at. results: None where only tables of means were given.

    provenance, configs: run's path -> the content of its file.
    """

    results: Results | None
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    means: Sequence[Means] = ()
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """`run_scores.of_runs` by each benchmark's own rule."""
        from results.scoring import run_scores

        return run_scores.of_runs(self.results)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs with `method` and `label`, what a run is called in a finding."""
        from results.scoring import run_scores

        runs = self.results.runs
        return runs.assign(method=run_scores.methods(runs), label=runs.study + "/" + runs.run)


def check(roots: Iterable[Path | str]) -> list[Finding]:
    """Everything that is found in the runs at or below the roots and in tables of means (CSV), problems first."""
    return findings(read(roots))


def findings(evidence: Evidence) -> list[Finding]:
    """As `check`, of what has been read."""
    found = []
    for name in plugins.names(__name__):
        found += plugins.load(__name__, name).find(evidence)
    return sorted(found, key=lambda finding: finding.level != PROBLEM)


def read(roots: Iterable[Path | str]) -> Evidence:
    """Load the roots. BadInput as `load.load`, and for a table of means that cannot be one."""
    from harness import rundir
    from results import importers
    from results.check import _means
    from results.reading import load

    roots = list(map(Path, roots))
    means = [root for root in roots if _means.is_table(root)]
    others = [root for root in roots if root not in means]
    if not others:
        return Evidence(None, {}, [_means.read(path) for path in means])
    found = rundir.find_runs(importers.directories(others))
    provenance = {str(run.path.resolve()): run.provenance for run in found}
    configs = {str(run.path.resolve()): run.config for run in found}
    return Evidence(load.read(found), provenance, [_means.read(path) for path in means], configs)


def text(found: Sequence[Finding], roots: Iterable[Path | str]) -> str:
    """For people: every finding, then how many."""
    problems = sum(finding.level == PROBLEM for finding in found)
    counts = f"{problems} problem{'s' * (problems != 1)}, {len(found) - problems} note{'s' * (len(found) - problems != 1)}"
    return "\n\n".join([*(finding.text() for finding in found), f"{counts} in {', '.join(map(str, roots))}."])


def rows(found: Sequence[Finding]) -> list[dict[str, str]]:
    return [asdict(finding) for finding in found]


def listed(names: Iterable[str]) -> str:
    """`a, b, c, d, e, ... (9 in all)`."""
    names = sorted(names)
    return ", ".join(names[:MOST]) + (f", ... ({len(names)} in all)" if len(names) > MOST else "")


def by_method(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """`atari100k, dreamerv3` and its runs, for every benchmark and method."""
    for (benchmark, method), own in runs.groupby(["benchmark", "method"], sort=True):
        yield f"{benchmark}, {method}", own
