"""Variance decomposition: how much of it lies between training runs, and how much between episodes of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

ROW = 0.155  # inches
EPISODES = "#D9D9D9"


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.variance.table`, and mark: why a bar is hatched. Nothing is random here.

    Drawn are icc, the training runs' share of the variance, the rest, which is the episodes', and both standard
    deviations as text. A row without icc (one run, or one episode per run) is an empty bar.
    """
    from results.analyses import variance
    from results.plots import _page

    table = _page.needed(variance.table(results, final), "episodes to take a spread from")
    return table.assign(mark=_page.marks(table["flags"]))


def paint(drawn: pd.DataFrame) -> Figure:
    """A panel per method and benchmark, a bar from 0 to 1 per task."""
    from results import style
    from results.analyses import variance
    from results.plots import _page

    looks = style.colours(drawn.method.unique())
    names = [(name, method) for name, own in drawn.groupby("benchmark") for method in style.ordered(own.method)]

    def panel(ax: Axes, place: tuple[str, str]) -> None:
        _bars(ax, drawn[(drawn.benchmark == place[0]) & (drawn.method == place[1])], looks[place[1]][0])
        ax.set(title=f"{place[1]} on {place[0]}", xlabel="share of the variance")

    text = _page.sentences(
        "Coloured: share of the variance between training runs (ICC); grey: between episodes of one run. Beside the bars: "
        "standard deviation between runs | between episodes, in return.",
        f"n = {_page.counted(drawn.seeds)} training runs, {_page.counted(drawn.episodes)} episodes of all runs, per bar.",
        f"Final-score rule: {', '.join(dict.fromkeys(drawn.final))}. By mean squares; no interval is computed for shares.",
        _page.hollow(drawn, "Hatched"),
        _page.flagged(drawn.drop(columns="benchmark"), "method", variance.FLAGS),
    )
    sizes = drawn.groupby(["benchmark", "method"]).size()
    rows = [max(sizes[place] for place in names[start : start + 2]) for start in range(0, len(names), 2)]
    return _page.page(names, panel, text, [0.7 + ROW * max(2, n) for n in rows])


def _bars(ax: Axes, rows: pd.DataFrame, colour: str) -> None:
    from results import style

    for y, row in enumerate(rows.to_dict("records")):
        known = row["icc"] == row["icc"]
        if known:
            ax.barh(y, row["icc"], 0.72, color=colour, label="_runs")
            ax.barh(y, 1 - row["icc"], 0.72, left=row["icc"], color=EPISODES, label="_episodes")
        if row["mark"]:
            ax.barh(y, 1, 0.72, facecolor="none", edgecolor="0.6", hatch="////", lw=0.4, label="_incomplete")
        sd = " | ".join(_short(row[name]) for name in ("seed_sd", "episode_sd"))
        ax.text(1.02, y, sd, va="center", fontsize=style.FONT - 0.5)
    ax.set_yticks(range(len(rows)), [task.partition("/")[2] or task for task in rows.task])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, 1.42)
    ax.set_xticks([0, 0.5, 1])
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _short(value: float) -> str:
    return "?" if value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.01 else "0"
