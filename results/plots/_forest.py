"""Estimates with intervals, one under the other: the panel of interval estimates, improvement, ablations and sensitivity."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from results import style
from results.reading.records import records

ROW, LINE = 0.2, 0.125  # inches: of a row with one estimate, and of each line of a name
NAME_WIDTH = 26  # characters in a line of a row's name
SPREAD = 0.62  # share of a row over which its series are spread


def height(rows: Sequence[str], series: int = 1) -> float:
    """Inches of a panel of rows with these names and up to `series` estimates each."""
    lines = max((_wrapped(row).count("\n") + 1 for row in rows), default=1)
    return 0.75 + len(rows) * max(ROW, 0.09 * series + 0.06, LINE * lines + 0.04)


def _wrapped(row: str) -> str:
    return textwrap.fill(row, NAME_WIDTH)


def forest(
    ax: Axes,
    marks: pd.DataFrame,
    rows: Sequence[str],
    looks: style.Looks,
    with_names: bool = True,
    zero: float | None = None,
) -> None:
    """A point and its interval per mark with row, series, value, ci_low, ci_high, mark; the first row is on top.

    Points with a `mark` are hollow. with_names: rows have their names at the axis, else only ticks. zero: the place of a
    line of no difference. The points of one row lie beneath each other, in the order of `looks`.
    """
    series = [name for name in looks if name in set(marks.series)]
    is_crowded = len(marks) > 0 and marks.groupby("row").size().max() > 1
    step = SPREAD / len(series) if is_crowded else 0.0
    if zero is not None:
        ax.axvline(zero, color="0.55", lw=0.7, ls="--", label="_zero", zorder=1)
    for mark in records(marks[marks.ci_low.notna()]):
        offset = step * (series.index(mark["series"]) - (len(series) - 1) / 2)
        y, colour = list(rows).index(mark["row"]) + offset, looks[mark["series"]].colour
        ends = [mark["ci_low"], mark["ci_high"]]
        ax.plot(ends, [y, y], color=colour, lw=1.2, solid_capstyle="butt", label=f"_interval {mark['series']}")
    for incomplete, points in marks.groupby(marks["mark"] != ""):
        _points(ax, points, rows, {name: looks[name] for name in series}, step, bool(incomplete))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [_wrapped(row) for row in rows] if with_names else [""] * len(rows))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.grid(axis="x", lw=0.3, alpha=0.6)
    ax.margins(x=0.08)


def _points(ax: Axes, marks: pd.DataFrame, rows: Sequence[str], looks: style.Looks, step: float, is_hollow: bool) -> None:
    """The values as categorical points. seaborn computes nothing: every row and series has one value, and no error bar."""
    before = len(ax.lines)
    sns.pointplot(
        marks,
        x="value",
        y="row",
        hue="series",
        order=rows,
        hue_order=list(looks),
        palette={name: look.colour for name, look in looks.items()},
        markers=[look.marker for look in looks.values()],
        dodge=step * (len(looks) - 1) or False,
        orient="y",
        errorbar=None,
        linestyle="none",
        markersize=3.4,
        markeredgewidth=0.9,
        legend=False,
        zorder=3,
        ax=ax,
    )
    for line, name in zip(ax.lines[before:], looks, strict=True):
        line.set(label=f"_value {name}", markerfacecolor="white" if is_hollow else looks[name].colour)
        x, y = (np.asarray(values, float) for values in line.get_data())
        line.set_data(x[np.isfinite(x)], y[np.isfinite(x)])  # only rows where the series has a value
        if not np.isfinite(x).any():
            line.remove()
    ax.set(xlabel="", ylabel="")


def add_legend_entries(ax: Axes, looks: style.Looks) -> None:
    """An entry per series for the legend of the page; nothing is drawn."""
    for name, look in looks.items():
        ax.plot([], [], look.marker + "-", color=look.colour, ms=4, lw=1.2, label=name)
