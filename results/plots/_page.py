"""A page of panels at its printed size, with one legend and one caption beneath, and the sentences that captions share."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.errors import NothingToShow
from results import style
from results.plots import _panels
from results.reading.records import records
from results.tables._text import count_range

Panel = TypeVar("Panel")

# Flags that make a mark hollow or hatched: it is incomplete, or rests on one training run.
INCOMPLETE: tuple[str, ...] = (
    "one_run",
    "one_seed",
    "unreplicated",
    "one_run_of_x",
    "one_run_of_y",
    "one_episode",
    "unfinished",
)
INCOMPLETE += ("missing_cells", "missing_tasks", "fewer_tasks", "no_baseline")


def require_rows(table: pd.DataFrame, content: str) -> pd.DataFrame:
    """The table, if it has rows. Otherwise the error `Nothing`: None of these runs has {content}."""
    if not len(table):
        raise NothingToShow(f"None of these runs has {content}.")
    return table


def score_marks(table: pd.DataFrame, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a table of normalised scores, of these metrics if there are any, with mark. `Nothing` without a row."""
    rows = table[table.metric.isin(metrics)] if metrics else table
    rows = require_rows(rows, "a score that can be normalised")
    return rows.assign(mark=incomplete_marks(rows["flags"])).reset_index(drop=True)


def incomplete_marks(flags: pd.Series) -> pd.Series:
    """`one run; unfinished`: the flags that make each mark hollow; '' for most."""

    def text(flags: str) -> str:
        names = [flag.partition(":")[0] for flag in flags.split(";")]
        return "; ".join(name.replace("_", " ") for name in names if name in INCOMPLETE)

    return flags.fillna("").map(text)


def page(
    panels: Sequence[Panel | None],
    paint_panel: Callable[[Axes, Panel], None],
    caption: str,
    height: float | Sequence[float],
    columns: int = 2,
    width: float = 0,
) -> Figure:
    """One panel after the other, `columns` in a row. `paint_panel(ax, panel)` draws one; None leaves its place empty.

    height: inches of every row, or of each. width: inches of the page, by default a printed column per panel.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    heights = [float(height)] * rows if isinstance(height, (int, float)) else list(height)
    width = width or style.COLUMN * columns
    with style.figure_style():
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
        for ax, panel in itertools.zip_longest(axes, panels):
            if panel is None:
                ax.remove()
            else:
                paint_panel(ax, panel)
        style.show_literally(figure)  # before anything measures a text
        _panels.add_legend_and_caption(figure, figure.axes, textwrap.fill(caption, int(19 * width)))
        FigureCanvasAgg(figure)  # last: with a canvas, seaborn would draw the whole figure after every heat map
    return figure


def about_scores(marks: pd.DataFrame, runs: str = "runs") -> str:
    """n, unit and final-score rule of normalised scores, for a caption."""
    kinds = records(marks.drop_duplicates(["benchmark", "normaliser"]))
    unit = "; ".join(f"{row['benchmark']}: {row['normaliser']}" for row in kinds)
    rules = ", ".join(dict.fromkeys(marks.final)) if "final" in marks else ""
    n = f"n = {count_range(marks[runs])} training runs in {count_range(marks.tasks)} tasks per method."
    return f"Normalised score, 0 and 1 = {unit}. {n}" + (f" Final-score rule: {rules}." if rules else "")


def about_bootstrap(marks: pd.DataFrame, shape: str = "Bars") -> str:
    """The meaning of an interval over training runs, for a caption."""
    reps = f"{marks.reps.iloc[0]:,} replicates"
    return f"{shape}: {confidence(marks)} percentile interval, stratified bootstrap of training runs within each task, {reps}."


def about_flags(marks: pd.DataFrame, owner: str, meaning: Mapping[str, str]) -> str:
    """Every flag of the marks once, its owners and its meaning: `Unfinished (a: 2, b: 1): runs that are not done.`

    owner: the column that names what a flag belongs to.
    """
    if "benchmark" in marks and marks.benchmark.nunique() > 1:
        marks = marks.assign(**{owner: marks[owner] + " on " + marks.benchmark})
    counts_of: dict[str, dict[str, str]] = {}
    for row in records(marks.drop_duplicates([owner, "flags"])):
        for flag in filter(None, str(row["flags"] or "").split(";")):
            name, _, number = flag.partition(":")
            counts = counts_of.setdefault(name, {})
            counts[row[owner]] = number if counts.get(row[owner], number) == number else "some"
    owners = marks[owner].nunique()
    sentences = []
    for name, counts in counts_of.items():
        everywhere = len(counts) == owners > 3 and not any(counts.values())
        listed = "all" if everywhere else ", ".join(f"{label}: {number}".strip(": ") for label, number in counts.items())
        sentences.append(f"{name.replace('_', ' ').capitalize()} ({listed}): {meaning[name]}.")
    return " ".join(sentences)


def about_incomplete(marks: pd.DataFrame, shape: str = "Hollow") -> str:
    """The sentence about hollow or hatched marks, if there are any."""
    return f"{shape}: incomplete, or one training run only, as explained here." if marks["mark"].ne("").any() else ""


def confidence(marks: pd.DataFrame) -> str:
    """`95 %`."""
    return f"{100 * marks.confidence.iloc[0]:g} %"


def sentences(*parts: str) -> str:
    """The parts that are not empty, as one text."""
    return " ".join(part for part in parts if part)
