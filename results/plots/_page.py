"""A page of panels at printed size with one legend and one caption beneath, and the words that captions share."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.errors import Nothing
from results import style
from results.plots import _panels

# Flags that make a mark hollow or hatched: what stands there is incomplete, or one training run only.
INCOMPLETE = ("one_run", "one_seed", "unreplicated", "one_run_of_x", "one_run_of_y", "one_episode", "unfinished")
INCOMPLETE += ("missing_cells", "missing_tasks", "fewer_tasks", "no_baseline")


def needed(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The table, if it has rows. Nothing says what there is none of."""
    if not len(table):
        raise Nothing(f"None of these runs has {what}.")
    return table


def marks(flags: pd.Series) -> pd.Series:
    """`one run; unfinished`: those of the flags for which a mark is drawn hollow; mostly ''."""

    def mark(text: str) -> str:
        names = [flag.partition(":")[0] for flag in text.split(";")]
        return "; ".join(name.replace("_", " ") for name in names if name in INCOMPLETE)

    return flags.fillna("").map(mark)


def page(
    panels: Sequence[Hashable | None],
    paint: Callable[[Axes, Any], None],
    text: str,
    height: float | Sequence[float],
    abreast: int = 2,
    width: float = 0,
) -> Figure:
    """One panel after the other, `abreast` in a row; `paint(ax, panel)` draws one, None leaves its place empty.

    height: inches of every row, or of each; width: inches of the page, default a printed column per panel.
    """
    columns = min(abreast, len(panels))
    rows = -(-len(panels) // columns)
    heights = [height] * rows if isinstance(height, (int, float)) else list(height)
    width = width or style.COLUMN * columns
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
        for ax, panel in itertools.zip_longest(axes, panels):
            paint(ax, panel) if panel is not None else ax.remove()
        _panels.foot(figure, figure.axes, textwrap.fill(text, int(19 * width)))
    return figure


def counted(values: Iterable[float]) -> str:
    """`5`, or `3 to 5` where they differ."""
    from results.tables._text import count_range

    return count_range(values)


def about(drawn: pd.DataFrame, runs: str = "runs") -> str:
    """n, unit and final-score rule of normalised scores, for a caption."""
    kinds = drawn.drop_duplicates(["benchmark", "normaliser"])
    unit = "; ".join(f"{row.benchmark}: {row.normaliser}" for row in kinds.itertuples())
    rules = ", ".join(dict.fromkeys(drawn.final)) if "final" in drawn else ""
    n = f"n = {counted(drawn[runs])} training runs in {counted(drawn.tasks)} tasks per method."
    return f"Normalised score, 0 and 1 = {unit}. {n}" + (f" Final-score rule: {rules}." if rules else "")


def bootstrap(drawn: pd.DataFrame, what: str = "Bars") -> str:
    """What an interval over training runs is, for a caption."""
    reps = f"{drawn.reps.iloc[0]:,} replicates"
    return f"{what}: {confidence(drawn)} percentile interval, stratified bootstrap of training runs within each task, {reps}."


def flagged(drawn: pd.DataFrame, who: str, meaning: Mapping[str, str]) -> str:
    """Every flag of the marks once, whose it is and what it means: `unfinished (a 2, b 1): runs that are not done.`"""
    if "benchmark" in drawn and drawn.benchmark.nunique() > 1:
        drawn = drawn.assign(**{who: drawn[who] + " on " + drawn.benchmark})
    found: dict[str, dict[str, str]] = {}
    for row in drawn.drop_duplicates([who, "flags"]).to_dict("records"):
        for flag in filter(None, str(row["flags"] or "").split(";")):
            name, _, many = flag.partition(":")
            counts = found.setdefault(name, {})
            counts[row[who]] = many if counts.get(row[who], many) == many else "some"
    everyone = drawn[who].nunique()
    said = []
    for name, counts in found.items():
        plain = len(counts) == everyone > 3 and not any(counts.values())
        whose = "all" if plain else ", ".join(f"{label}: {many}".strip(": ") for label, many in counts.items())
        said.append(f"{name.replace('_', ' ').capitalize()} ({whose}): {meaning[name]}.")
    return " ".join(said)


def hollow(drawn: pd.DataFrame, shape: str = "Hollow") -> str:
    """The sentence about marks that are drawn otherwise, where there are any."""
    return f"{shape}: incomplete, or one training run only, as said here." if drawn["mark"].ne("").any() else ""


def confidence(drawn: pd.DataFrame) -> str:
    """`95 %`."""
    return f"{100 * drawn.confidence.iloc[0]:g} %"


def sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)
