"""The two kinds of panel of the robustness figure: draws a table of marks on axes."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from results import style


def heights(drawn: pd.DataFrame, panels: list[tuple[str, str]], columns: int) -> list[float]:
    """Inches of each row of panels: a heat map needs its rows, curves a fixed height."""

    def height(kind: str, panel: str) -> float:
        if kind == "curve":
            return 2.4
        cells = drawn[(drawn.kind == "cell") & (drawn.panel == panel)]
        noises = list(cells.eval_noise.unique())
        longest = max(map(len, noises))
        room = 0.065 * longest if _upright(noises) else 0.045 * longest if style.tilted(noises) else 0.25
        return 0.7 + room + (0.42 if cells.text.any() else 0.24) * cells.series.nunique()

    each = [height(*panel) for panel in panels]
    return [max(each[start : start + columns]) for start in range(0, len(each), columns)]


def heat_map(ax: Axes, cells: pd.DataFrame, title: str, colours: str = style.HEAT) -> None:
    """Rows are what was trained, columns what it was tested with; hatched cells are incomplete or one model only.

    shade: 0 to 1 along the map `colours`; NaN, an empty cell, is white.
    """
    rows, columns = list(cells.series.unique()), cells.drop_duplicates("x").sort_values("x")
    first, spots = int(columns.x.min()), [int(x) for x in columns.x]
    shade = np.full((len(rows), spots[-1] - first + 1), np.nan)
    for cell in cells.to_dict("records"):
        shade[rows.index(cell["series"]), int(cell["x"]) - first] = cell["shade"]
    cmap = colormaps[colours]
    extent = (first - 0.5, spots[-1] + 0.5, len(rows) - 0.5, -0.5)
    ax.imshow(shade, cmap=cmap, vmin=0, vmax=1, aspect="auto", extent=extent)
    for cell in cells.to_dict("records"):
        x, y = int(cell["x"]), rows.index(cell["series"])
        dark = not np.isnan(cell["shade"]) and np.dot(cmap(cell["shade"])[:3], (0.3, 0.59, 0.11)) < 0.5
        if cell["mark"]:
            edge = (1, 1, 1, 0.45) if dark else (0, 0, 0, 0.3)
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor=edge, linewidth=0))
        back = {"boxstyle": "round,pad=0.15", "linewidth": 0, "facecolor": cmap(cell["shade"])}
        back["facecolor"] = "white" if np.isnan(cell["shade"]) else back["facecolor"]
        text = {"color": "white" if dark else "black", "fontsize": style.FONT, "bbox": back if cell["mark"] else None}
        ax.text(x, y, cell["text"], ha="center", va="center", linespacing=0.95, **text)
    noises = list(columns.eval_noise)
    if _upright(noises):
        ax.set_xticks(spots, noises, rotation=90)
    elif style.tilted(noises):
        ax.set_xticks(spots, noises, rotation=35, ha="right", rotation_mode="anchor")
    else:
        ax.set_xticks(spots, [style.label(noise) for noise in noises])
    ax.set_yticks(range(len(rows)), [style.label(name) for name in rows])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="tested with", ylabel="trained with")
    ax.set_title(textwrap.fill(title, 44))


def _upright(noises: list[str]) -> bool:
    """Whether the labels of so many columns must stand upright."""
    return len(set(noises)) > 2 * style.MOST_CELLS


def curves(ax: Axes, marks: pd.DataFrame, title: str, looks: dict[str, tuple[str, str]], task: pd.DataFrame) -> None:
    """Mean return against the noise, on the scale of all marks of the task.

    Bands are over training runs, faint lines single seeds; points are hollow where runs are missing or there is one.
    """
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
    for series, line in random.groupby("series"):
        ax.plot(line.x, line["mean"], "--", color=style.REFERENCE, lw=0.9, label=series)
    measured = marks[marks["mean"].notna()]
    if absent := sorted(set(marks.series) - set(measured.series)):
        ax.text(0.98, 0.97, "not done: " + ", ".join(absent), transform=ax.transAxes, ha="right", va="top")
    _frame(ax, marks, task)
    ax.set_title(textwrap.fill(title, 52))


def _frame(ax: Axes, marks: pd.DataFrame, task: pd.DataFrame) -> None:
    """Ticks at the noises that were tested, and limits set by what was measured: wide intervals are cut at the frame."""
    noises = marks[marks.kind == "curve"].drop_duplicates("x").sort_values("x")
    low, high = task["mean"].min(), task["mean"].max()
    room = 0.35 * (high - low) or 1
    bottom = max(low - room, min(low - 0.05 * room, task.ci_low.min()))
    ax.set_ylim(bottom, min(high + room, max(high + 0.05 * room, task.ci_high.max())))
    axis = marks.axis.iloc[0]
    names = [style.setting(noise, axis) for noise in noises.eval_noise]
    if axis == "strength":
        names = ["clean" if noise == "clean" else f"{x:g}" for noise, x in zip(noises.eval_noise, noises.x, strict=True)]
    ax.set_xticks(noises.x, names)
    ax.set(xlabel="tested with" + (": strength of the noise" if axis == "strength" else ""), ylabel="return per episode")
    ax.grid(axis="y", lw=0.3, alpha=0.6)


def foot(figure: Figure, axes: list[Axes], text: str) -> None:
    """One legend for all curves and the caption `text`, beneath the panels, in room that is taken from the layout."""
    handles = {name: line for ax in axes for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    line, width = 1.35 * style.FONT / 72, figure.get_figwidth()
    across = max(1, int(width / (0.45 + 0.062 * max(map(len, handles), default=1))))
    rows = -(-len(handles) // across)
    tall = line * (text.count("\n") + 1) + 0.1
    height = figure.get_figheight() + tall + 1.15 * line * rows
    figure.set_figheight(height)
    bottom = (tall + 1.15 * line * rows) / height
    figure.get_layout_engine().set(rect=(0, bottom, 1, 1 - bottom))
    figure.text(0.06 / width, 0.06 / height, text, fontsize=style.FONT - 0.5, va="bottom", linespacing=1.25)
    if handles:
        place = {"loc": "lower left", "bbox_to_anchor": (0, tall / height), "ncols": across}
        legend = figure.legend(handles.values(), handles.keys(), frameon=False, borderaxespad=0.1, handlelength=1.8, **place)
        legend.set_in_layout(False)


def _ranges(drawn: pd.DataFrame) -> str:
    """`dmc/walker_walk 20 to 810`: what a heat map's colours span, task by task."""
    measured = drawn[(drawn.kind == "cell") & drawn["mean"].notna()].groupby("task")["mean"]
    return ", ".join(f"{task} {own.min():.4g} to {own.max():.4g}" for task, own in measured) or "none yet"


def caption(drawn: pd.DataFrame, columns: int) -> str:
    """What the marks mean: the unit, the interval's meaning and what hatching and hollow points say."""
    names = ", ".join(name for name in drawn.note.dropna().unique() if name)
    text = (
        f"Return per episode, mean over training seeds of per-seed means at the last checkpoint; ± and bands: {names} "
        f"interval. Colour: from the lowest to the highest score of the task ({_ranges(drawn)}). Faint lines: single "
        "training seeds. Bands end at the frame where they are wider."
    )
    if drawn.mark.fillna("").ne("").any():
        text += (
            " Hatched and hollow: one trained model only (no band; its ± is evaluation precision, no claim about the "
            "method), or runs that are not done or not evaluated, which are left out."
        )
    return textwrap.fill(text, 68 * columns)
