"""One self-contained page (HTML): summary, warnings, tables and figures of stored runs, their design and provenance."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.check import Evidence, RunEvidence
    from results.report.exhibits import ExhibitOptions


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

    options: ExhibitOptions = {"reps": reps, "seed": seed, "confidence": confidence, "final": final, "baseline": baseline}
    return render(check.read(roots), options)


def render(evidence: Evidence, options: ExhibitOptions) -> str:
    """As `build`, of loaded runs. BadInput without a run, and for options that no table or figure allows."""
    import jinja2

    from results import check
    from results.exporters import _tidy
    from results.report import design, exhibits, origin, summary

    runs = _checked_runs(evidence, options)
    tables = exhibits.all_tables(runs.results, options)
    findings = check.findings(evidence)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(
        studies=list(runs.results.runs.study.unique()),
        cautions=summary.cautions(findings),
        compared=summary.compared(runs.results),
        headlines=summary.headlines({table.name: table.long for table in tables.present}, options["confidence"]),
        limits=summary.limits(runs.results, findings),
        findings=findings,
        tables=tables,
        figures=exhibits.all_figures(runs.results, options),
        designs=design.designs(runs),
        facts=origin.facts(runs),
        runs=len(runs.results.runs),
        options=options,
        digest=_tidy.digest(runs.results),
        problem=check.PROBLEM,
    )


def _checked_runs(evidence: Evidence, options: ExhibitOptions) -> RunEvidence:
    """The runs of the evidence. BadInput if there are none, and for options that no table allows."""
    from harness.errors import BadInput, unknown
    from results import tables

    if evidence.runs is None:
        raise BadInput("A report needs runs; only tables of means were given (`dreamproof check` reads those).")
    results = evidence.runs.results
    tables.prepare(results, **options)
    ablations = sorted(results.runs.ablation.unique())
    if options["baseline"] not in (None, *ablations):
        raise unknown("baseline ablation", options["baseline"], ablations)
    return evidence.runs
