"""Probability of improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.improvement.table`, each pair once, and mark: why a point is hollow.

    x is the method that stands first in all figures. The other direction is 1 minus the probability.
    """
    from results import style
    from results.analyses import improvement
    from results.plots import _page

    table = improvement.table(results, rng, reps, confidence, final)
    rank = {name: i for i, name in enumerate(style.in_figure_order([*table.x, *table.y]))}
    table = _page.require_rows(table[table.x.map(rank) < table.y.map(rank)], "two methods with scores on the same task")
    order = table.assign(a=table.x.map(rank), b=table.y.map(rank)).sort_values(["benchmark", "a", "b"]).index
    return table.loc[order].assign(mark=_page.incomplete_marks(table["flags"])).reset_index(drop=True)


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per benchmark, a line per pair in the colour of its first method. The dashed line is one half."""
    from results import style
    from results.analyses import improvement
    from results.plots import _forest, _page
    from results.reading.records import groups
    from results.tables._text import count_range

    looks = style.looks_of([*marks.x, *marks.y])
    pairs = marks.assign(row=marks.x + " > " + marks.y, series=marks.x, value=marks.probability)

    def paint_panel(ax: Axes, benchmark: str) -> None:
        estimates = pairs[pairs.benchmark == benchmark]
        _forest.forest(ax, estimates, list(estimates.row), looks, zero=0.5)
        ax.set(title=benchmark, xlabel="probability of improvement", xlim=(-0.02, 1.02))

    runs, tasks = count_range([*marks.runs_x, *marks.runs_y]), count_range(marks.tasks)
    text = _page.sentences(
        "Probability that a run of the first method scores higher than a run of the second, mean over common tasks. A tie "
        "counts half.",
        f"n = {runs} training runs per method in {tasks} common tasks.",
        f"Final-score rule: {', '.join(dict.fromkeys(marks.final))}.",
        _page.about_bootstrap(marks) if marks.ci_low.notna().any() else "",
        _page.about_incomplete(marks),
        _page.about_flags(pairs, "row", improvement.FLAGS),
    )
    panels = list(marks.benchmark.unique())
    return _page.page(
        panels, paint_panel, text, max(_forest.height(list(group.row)) for _, group in groups(pairs, "benchmark"))
    )
