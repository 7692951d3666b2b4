"""The two kinds of panel of the robustness figure, heat maps and curves, and the legend and caption of every figure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from results import style
from results.reading.records import groups, records, tuple_groups


def row_heights(marks: pd.DataFrame, panels: list[tuple[str, str]], columns: int) -> list[float]:
    """Inches of each row of panels. A heat map grows with its rows and labels; curves have a fixed height."""

    def height(kind: str, panel: str) -> float:
        if kind == "curve":
            return 2.4
        cells = marks[(marks.kind == "cell") & (marks.panel == panel)]
        noises = list(cells.eval_noise.unique())
        longest = max(map(len, noises))
        labels = 0.065 * longest if _upright(noises) else 0.045 * longest if style.needs_tilt(noises) else 0.25
        return 0.7 + labels + (0.42 if cells.text.any() else 0.24) * cells.series.nunique()

    heights = [height(*panel) for panel in panels]
    return [max(heights[start : start + columns]) for start in range(0, len(heights), columns)]


def heat_map(ax: Axes, cells: pd.DataFrame, title: str, colours: str = style.HEAT) -> None:
    """Rows are training noises, columns evaluation noises. Hatched cells are incomplete or one model only.

    shade: 0 to 1 along the map `colours`; a cell with NaN is white.
    """
    rows, columns = list(cells.series.unique()), cells.drop_duplicates("x").sort_values("x")
    places = range(int(columns.x.min()), int(columns.x.max()) + 1)
    shade = cells.pivot(index="series", columns="x", values="shade").reindex(index=rows, columns=places)
    sns.heatmap(shade, vmin=0, vmax=1, cmap=colours, cbar=False, ax=ax, xticklabels=False, yticklabels=False)
    cmap = sns.color_palette(colours, as_cmap=True)
    for cell in records(with_places(cells)):
        colour = "white" if np.isnan(cell["shade"]) else cmap(cell["shade"])
        is_dark = colour != "white" and np.dot(colour[:3], (0.3, 0.59, 0.11)) < 0.5
        back = {"boxstyle": "round,pad=0.15", "linewidth": 0, "facecolor": colour} if cell["mark"] else None
        if cell["mark"]:
            edge = (1, 1, 1, 0.45) if is_dark else (0, 0, 0, 0.3)
            corner = (cell["column"] - 0.5, cell["row"] - 0.5)
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=edge, linewidth=0))
        text = ax.text(cell["column"], cell["row"], cell["text"], ha="center", va="center", linespacing=0.95, bbox=back)
        text.set(color="white" if is_dark else "black", fontsize=style.FONT)
    _label_heat_map(ax, list(columns.eval_noise), [x - places[0] + 0.5 for x in columns.x], rows)
    ax.set_title(textwrap.fill(title, 44))


def with_places(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of a heat map with the coordinates of their centres: `column`, `row`."""
    rank = {series: i for i, series in enumerate(cells.series.unique())}
    return cells.assign(column=cells.x - cells.x.min() + 0.5, row=cells.series.map(rank) + 0.5)


def _label_heat_map(ax: Axes, noises: list[str], places: list[float], rows: list[str]) -> None:
    if _upright(noises):
        ax.set_xticks(places, noises, rotation=90)
    elif style.needs_tilt(noises):
        ax.set_xticks(places, noises, rotation=35, ha="right", rotation_mode="anchor")
    else:
        ax.set_xticks(places, [style.noise_label(noise) for noise in noises])
    ax.set_yticks(np.arange(len(rows)) + 0.5, [style.noise_label(name) for name in rows], rotation=0)
    ax.tick_params(length=0)
    ax.set(xlabel="tested with", ylabel="trained with")


def _upright(noises: list[str]) -> bool:
    """Whether there are so many columns that their labels must stand upright."""
    return len(set(noises)) > 2 * style.MOST_CELLS


def curves(ax: Axes, marks: pd.DataFrame, title: str, looks: style.Looks, task: pd.DataFrame) -> None:
    """Mean return against the noise, on the scale of all marks of the task.

    Bands are over training runs, faint lines single seeds. Points are hollow if runs are missing or there is only one.
    """
    for (series, _), seed in tuple_groups(marks[marks.kind == "seed"], ["series", "train_seed"], sort=True):
        seed = seed.sort_values("x")
        ax.plot(seed.x, seed["mean"], color=looks[series].colour, lw=0.5, alpha=0.35, label=f"_seed {series}")
    for series, line in groups(marks[marks.kind == "curve"], "series"):
        line, look = line.sort_values("x"), looks[series]
        over_seeds = line[~line.mark.str.contains("one seed")]
        ax.fill_between(over_seeds.x, over_seeds.ci_low, over_seeds.ci_high, color=look.colour, alpha=0.15, lw=0)
        ax.plot(line.x, line["mean"], color=look.colour, lw=1.3, label=series)
        for face, points in ((look.colour, line[line.mark == ""]), ("white", line[line.mark != ""])):
            ax.plot(points.x, points["mean"], look.marker, color=look.colour, mfc=face, ms=4, mew=0.9, label="_marks")
    for series, line in groups(marks[marks.kind == "random"], "series"):
        ax.plot(line.x, line["mean"], "--", color=style.REFERENCE, lw=0.9, label=series)
    measured = marks[marks["mean"].notna()]
    if absent := sorted(set(marks.series) - set(measured.series)):
        ax.text(0.98, 0.97, "not done: " + ", ".join(absent), transform=ax.transAxes, ha="right", va="top")
    _frame(ax, marks, task)
    ax.set_title(textwrap.fill(title, 52))


def _frame(ax: Axes, marks: pd.DataFrame, task: pd.DataFrame) -> None:
    """Ticks at the evaluation noises, and limits from the means: the frame cuts wide intervals."""
    noises = marks[marks.kind == "curve"].drop_duplicates("x").sort_values("x")
    low, high = task["mean"].min(), task["mean"].max()
    room = 0.35 * (high - low) or 1
    bottom = max(low - room, min(low - 0.05 * room, task.ci_low.min()))
    ax.set_ylim(bottom, min(high + room, max(high + 0.05 * room, task.ci_high.max())))
    axis = marks.axis.iloc[0]
    names = [style.setting_label(noise, axis) for noise in noises.eval_noise]
    if axis == "strength":
        names = ["clean" if noise == "clean" else f"{x:g}" for noise, x in zip(noises.eval_noise, noises.x, strict=True)]
    ax.set_xticks(list(noises.x), names)
    ax.set(xlabel="tested with" + (": strength of the noise" if axis == "strength" else ""), ylabel="return per episode")
    ax.grid(axis="y", lw=0.3, alpha=0.6)


def add_legend_and_caption(figure: Figure, axes: Sequence[Axes], caption: str) -> None:
    """One legend for all curves and the caption beneath the panels. The page grows by their height."""
    handles = {name: line for ax in axes for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    line, width = 1.35 * style.FONT / 72, figure.get_figwidth()
    columns = max(1, int(width / (0.45 + 0.062 * max(map(len, handles), default=1))))
    rows = -(-len(handles) // columns)
    caption_height = line * (caption.count("\n") + 1) + 0.1
    height = figure.get_figheight() + caption_height + 1.15 * line * rows
    figure.set_figheight(height)
    bottom = (caption_height + 1.15 * line * rows) / height
    figure.set_layout_engine("constrained", rect=(0, bottom, 1, 1 - bottom))
    figure.text(0.06 / width, 0.06 / height, caption, fontsize=style.FONT - 0.5, va="bottom", linespacing=1.25)
    if handles:
        legend = figure.legend(
            list(handles.values()),
            list(handles),
            loc="lower left",
            bbox_to_anchor=(0, caption_height / height),
            ncols=columns,
            frameon=False,
            borderaxespad=0.1,
            handlelength=1.8,
        )
        legend.set_in_layout(False)


def caption(marks: pd.DataFrame) -> str:
    """What the marks mean: the unit, the interval, and hatched and hollow marks."""
    names = ", ".join(name for name in marks.note.dropna().unique() if name)
    text = (
        f"Return per episode, mean over training seeds of per-seed means at the last checkpoint. ± and bands: {names} "
        f"interval. Colour: from the lowest to the highest score of the task ({_ranges(marks)}). Faint lines: single "
        "training seeds. The frame cuts wider bands."
    )
    if marks.mark.fillna("").ne("").any():
        text += (
            " Hatched and hollow: one trained model only (no band; its ± is evaluation precision, no claim about the "
            "method), or runs that are not done or not evaluated, which are left out."
        )
    return text


def _ranges(marks: pd.DataFrame) -> str:
    """`dmc/walker_walk 20 to 810`: the scores that the colours span, task by task."""
    measured = marks[(marks.kind == "cell") & marks["mean"].notna()]
    ranges = [
        f"{task} {cells['mean'].min():.4g} to {cells['mean'].max():.4g}" for task, cells in groups(measured, "task", sort=True)
    ]
    return ", ".join(ranges) or "none yet"
