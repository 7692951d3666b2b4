"""The panel of the learning curves: draws a table of marks on axes."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from results import style
from results.reading.records import groups, records, tuple_groups
from results.tables._text import count_range

SPARSE = (0, (1.5, 1.5))  # where runs are missing
FINAL, STOPPED = "final evaluation, clean", "run that is not done"


def panel(ax: Axes, marks: pd.DataFrame, title: str, looks: style.Looks, task: pd.DataFrame) -> None:
    """All marks of one panel, on the scale of all marks of the task."""
    for (series, _), seed in tuple_groups(marks[marks.kind == "seed"], ["series", "train_seed"]):
        seed = seed.sort_values("x")
        ax.plot(seed.x, seed["mean"], color=looks[series].colour, lw=0.4, alpha=0.4, label=f"_seed {series}")
    for series, line in groups(marks[marks.kind == "curve"], "series"):
        band(ax, line.sort_values("x"), looks[series].colour)
        mean_line(ax, line, looks[series].colour, series, 1.3)
    for series, ends in groups(marks[(marks.kind == "stopped") & marks.x.notna()], "series"):
        colour = looks[series].colour
        ax.plot(ends.x, ends["mean"], "x", color=colour, ms=4.5, mew=1.1, zorder=4, label=f"_stopped {series}")
    for series, line in groups(marks[marks.kind == "random"], "series"):
        ax.plot(line.x, line["mean"], "--", color=style.REFERENCE, lw=0.8, dashes=(5, 3), label=series, zorder=1.6)
    for series, line in groups(marks[(marks.kind == "reference") & marks.x.notna()], "series"):
        mean_line(ax, line, looks[series].colour, series, 1.0, zorder=1.5)
    _frame(ax, marks, task)
    _final_marks(ax, marks[marks.kind == "final"], looks)
    ax.set_title(textwrap.fill(title, 52))
    _add_explanations(ax, marks)


def mean_line(ax: Axes, line: pd.DataFrame, colour: str, label: str, width: float, zorder: float = 3) -> None:
    """Solid between neighbouring bins that hold every run; dashed with hollow points where runs are missing."""
    line = line[line["mean"].notna()].sort_values("x")
    is_full = (line.mark == "").to_numpy()
    joined = is_full[1:] & is_full[:-1] & (line.bin_low.to_numpy()[1:] == line.bin_high.to_numpy()[:-1])
    solid, dashed, holes = _with_breaks(line, ~joined), _with_breaks(line, joined), line[~is_full]
    marker = "." if len(line) == 1 else None
    ax.plot(*solid, color=colour, zorder=zorder, lw=width, label=label, marker=marker, ms=4)
    ax.plot(*dashed, color=colour, zorder=zorder, lw=0.8 * width, ls=SPARSE, label=f"_sparse {label}")
    ax.plot(holes.x, holes["mean"], "o", color=colour, zorder=zorder, mfc="white", ms=2.4, mew=0.6, label=f"_missing {label}")


def _with_breaks(line: pd.DataFrame, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y with a NaN after every point whose step to the next is in `breaks`."""
    places = np.flatnonzero(breaks) + 1
    return np.insert(line.x.to_numpy(float), places, np.nan), np.insert(line["mean"].to_numpy(float), places, np.nan)


def band(ax: Axes, line: pd.DataFrame, colour: str) -> None:
    """The interval over training runs, where there are two or more."""
    ax.fill_between(line.x, line.ci_low, line.ci_high, color=colour, alpha=0.15, lw=0)


def _final_marks(ax: Axes, marks: pd.DataFrame, looks: style.Looks) -> None:
    """Marks side by side at the right of the frame; hollow if runs are missing. Bars end where the frame does."""
    figure = ax.get_figure(root=True)
    assert figure is not None, "panels belong to a figure"
    for i, (series, of_series) in enumerate(groups(marks, "series")):
        colour, marker = looks[series]
        aside = ax.transData + ScaledTranslation((5 + 6 * i) / 72, 0, figure.dpi_scale_trans)
        for mark in records(of_series):
            ends = np.clip([mark["ci_low"], mark["ci_high"]], *ax.get_ylim())
            face = "white" if mark["mark"] else colour
            lines = ax.plot([mark["x"]] * 2, ends, lw=0.9, label=f"_interval {series}")
            lines += ax.plot(mark["x"], mark["mean"], marker, ms=4, mew=0.9, label=f"_final {series}")
            for line in lines:
                line.set(color=colour, markerfacecolor=face, transform=aside, clip_on=False, zorder=5)


def _frame(ax: Axes, marks: pd.DataFrame, task: pd.DataFrame) -> None:
    """Limits from the means, not from the widths of intervals; frames as 100k."""
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


def _add_explanations(ax: Axes, marks: pd.DataFrame) -> None:
    """Legend entries for the kinds of mark, and the runs with nothing to show yet."""
    if (marks.kind == "final").any():
        ax.add_line(Line2D([], [], marker=style.MARKS[0], ms=4, label=FINAL, color="0.35", ls="none"))
    if (marks.kind == "stopped").any():
        ax.add_line(Line2D([], [], marker="x", ms=4.5, mew=1.1, label=STOPPED, color="0.35", ls="none"))
    empty = marks[(marks.kind == "stopped") & marks.x.isna()]
    absent = [f"{series} (seed {', '.join(map(str, sorted(runs.train_seed)))})" for series, runs in groups(empty, "series")]
    if absent:
        text = textwrap.fill("no training episode yet: " + ", ".join(absent), 60)
        ax.text(0.98, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=style.FONT - 0.5)


def shorten_labels(ax: Axes, is_first: bool) -> None:
    """Labels for a small panel: fewer ticks; the quantity only on the first of a row, and that of x in the caption."""
    name = ax.get_title().partition("/")[2] or ax.get_title()
    ax.set_title(textwrap.fill(name.replace("_", "_ "), 20).replace("_ ", "_"))  # broken after an underscore
    ax.set(xlabel="", ylabel="return" if is_first else "")
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(4))


def caption(marks: pd.DataFrame, with_axis: bool = False) -> str:
    """What the marks mean: the unit, the bins, the interval, what is incomplete, and the end of references.

    with_axis: explain x, because no panel does.
    """
    text = [
        "Return of training episodes, played under the training noise while learning. Faint: per training run the mean of the "
        "episodes that ended in each bin (left, right] of environment frames, placed at their mean frame. Thick: the mean over "
        "runs. A bin counts only runs with an episode in it."
    ]
    text += [f"x: {'; '.join(marks.axis.unique())}."] if with_axis else []
    curve = marks[marks.kind == "curve"]
    if len(curve):
        text += [f"n = {count_range(curve.of)} training runs per line."]
    names = dict.fromkeys(note.partition("; ")[0] for note in curve.note)
    if intervals := [name for name in names if name.endswith("t-seeds")]:
        text += [f"Bands and bars: {', '.join(intervals)} interval, over training runs; the frame cuts wider ones."]
    if "one training run" in names:
        text += ["No band: one training run there, no claim about the method."]
    if marks[marks.kind.isin(["curve", "reference"])].mark.ne("").any():
        text += ["Dashed, hollow: runs are missing (ended, or in the middle of a long episode, often a good one)."]
    if (marks.kind == "stopped").any():
        text += ["×: end of a run that is not done; its episodes so far are in the mean."]
    if (marks.kind == "final").any():
        text += ["Right of the frame: clean evaluation of the last checkpoint, of runs that are done."]
    losses = curve[curve.note.str.contains("; ")].drop_duplicates("series")
    text += [f"{mark['series']}: {mark['note'].partition('; ')[2]}." for mark in records(losses)]
    references = marks[marks.kind == "reference"]
    if len(references):
        text += ["Grey: stored results of others, mean over their runs in the same bins, in the frames of their protocol."]
        beyond = records(references[references.x.isna()])
        text += [f"{mark['series']}, {mark['task']}: {mark['note']}." for mark in beyond]
    return " ".join(text)
