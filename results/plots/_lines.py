"""The panel of the learning curves: draws a table of marks on axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from results import style
from results.tables._text import count_range

SPARSE = (0, (1.5, 1.5))  # where runs are missing
FINAL, STOPPED = "final evaluation, clean", "run that is not done"


def panel(ax: Axes, marks: pd.DataFrame, title: str, looks: dict[str, tuple[str, str]], task: pd.DataFrame) -> None:
    """Everything of one panel, on the scale of all marks of the task."""
    for (series, _), seed in marks[marks.kind == "seed"].groupby(["series", "train_seed"], sort=False):
        seed = seed.sort_values("x")
        ax.plot(seed.x, seed["mean"], color=looks[series][0], lw=0.4, alpha=0.4, label=f"_seed {series}")
    for series, line in marks[marks.kind == "curve"].groupby("series", sort=False):
        band(ax, line.sort_values("x"), looks[series][0])
        mean_line(ax, line, looks[series][0], str(series), 1.3)
    for series, ends in marks[(marks.kind == "stopped") & marks.x.notna()].groupby("series", sort=False):
        ax.plot(ends.x, ends["mean"], "x", color=looks[series][0], ms=4.5, mew=1.1, zorder=4, label=f"_stopped {series}")
    for series, line in marks[marks.kind == "random"].groupby("series", sort=False):
        ax.plot(line.x, line["mean"], "--", color=style.REFERENCE, lw=0.8, dashes=(5, 3), label=series, zorder=1.6)
    for series, line in marks[(marks.kind == "reference") & marks.x.notna()].groupby("series", sort=False):
        mean_line(ax, line, looks[series][0], str(series), 1.0, zorder=1.5)
    _frame(ax, marks, task)
    _final(ax, marks[marks.kind == "final"], looks)
    ax.set_title(textwrap.fill(title, 52))
    _explain(ax, marks)


def mean_line(ax: Axes, line: pd.DataFrame, colour: str, label: str, width: float, zorder: float = 3) -> None:
    """Solid between neighbouring bins that hold every run, dashed with hollow points where runs are missing."""
    line = line[line["mean"].notna()].sort_values("x")
    full = (line.mark == "").to_numpy()
    joined = full[1:] & full[:-1] & (line.bin_low.to_numpy()[1:] == line.bin_high.to_numpy()[:-1])
    alike, holes = {"color": colour, "zorder": zorder}, line[~full]
    ax.plot(*_broken(line, ~joined), lw=width, label=label, marker="." if len(line) == 1 else None, ms=4, **alike)
    ax.plot(*_broken(line, joined), lw=0.8 * width, ls=SPARSE, label=f"_sparse {label}", **alike)
    ax.plot(holes.x, holes["mean"], "o", mfc="white", ms=2.4, mew=0.6, label=f"_missing {label}", **alike)


def _broken(line: pd.DataFrame, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y with a NaN after every point whose step to the next is in `breaks`."""
    at = np.flatnonzero(breaks) + 1
    return np.insert(line.x.to_numpy(float), at, np.nan), np.insert(line["mean"].to_numpy(float), at, np.nan)


def band(ax: Axes, line: pd.DataFrame, colour: str) -> None:
    """The interval over training runs where there are two or more; it ends where there are not."""
    ax.fill_between(line.x, line.ci_low, line.ci_high, color=colour, alpha=0.15, lw=0)


def _final(ax: Axes, finals: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """Marks right of the frame's end, beside each other; hollow where runs are missing; bars end where the frame does."""
    for i, (series, marks) in enumerate(finals.groupby("series", sort=False)):
        colour, marker = looks[series]
        beside = ax.transData + ScaledTranslation((5 + 6 * i) / 72, 0, ax.figure.dpi_scale_trans)
        place = {"color": colour, "transform": beside, "clip_on": False, "zorder": 5}
        for mark in marks.to_dict("records"):
            ends = np.clip([mark["ci_low"], mark["ci_high"]], *ax.get_ylim())
            ax.plot([mark["x"]] * 2, ends, lw=0.9, label=f"_interval {series}", **place)
            face = "white" if mark["mark"] else colour
            ax.plot(mark["x"], mark["mean"], marker, ms=4, mew=0.9, mfc=face, label=f"_final {series}", **place)


def _frame(ax: Axes, marks: pd.DataFrame, task: pd.DataFrame) -> None:
    """Limits set by what was measured, not by how wide intervals are; frames as 100k."""
    low, high = task["mean"].min(), task["mean"].max()
    room = 0.3 * (high - low) or 1
    bottom = max(low - room, min(low - 0.15 * room, task.ci_low.min()))
    top = min(high + room, max(high + 0.15 * room, task.ci_high.max()))
    if np.isfinite([bottom, top]).all():
        ax.set_ylim(bottom, top)
    end = task.x.max()
    ax.set_xlim(0, end if end > 0 else 1)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set(xlabel=marks.axis.iloc[0], ylabel="return per training episode")
    ax.grid(axis="y", lw=0.3, alpha=0.6)


def _explain(ax: Axes, marks: pd.DataFrame) -> None:
    """Legend entries for the kinds of mark, and what has nothing to show yet."""
    grey = {"color": "0.35", "linestyle": "none"}
    if (marks.kind == "final").any():
        ax.add_line(Line2D([], [], marker=style.MARKS[0], ms=4, label=FINAL, **grey))
    if (marks.kind == "stopped").any():
        ax.add_line(Line2D([], [], marker="x", ms=4.5, mew=1.1, label=STOPPED, **grey))
    empty = marks[(marks.kind == "stopped") & marks.x.isna()]
    seeds = empty.groupby("series", sort=False).train_seed.apply(lambda some: ", ".join(map(str, sorted(some))))
    absent = [f"{series} (seed {numbers})" for series, numbers in seeds.items()]
    if absent:
        text = textwrap.fill("no training episode yet: " + ", ".join(absent), 60)
        ax.text(0.98, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=style.FONT - 0.5)


def shrink(axes: Sequence[Axes], columns: int) -> None:
    """Labels for small panels: fewer ticks, the quantities only at the left and, for x, in the caption."""
    for i, ax in enumerate(axes):
        name = ax.get_title().partition("/")[2] or ax.get_title()
        ax.set_title(textwrap.fill(name.replace("_", "_ "), 20).replace("_ ", "_"))  # broken after an underscore
        ax.set(xlabel="", ylabel="return" if i % columns == 0 else "")
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_locator(MaxNLocator(4))


def caption(drawn: pd.DataFrame, columns: int, axis: bool = False) -> str:
    """What the marks mean: the unit, the bin rule, the interval's meaning, what is incomplete and where references end.

    axis: say what x is, where no panel does.
    """
    text = [
        "Return of training episodes, played under the training noise while learning: per training run the mean of the "
        "episodes that ended in each bin (left, right] of environment frames (faint), placed at their mean frame; thick: "
        "the mean over runs. A bin counts only runs with an episode in it."
    ]
    text += [f"x: {'; '.join(drawn.axis.unique())}."] if axis else []
    curve = drawn[drawn.kind == "curve"]
    if len(curve):
        text += [f"n = {count_range(curve.of)} training runs per line."]
    names = dict.fromkeys(note.partition("; ")[0] for note in curve.note)
    if over := [name for name in names if name.endswith("t-seeds")]:
        text += [f"Bands and bars: {', '.join(over)} interval, over training runs; cut at the frame where wider."]
    if "one training run" in names:
        text += ["No band: one training run there, no claim about the method."]
    if drawn[drawn.kind.isin(["curve", "reference"])].mark.ne("").any():
        text += ["Dashed, hollow: runs are missing (ended, or in the middle of a long episode, often a good one)."]
    if (drawn.kind == "stopped").any():
        text += ["×: end of a run that is not done; its episodes so far are in the mean."]
    if (drawn.kind == "final").any():
        text += ["Right of the frame: clean evaluation of the last checkpoint, of runs that are done."]
    losses = curve[curve.note.str.contains("; ")].drop_duplicates("series")
    text += [f"{mark.series}: {mark.note.partition('; ')[2]}." for mark in losses.itertuples()]
    stored = drawn[drawn.kind == "reference"]
    if len(stored):
        text += ["Stored results of others, grey: mean over their runs in the same bins, their protocol's frames."]
        text += [f"{mark.series}, {mark.task}: {mark.note}." for mark in stored[stored.x.isna()].itertuples()]
    return textwrap.fill(" ".join(text), 68 * columns)
