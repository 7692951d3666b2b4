"""The figure of `dreamproof bench scaling`: a panel per axis, seconds against its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from results import style


def draw(rows: Iterable[Mapping[str, Any]]) -> Figure:
    """Median and range of every row; both scales are logarithmic where an axis counts something."""
    table = pd.DataFrame(rows)
    with plt.rc_context(style.RC):
        axes = table["axis"].unique()
        figure, panels = plt.subplots(1, len(axes), figsize=(1.6 * len(axes), 1.9), layout="constrained", squeeze=False)
        for panel, axis in zip(panels[0], axes, strict=True):
            _panel(panel, table[table["axis"] == axis], axis)
        panels[0, 0].set_ylabel("seconds")
    return figure


def _panel(panel: Any, part: pd.DataFrame, axis: str) -> None:
    counted = not isinstance(part["value"].iloc[0], str)
    low, high = part["seconds"] - part["seconds_min"], part["seconds_max"] - part["seconds"]
    panel.errorbar(part["value"], part["seconds"], [low, high], marker="o", markersize=3, color=style.COLOURS[0], linewidth=1)
    panel.set_yscale("log")
    if counted:
        panel.set_xscale("log", base=10 if part["value"].max() > 1000 else 2)
    panel.set_title(part["what"].iloc[0])
    panel.set_xlabel(axis)
