"""Estimates with intervals, one under the other: the panel of interval estimates, improvement, ablations and sensitivity."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

ROW, LINE = 0.2, 0.125  # inches: of a row with one estimate, and of each line of a name
WIDEST = 26  # characters in a line of a row's name
SPREAD = 0.62  # share of a row that its series are spread over


def height(rows: Sequence[str], series: int = 1) -> float:
    """Inches of a panel of rows with these names and up to `series` estimates each."""
    lines = max((_wrapped(row).count("\n") + 1 for row in rows), default=1)
    return 0.75 + len(rows) * max(ROW, 0.09 * series + 0.06, LINE * lines + 0.04)


def _wrapped(row: str) -> str:
    return textwrap.fill(row, WIDEST)


def forest(
    ax: Axes,
    marks: pd.DataFrame,
    rows: Sequence[str],
    looks: dict[str, tuple[str, str]],
    named: bool = True,
    zero: float | None = None,
) -> None:
    """A point and its interval per mark with row, series, value, ci_low, ci_high, mark; the first row on top.

    Points are hollow where a mark says why. named: rows have their names at the axis, else ticks only. zero: where a
    line of no difference stands. Points of one row lie beneath each other, in the order of `looks`.
    """
    shown = [name for name in looks if name in set(marks.series)]
    crowded = marks.groupby("row").size().max() > 1 if len(marks) else False
    step = SPREAD / max(1, len(shown)) if crowded else 0
    if zero is not None:
        ax.axvline(zero, color="0.55", lw=0.7, ls="--", label="_zero", zorder=1)
    for mark in marks.to_dict("records"):
        colour, marker = looks[mark["series"]]
        y = list(rows).index(mark["row"]) + step * (shown.index(mark["series"]) - (len(shown) - 1) / 2) * bool(step)
        if mark["ci_low"] == mark["ci_low"]:
            ends = [mark["ci_low"], mark["ci_high"]]
            ax.plot(ends, [y, y], color=colour, lw=1.2, solid_capstyle="butt", label=f"_interval {mark['series']}")
        face = "white" if mark["mark"] else colour
        ax.plot(mark["value"], y, marker, color=colour, mfc=face, ms=3.4, mew=0.9, label=f"_value {mark['series']}", zorder=3)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [_wrapped(row) for row in rows] if named else [""] * len(rows))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.grid(axis="x", lw=0.3, alpha=0.6)
    ax.margins(x=0.08)


def legend(ax: Axes, looks: dict[str, tuple[str, str]]) -> None:
    """An entry per series for the page's legend; nothing is drawn."""
    for name, (colour, marker) in looks.items():
        ax.plot([], [], marker + "-", color=colour, ms=4, lw=1.2, label=name)
