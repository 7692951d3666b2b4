"""One self-contained page (HTML) of everything that stored runs say: in words, tables and figures, with its warnings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.check import Evidence


def build(
    roots: Iterable[Path | str],
    *,
    reps: int = 50_000,
    seed: int = 0,
    confidence: float = 0.95,
    final: str | None = None,
    baseline: str | None = None,
) -> str:
    """The page of every run at or below the roots. The same data give the same bytes: no time, no path of this machine.

    Options as in `results.tables.prepare`; baseline: the ablation that others are compared with, default none.
    """
    from results import check

    options = {"reps": reps, "seed": seed, "confidence": confidence, "final": final, "baseline": baseline}
    return render(check.read(roots), options)


def render(evidence: Evidence, options: dict) -> str:
    """As `build`, of what has been read. BadInput where there is no run, and for options that none of them allows."""
    import jinja2

    from results import check
    from results.exporters import _tidy
    from results.report import design, exhibits, origin, summary

    _check(evidence, options)
    tables = exhibits.all_tables(evidence.results, options)
    found = check.findings(evidence)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(
        studies=list(evidence.results.runs.study.unique()),
        compared=summary.compared(evidence.results),
        found=summary.found({each.name: each.long for each in tables.shown}, options["confidence"]),
        limits=summary.limits(evidence.results, found),
        findings=found,
        tables=tables,
        figures=exhibits.all_figures(evidence.results, options),
        designs=design.of(evidence),
        facts=origin.facts(evidence),
        runs=len(evidence.results.runs),
        options=options,
        digest=_tidy.digest(evidence.results),
        problem=check.PROBLEM,
    )


def _check(evidence: Evidence, options: dict) -> None:
    from harness.errors import BadInput, unknown
    from results import tables

    if evidence.results is None:
        raise BadInput("A report is of runs; only tables of means were given (`dreamproof check` looks at those).")
    tables.prepare(evidence.results, **options)
    known = sorted(evidence.results.runs.ablation.unique())
    if options["baseline"] not in (None, *known):
        raise unknown("baseline ablation", options["baseline"], known)
