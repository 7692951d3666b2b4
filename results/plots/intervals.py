"""Interval estimates: median, IQM, mean and optimality gap of every method of a benchmark, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

METRICS = ("median", "iqm", "mean", "optimality_gap")
NAMES = {"median": "median", "iqm": "IQM", "mean": "mean", "optimality_gap": "optimality gap"}


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.aggregates.table` for METRICS, and mark: why a point is hollow."""
    from results.analyses import aggregates
    from results.plots import _page

    table = aggregates.table(results, rng, reps, confidence, final)
    return _page.score_marks(table, METRICS)


def paint(marks: pd.DataFrame) -> Figure:
    """A row of panels per benchmark, a panel per metric, a line per method."""
    from results import style
    from results.analyses import aggregates
    from results.plots import _forest, _page

    looks = style.looks_of(marks.method.unique())
    benchmarks = list(marks.benchmark.unique())
    methods = {name: style.in_figure_order(marks[marks.benchmark == name].method) for name in benchmarks}

    def paint_panel(ax: Axes, place: tuple[str, str]) -> None:
        benchmark, metric = place
        estimates = marks[(marks.benchmark == benchmark) & (marks.metric == metric)]
        rows = estimates.assign(row=estimates.method, series=estimates.method)
        _forest.forest(ax, rows, methods[benchmark], looks, with_names=metric == METRICS[0])
        ax.set_title(f"{benchmark}\n{NAMES[metric]}")
        ax.set_xlabel("shortfall (lower is better)" if metric in aggregates.LOWER_IS_BETTER else "normalised score")

    text = _page.sentences(
        _page.about_scores(marks),
        "Mean, median: of task means. IQM, optimality gap: of all runs pooled.",
        _page.about_bootstrap(marks) if marks.ci_low.notna().any() else "",
        _page.about_incomplete(marks),
        _page.about_flags(marks, "method", aggregates.FLAGS),
    )
    panels = [(benchmark, metric) for benchmark in benchmarks for metric in METRICS]
    heights = [_forest.height(list(methods[benchmark])) for benchmark in benchmarks]
    return _page.page(panels, paint_panel, text, heights, len(METRICS), 2 * style.COLUMN)
