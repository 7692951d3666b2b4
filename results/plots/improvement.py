"""Probability of improvement: how often a run of one method beats a run of another on the same task, pair by pair."""

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

    x is the one that stands first in all figures; the other direction is 1 minus the probability.
    """
    from results import style
    from results.analyses import improvement
    from results.plots import _page

    table = improvement.table(results, rng, reps, confidence, final)
    rank = {name: i for i, name in enumerate(style.ordered([*table.x, *table.y]))}
    table = _page.needed(table[table.x.map(rank) < table.y.map(rank)], "two methods with scores on the same task")
    order = table.assign(a=table.x.map(rank), b=table.y.map(rank)).sort_values(["benchmark", "a", "b"]).index
    return table.loc[order].assign(mark=_page.marks(table["flags"])).reset_index(drop=True)


def paint(drawn: pd.DataFrame) -> Figure:
    """A panel per benchmark, a line per pair in the colour of its first method; the dashed line is a toss-up."""
    from results import style
    from results.analyses import improvement
    from results.plots import _forest, _page

    looks = style.colours([*drawn.x, *drawn.y])
    pairs = drawn.assign(row=drawn.x + " > " + drawn.y, series=drawn.x, value=drawn.probability)

    def panel(ax: Axes, benchmark: str) -> None:
        marks = pairs[pairs.benchmark == benchmark]
        _forest.forest(ax, marks, list(marks.row), looks, zero=0.5)
        ax.set(title=benchmark, xlabel="probability of improvement", xlim=(-0.02, 1.02))

    runs, tasks = _page.counted([*drawn.runs_x, *drawn.runs_y]), _page.counted(drawn.tasks)
    text = _page.sentences(
        "Probability that a run of the first scores higher than a run of the second, mean over common tasks, ties half.",
        f"n = {runs} training runs per method in {tasks} common tasks.",
        f"Final-score rule: {', '.join(dict.fromkeys(drawn.final))}.",
        _page.bootstrap(drawn) if drawn.ci_low.notna().any() else "",
        _page.hollow(drawn),
        _page.flagged(pairs, "row", improvement.FLAGS),
    )
    panels = list(drawn.benchmark.unique())
    return _page.page(panels, panel, text, max(_forest.height(list(own.row)) for _, own in pairs.groupby("benchmark")))
