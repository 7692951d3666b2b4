"""The figure of `dreamproof bench scaling`: a panel per axis, seconds against its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from harness import plugins

LABELS = {"batch": "sequences in a batch", "length": "steps of a sequence", "replay": "steps in the replay"}
MIN_DECADES = 2.0  # that a panel shows


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Median and range of every row, beside growth in proportion to what an axis counts (dashed).

    Scales are logarithmic. All panels show equally many decades: slopes compare, and a flat curve looks flat.
    """
    style = plugins.load("results", "style")  # the look of all figures
    panels = {axis: [row for row in rows if row["axis"] == axis] for axis in dict.fromkeys(row["axis"] for row in rows)}
    decades = max(MIN_DECADES, *(_decades(panel_rows) for panel_rows in panels.values()))
    with style.figure_style():
        figure = Figure(figsize=(1.7 * len(panels), 2.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (axis, panel_rows) in zip(axes, panels.items(), strict=True):
            _panel(ax, panel_rows, LABELS.get(axis, axis), decades + 0.2, (style.COLOURS[0], style.COLOURS[-1]))
        axes[0].set_ylabel("seconds")
    return figure


def _decades(rows: Sequence[Mapping[str, Any]]) -> float:
    """Powers of ten between the smallest and the largest measurement."""
    return float(np.log10(max(row["seconds_max"] for row in rows) / min(row["seconds_min"] for row in rows)))


def _panel(ax: Axes, rows: Sequence[Mapping[str, Any]], label: str, decades: float, colours: tuple[str, str]) -> None:
    values = [row["value"] for row in rows]
    seconds, low, high = (np.array([row[name] for row in rows]) for name in ("seconds", "seconds_min", "seconds_max"))
    ax.set_yscale("log")
    if not isinstance(values[0], str):
        ax.set_xscale("log")
        ax.plot(values, seconds[0] * np.array(values) / values[0], color=colours[1], linewidth=0.8, linestyle="--")
        ax.set_xticks(values[::2], [_count(value) for value in values[::2]])
        ax.xaxis.set_minor_locator(NullLocator())
    ax.errorbar(values, seconds, [seconds - low, high - seconds], marker="o", markersize=3, color=colours[0], linewidth=1)
    middle = np.sqrt(low.min() * high.max())
    ax.set_ylim(middle * 10 ** (-decades / 2), middle * 10 ** (decades / 2))
    ax.yaxis.set_major_locator(LogLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title(rows[0]["what"])
    ax.set_xlabel(label)


def _count(value: float) -> str:
    """10000 -> 10k."""
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
