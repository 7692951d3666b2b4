"""Benchmark bars: mean, median and capped mean of normalised task scores, one group of bars per benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from results import style
    from results.reading.load import Results
    from results.reading.records import Record

METRICS = ("mean", "median", "capped_mean")
WIDTH = 0.8  # of a group of bars


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.aggregates.table` for METRICS, and mark: why a bar is hatched."""
    from results.analyses import aggregates
    from results.plots import _page

    table = aggregates.table(results, rng, reps, confidence, final)
    return _page.score_marks(table, METRICS)


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per benchmark, a group of bars per metric, a bar per method."""
    from results import style
    from results.analyses import aggregates
    from results.plots import _page

    looks = style.looks_of(marks.method.unique())

    def paint_panel(ax: Axes, benchmark: str) -> None:
        _bars(ax, marks[marks.benchmark == benchmark], looks)
        ax.set_title(benchmark)

    text = _page.sentences(
        _page.about_scores(marks),
        "Mean, median: of task means. Capped mean: of task means that are cut at 1.",
        _page.about_bootstrap(marks) if marks.ci_low.notna().any() else "",
        _page.about_incomplete(marks, "Hatched"),
        _page.about_flags(marks, "method", aggregates.FLAGS),
    )
    return _page.page(list(marks.benchmark.unique()), paint_panel, text, 2.0)


def _bars(ax: Axes, marks: pd.DataFrame, looks: style.Looks) -> None:
    """Bars from zero with their intervals, and their values above; hatched if a mark is incomplete."""
    import seaborn as sns

    from results import style
    from results.reading.records import records

    methods = style.in_figure_order(marks.method)
    sns.barplot(
        marks,
        x="metric",
        y="value",
        hue="method",
        order=METRICS,
        hue_order=methods,
        palette={name: looks[name].colour for name in methods},
        saturation=1,
        width=WIDTH,
        errorbar=None,
        legend=False,
        ax=ax,
    )
    for container, name in zip(ax.containers, methods, strict=True):
        container.set_label(f"_bar {name}")
        rows = sorted(records(marks[marks.method == name]), key=lambda row: METRICS.index(row["metric"]))
        for bar, row in zip(container, rows, strict=True):
            _finish_bar(ax, bar, row, looks[name].colour, len(methods) > 4)
        ax.plot([], [], "s", color=looks[name].colour, ms=6, label=name)
    ax.set_xticks(range(len(METRICS)), [metric.replace("_", " ") for metric in METRICS])
    ax.set(xlabel="", ylabel="normalised score")
    ax.axhline(0, color="black", lw=0.6, label="_zero")
    ax.margins(y=0.14)
    ax.tick_params(axis="x", length=0)


def _finish_bar(ax: Axes, bar: Rectangle, row: Record, colour: str, is_upright: bool) -> None:
    """Gap, hatch, interval and value of one bar."""
    from results import style

    middle, has_interval = bar.get_x() + bar.get_width() / 2, row["ci_low"] == row["ci_low"]
    bar.set(width=0.92 * bar.get_width(), edgecolor=colour, linewidth=0.8)
    bar.set_x(middle - bar.get_width() / 2)
    if row["mark"]:
        bar.set(facecolor="white", hatch="////")
    if has_interval:
        ends = [row["ci_low"], row["ci_high"]]
        ax.plot([middle, middle], ends, color="black", lw=0.9, label=f"_interval {row['method']}")
    top = max(row["ci_high"] if has_interval else row["value"], 0)
    text = ax.annotate(f"{row['value']:.2f}", (middle, top), (0, 1.5), textcoords="offset points", ha="center", va="bottom")
    text.set(fontsize=style.FONT - 1, rotation=90 if is_upright else 0)
