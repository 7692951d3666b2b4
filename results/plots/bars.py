"""Benchmark bars: mean, median and capped mean of normalised task scores, one group of bars per benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

METRICS = ("mean", "median", "capped_mean")
WIDTH = 0.8  # of a group of bars


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.aggregates.table` for METRICS, and mark: why a bar is hatched."""
    from results.analyses import aggregates
    from results.plots import _page

    table = aggregates.table(results, rng, reps, confidence, final)
    table = _page.needed(table[table.metric.isin(METRICS)], "a score that can be normalised")
    return table.assign(mark=_page.marks(table["flags"])).reset_index(drop=True)


def paint(drawn: pd.DataFrame) -> Figure:
    """A panel per benchmark, a group of bars per metric, a bar per method."""
    from results import style
    from results.analyses import aggregates
    from results.plots import _page

    looks = style.colours(drawn.method.unique())

    def panel(ax: Axes, benchmark: str) -> None:
        _bars(ax, drawn[drawn.benchmark == benchmark], looks)
        ax.set_title(benchmark)

    text = _page.sentences(
        _page.about(drawn),
        "Mean, median: of task means; capped mean: of task means, each 1 at most.",
        _page.bootstrap(drawn) if drawn.ci_low.notna().any() else "",
        _page.hollow(drawn, "Hatched"),
        _page.flagged(drawn, "method", aggregates.FLAGS),
    )
    return _page.page(list(drawn.benchmark.unique()), panel, text, 2.0)


def _bars(ax: Axes, marks: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """Bars from zero, their values above them and their intervals on them; hatched where a mark says why."""
    from results import style

    methods = style.ordered(marks.method)
    wide = WIDTH / len(methods)
    for mark in marks.to_dict("records"):
        colour, name = looks[mark["method"]][0], mark["method"]
        x = METRICS.index(mark["metric"]) + wide * (methods.index(name) - (len(methods) - 1) / 2)
        face = {"facecolor": "white", "hatch": "////"} if mark["mark"] else {"facecolor": colour}
        ax.bar(x, mark["value"], 0.92 * wide, edgecolor=colour, lw=0.8, label=f"_bar {name}", **face)
        known = mark["ci_low"] == mark["ci_low"]
        if known:
            ax.plot([x, x], [mark["ci_low"], mark["ci_high"]], color="black", lw=0.9, label=f"_interval {name}")
        top = max(mark["ci_high"] if known else mark["value"], 0)
        above = {"xytext": (0, 1.5), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        ax.annotate(f"{mark['value']:.2f}", (x, top), fontsize=style.FONT - 1, rotation=90 * (len(methods) > 4), **above)
    for name in methods:
        ax.plot([], [], "s", color=looks[name][0], ms=6, label=name)
    ax.set_xticks(range(len(METRICS)), [metric.replace("_", " ") for metric in METRICS])
    ax.set_ylabel("normalised score")
    ax.axhline(0, color="black", lw=0.6, label="_zero")
    ax.margins(y=0.14)
    ax.tick_params(axis="x", length=0)
