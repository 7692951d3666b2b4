"""The figure of `dreamproof bench scaling`: a panel per axis, seconds against its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from results import style

LABELS = {"batch": "sequences in a batch", "length": "steps of a sequence", "replay": "steps in the replay"}
LEAST = 2.0  # decades that a panel shows at least


def draw(rows: Iterable[Mapping[str, Any]]) -> Figure:
    """Median and range of every row, beside growth in proportion to what an axis counts (dashed).

    Scales are logarithmic, and all panels show equally many decades: slopes compare, and what is flat looks flat.
    """
    table = pd.DataFrame(rows)
    parts = dict(list(table.groupby("axis", sort=False)))
    decades = max(LEAST, *(float(np.log10(p["seconds_max"].max() / p["seconds_min"].min())) for p in parts.values()))
    with plt.rc_context(style.RC):
        size = (1.7 * len(parts), 2.0)
        figure, panels = plt.subplots(1, len(parts), figsize=size, layout="constrained", squeeze=False)
        for panel, (axis, part) in zip(panels[0], parts.items(), strict=True):
            _panel(panel, part, LABELS.get(axis, axis), decades + 0.2)
        panels[0, 0].set_ylabel("seconds")
    return figure


def _panel(panel: Any, part: pd.DataFrame, label: str, decades: float) -> None:
    values, seconds = part["value"], part["seconds"].to_numpy()
    panel.set_yscale("log")
    if not isinstance(values.iloc[0], str):
        panel.set_xscale("log")
        panel.plot(values, seconds[0] * values / values.iloc[0], color=style.COLOURS[-1], linewidth=0.8, linestyle="--")
        shown = values[::2]
        panel.set_xticks(shown, [_count(value) for value in shown])
        panel.xaxis.set_minor_locator(NullLocator())
    low, high = seconds - part["seconds_min"], part["seconds_max"] - seconds
    panel.errorbar(values, seconds, [low, high], marker="o", markersize=3, color=style.COLOURS[0], linewidth=1)
    middle = np.sqrt(part["seconds_min"].min() * part["seconds_max"].max())
    panel.set_ylim(middle * 10 ** (-decades / 2), middle * 10 ** (decades / 2))
    panel.yaxis.set_major_locator(LogLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_title(part["what"].iloc[0])
    panel.set_xlabel(label)


def _count(value: float) -> str:
    """10000 -> 10k."""
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
