"""Variance decomposition: how much of it lies between training runs, and how much between episodes of one run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

ROW = 0.155  # inches
EPISODES = "#D9D9D9"  # colour


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.variance.table`, and mark: why a bar is hatched. Nothing is random here.

    The figure shows icc, the share of the variance between training runs, and the remaining share between episodes; both
    standard deviations are text. A row without icc (one run, or one episode per run) is an empty bar.
    """
    from results.analyses import variance
    from results.plots import _page

    table = _page.require_rows(variance.table(results, final), "episodes to take a spread from")
    return table.assign(mark=_page.incomplete_marks(table["flags"]))


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per method and benchmark, a bar from 0 to 1 per task."""
    from results import style
    from results.analyses import variance
    from results.plots import _page
    from results.reading.records import groups
    from results.tables._text import count_range

    looks = style.looks_of(marks.method.unique())
    panels = [
        (name, method) for name, group in groups(marks, "benchmark", True) for method in style.in_figure_order(group.method)
    ]

    def paint_panel(ax: Axes, place: tuple[str, str]) -> None:
        benchmark, method = place
        _bars(ax, marks[(marks.benchmark == benchmark) & (marks.method == method)], looks[method].colour)
        ax.set(title=textwrap.fill(f"{method} on {benchmark}", 38), xlabel="share of the variance")

    text = _page.sentences(
        "Coloured: share of the variance between training runs (ICC). Grey: between the episodes of one run. Beside the bars: "
        "standard deviation between runs | between episodes, in return.",
        f"n = {count_range(marks.seeds)} training runs, {count_range(marks.episodes)} episodes of all runs, per bar.",
        f"Final-score rule: {', '.join(dict.fromkeys(marks.final))}. By mean squares; no interval is computed for shares.",
        _page.about_incomplete(marks, "Hatched"),
        _page.about_flags(marks.drop(columns="benchmark"), "method", variance.FLAGS),
    )
    sizes = marks.groupby(["benchmark", "method"]).size()
    rows = [max(sizes[place] for place in panels[start : start + 2]) for start in range(0, len(panels), 2)]
    return _page.page(panels, paint_panel, text, [0.7 + ROW * max(2, n) for n in rows])


def _bars(ax: Axes, rows: pd.DataFrame, colour: str) -> None:
    """The share of runs in colour over a grey bar of the whole variance, and the standard deviations as text."""
    import numpy as np
    import seaborn as sns

    from results import style
    from results.reading.records import records

    rows = rows.assign(
        whole=np.where(rows.icc.notna(), 1.0, np.nan), name=[task.partition("/")[2] or task for task in rows.task]
    )
    for column, bar_colour, label in (("whole", EPISODES, "_episodes"), ("icc", colour, "_runs")):
        sns.barplot(
            rows, x=column, y="task", order=list(rows.task), color=bar_colour, saturation=1, width=0.72, errorbar=None, ax=ax
        )
        ax.containers[-1].set_label(label)
    for y, row in enumerate(records(rows)):
        if row["mark"]:
            ax.barh(y, 1, 0.72, facecolor="none", edgecolor="0.6", hatch="////", lw=0.4, label="_incomplete")
        deviations = " | ".join(_short(row[name]) for name in ("seed_sd", "episode_sd"))
        ax.text(1.02, y, deviations, va="center", fontsize=style.FONT - 0.5)
    ax.set_yticks(range(len(rows)), list(rows.name))
    ax.set(xlim=(0, 1.42), ylim=(len(rows) - 0.4, -0.6), ylabel="", xticks=[0, 0.5, 1])
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _short(value: float) -> str:
    return "?" if value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.01 else "0"
