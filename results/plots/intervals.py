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
    table = _page.needed(table[table.metric.isin(METRICS)], "a score that can be normalised")
    return table.assign(mark=_page.marks(table["flags"])).reset_index(drop=True)


def paint(drawn: pd.DataFrame) -> Figure:
    """A row of panels per benchmark, a panel per metric, a line per method; all draw what `drawn` holds."""
    from results import style
    from results.analyses import aggregates
    from results.plots import _forest, _page

    looks = style.colours(drawn.method.unique())
    benchmarks = list(drawn.benchmark.unique())
    methods = {name: style.ordered(drawn[drawn.benchmark == name].method) for name in benchmarks}

    def panel(ax: Axes, place: tuple[str, str]) -> None:
        benchmark, metric = place
        marks = drawn[(drawn.benchmark == benchmark) & (drawn.metric == metric)]
        rows = marks.assign(row=marks.method, series=marks.method)
        _forest.forest(ax, rows, methods[benchmark], looks, named=metric == METRICS[0])
        ax.set_title(f"{benchmark}\n{NAMES[metric]}")
        ax.set_xlabel("shortfall (lower is better)" if metric in aggregates.LOWER_IS_BETTER else "normalised score")

    text = _page.sentences(
        _page.about(drawn),
        "Mean, median: of task means; IQM, optimality gap: of all runs pooled.",
        _page.bootstrap(drawn) if drawn.ci_low.notna().any() else "",
        _page.hollow(drawn),
        _page.flagged(drawn, "method", aggregates.FLAGS),
    )
    panels = [(benchmark, metric) for benchmark in benchmarks for metric in METRICS]
    heights = [_forest.height(list(methods[benchmark])) for benchmark in benchmarks]
    return _page.page(panels, panel, text, heights, len(METRICS), 2 * style.COLUMN)
