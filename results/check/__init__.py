"""Sanity checks on results. Every file of this folder is a check: see `Check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from harness import plugins

if TYPE_CHECKING:
    import pandas as pd

    from results.check._means import MeansTable
    from results.reading.load import Results

PROBLEM, NOTE = "problem", "note"
MOST_NAMES = 5  # in a list of names


@dataclass(frozen=True)
class Finding:
    """One defect. level: PROBLEM, or NOTE for a fact that may be right but that a reader must know.

    name: of the defect. where: benchmark, method, task or file. what, why, do: the facts, why they matter, and the remedy.
    """

    name: str
    level: str
    where: str
    what: str
    why: str
    do: str

    def to_text(self) -> str:
        return f"{self.level}: {self.name} in {self.where}\n  what: {self.what}\n  why:  {self.why}\n  do:   {self.do}"


@dataclass(frozen=True)
class RunEvidence:
    """Runs as checks look at them. provenance, configs: path of a run -> content of provenance.json, of config.json."""

    results: Results
    provenance: dict[str, dict[str, Any]]
    configs: dict[str, dict[str, Any]]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """`run_scores.score_runs` by the score rule of each benchmark."""
        from results.scoring import run_scores

        return run_scores.score_runs(self.results)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run, with `method` and `label`, the name of the run in a finding."""
        from results.scoring import run_scores

        runs = self.results.runs
        return runs.assign(method=run_scores.method_names(runs), label=runs.study + "/" + runs.run)


@dataclass(frozen=True)
class Evidence:
    """Everything that checks look at. runs: None if only tables of means were given."""

    runs: RunEvidence | None = None
    means: Sequence[MeansTable] = ()


@runtime_checkable
class Check(Protocol):
    """What the file of a check holds."""

    def find(self, evidence: Evidence) -> Iterator[Finding]:
        """Every defect in the evidence; nothing if there is none."""


def check(roots: Iterable[Path | str]) -> list[Finding]:
    """All findings in the runs at or below the roots and in tables of means (CSV), problems first."""
    return findings(read(roots))


def findings(evidence: Evidence) -> list[Finding]:
    """All findings in the evidence, problems first."""
    checks = (cast(Check, plugins.load(__name__, name)) for name in plugins.names(__name__))  # modules, found by name
    unsorted = [finding for module in checks for finding in module.find(evidence)]
    return sorted(unsorted, key=lambda finding: finding.level != PROBLEM)


def read(roots: Iterable[Path | str]) -> Evidence:
    """Load the roots. BadInput as in `load.load`, and for a malformed table of means."""
    from results.check import _means

    paths = list(map(Path, roots))
    tables = [path for path in paths if _means.is_table(path)]
    others = [path for path in paths if path not in tables]
    return Evidence(_read_runs(others) if others else None, [_means.read(path) for path in tables])


def _read_runs(roots: Sequence[Path]) -> RunEvidence:
    from harness import rundir
    from results import importers
    from results.reading import load

    runs = rundir.find_runs(importers.directories(roots))
    provenance = {str(run.path.resolve()): run.provenance for run in runs}
    configs = {str(run.path.resolve()): run.config for run in runs}
    return RunEvidence(load.read_runs(runs), provenance, configs)


def findings_to_text(findings: Sequence[Finding], roots: Iterable[Path | str]) -> str:
    """Every finding, then their number."""
    problems = sum(finding.level == PROBLEM for finding in findings)
    notes = len(findings) - problems
    counts = f"{problems} problem{'s' * (problems != 1)}, {notes} note{'s' * (notes != 1)}"
    return "\n\n".join([*(finding.to_text() for finding in findings), f"{counts} in {', '.join(map(str, roots))}."])


def findings_to_rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """One dictionary per finding, for JSON."""
    return [asdict(finding) for finding in findings]


def listed(names: Iterable[str]) -> str:
    """`a, b, c, d, e, ... (9 in all)`."""
    ordered = sorted(names)
    return ", ".join(ordered[:MOST_NAMES]) + (f", ... ({len(ordered)} in all)" if len(ordered) > MOST_NAMES else "")


def by_method(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """`("atari100k, dreamerv3", runs)` for every benchmark and method."""
    from results.reading.records import tuple_groups

    for (benchmark, method), group in tuple_groups(runs, ["benchmark", "method"], sort=True):
        yield f"{benchmark}, {method}", group
