"""The two kinds of panel of the robustness figure: what stands in a table of marks, put on axes."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from results import style


def heights(drawn: pd.DataFrame, panels: list[tuple[str, str]], columns: int) -> list[float]:
    """Inches of each row of panels: a heat map needs its rows, curves a fixed height."""

    def height(kind: str, panel: str) -> float:
        rows = drawn[(drawn.kind == "cell") & (drawn.panel == panel)].series.nunique()
        return 0.9 + 0.42 * rows if kind == "cell" else 2.5

    each = [height(*panel) for panel in panels]
    return [max(each[start : start + columns]) for start in range(0, len(each), columns)]


def heat_map(ax: Axes, cells: pd.DataFrame, title: str) -> None:
    """Rows are what was trained, columns what it was tested with; hatched cells are incomplete or one model only."""
    rows, columns = list(cells.series.unique()), cells.drop_duplicates("x").sort_values("x")
    first, spots = int(columns.x.min()), [int(x) for x in columns.x]
    shade = np.full((len(rows), spots[-1] - first + 1), np.nan)
    for cell in cells.to_dict("records"):
        shade[rows.index(cell["series"]), int(cell["x"]) - first] = cell["shade"]
    cmap = colormaps[style.HEAT]
    extent = (first - 0.5, spots[-1] + 0.5, len(rows) - 0.5, -0.5)
    ax.imshow(shade, cmap=cmap, vmin=0, vmax=1, aspect="auto", extent=extent)
    for cell in cells.to_dict("records"):
        x, y = int(cell["x"]), rows.index(cell["series"])
        dark = cell["shade"] < 0.5  # NaN, an empty cell, is white
        if cell["mark"]:
            edge = (1, 1, 1, 0.45) if dark else (0, 0, 0, 0.3)
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor=edge, linewidth=0))
        back = {"boxstyle": "round,pad=0.15", "linewidth": 0, "facecolor": cmap(cell["shade"])}
        back["facecolor"] = "white" if np.isnan(cell["shade"]) else back["facecolor"]
        text = {"color": "white" if dark else "black", "fontsize": style.FONT, "bbox": back if cell["mark"] else None}
        ax.text(x, y, cell["text"], ha="center", va="center", linespacing=0.95, **text)
    ax.set_xticks(spots, [style.label(noise) for noise in columns.eval_noise])
    ax.set_yticks(range(len(rows)), [style.label(name) for name in rows])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="tested with", ylabel="trained with")
    ax.set_title(textwrap.fill(title, 52))


def curves(ax: Axes, marks: pd.DataFrame, title: str, looks: dict[str, tuple[str, str]]) -> None:
    """Mean return against the noise: bands over training runs, faint lines for each seed, hollow where incomplete."""
    for (series, _), seed in marks[marks.kind == "seed"].groupby(["series", "train_seed"]):
        seed = seed.sort_values("x")
        ax.plot(seed.x, seed["mean"], color=looks[series][0], lw=0.5, alpha=0.35, label=f"_seed {series}")
    for series, line in marks[marks.kind == "curve"].groupby("series", sort=False):
        line, (colour, marker) = line.sort_values("x"), looks[series]
        over_seeds = line[~line.mark.str.contains("one seed")]
        ax.fill_between(over_seeds.x, over_seeds.ci_low, over_seeds.ci_high, color=colour, alpha=0.15, lw=0)
        ax.plot(line.x, line["mean"], color=colour, lw=1.3, label=series)
        for face, some in ((colour, line[line.mark == ""]), ("white", line[line.mark != ""])):
            ax.plot(some.x, some["mean"], marker, color=colour, markerfacecolor=face, ms=4, mew=0.9, label="_marks")
    random = marks[marks.kind == "random"]
    ax.plot(random.x, random["mean"], "--", color=style.REFERENCE, lw=0.9, label="random agent" if len(random) else "_")
    _frame(ax, marks)
    ax.set_title(textwrap.fill(title, 52))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.24), ncols=2, borderaxespad=0, handlelength=1.6)


def _frame(ax: Axes, marks: pd.DataFrame) -> None:
    """Ticks at the noises that were tested, and limits set by what was measured: wide intervals are cut at the frame."""
    noises = marks[marks.kind == "curve"].drop_duplicates("x").sort_values("x")
    low, high = marks["mean"].min(), marks["mean"].max()
    room = 0.35 * (high - low) or 1
    bottom = max(low - room, min(low - 0.05 * room, marks.ci_low.min()))
    ax.set_ylim(bottom, min(high + room, max(high + 0.05 * room, marks.ci_high.max())))
    ax.set_xticks(noises.x, [style.ticks(noise) for noise in noises.eval_noise])
    ax.set(xlabel="tested with", ylabel="return per episode")
    ax.grid(axis="y", lw=0.3, alpha=0.6)


def caption(drawn: pd.DataFrame, columns: int) -> str:
    """What the marks mean: the unit, the interval's meaning and what hatching and hollow points say."""
    names = ", ".join(name for name in drawn.note.dropna().unique() if name)
    text = (
        f"Return per episode, mean over training seeds of per-seed means at the last checkpoint; ± and bands: {names} "
        "interval. Colour: from the lowest to the highest score of the task. Faint lines: single training seeds. "
        "Bands end at the frame where they are wider."
    )
    if drawn.mark.fillna("").ne("").any():
        text += (
            " Hatched and hollow: one trained model only (no band; its ± is evaluation precision, no claim about the "
            "method), or runs that are not done or not evaluated, which are left out."
        )
    return textwrap.fill(text, 62 * columns)
