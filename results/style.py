"""Palette, order, labels and sizes: only this file decides how figures look and in which order things stand."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMN = 3.4  # inches: one column of a two-column page, the width of one panel
FONT = 7.5  # points, at the printed size
# Wong's palette (Nature Methods 8, 441) with two of Tol's for its yellow and black: CIE76 distances of all pairs are at
# least 16 with normal sight and with each colour blindness, complete (Machado et al. 2009). Black is for references.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288"]
REFERENCE = "#000000"  # random play
STORED = ["#A0A0A0", "#5E5E5E", "#C4C4C4", "#B0A890"]  # stored results of others
HEAT = "cividis"
DIVERGING = "RdBu"  # around zero; blue is more
MOST_CELLS = 7  # columns of a heat map whose cells have room for text
MARKS = "osD^v<>p"
BASE = {"dreamer", "none", "clean"}  # words of a label that name no departure from the whole agent
WHOLE = ("", "dreamerv3")  # what is left of the label of the whole agent, ours or the original
KEPT = {"": 0, "dreamerv3": 0, "repo": 1}  # slots of the palette that no other name asks for
KEEP = 2
RC = {
    "font.size": FONT,
    "axes.titlesize": FONT + 0.5,
    "axes.labelsize": FONT,
    "xtick.labelsize": FONT - 0.5,
    "ytick.labelsize": FONT - 0.5,
    "legend.fontsize": FONT - 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "dreamproof",
    "figure.dpi": 200,
}


def ablation_order(ablation: str) -> tuple:
    """Sort key: the baseline first."""
    return ablation != "none", ablation


def in_reading_order(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by the columns `by`: noises from clean to strong, and the baseline before other ablations."""
    from results.scoring.noises import noise_order

    orders: dict[str, Callable[[str], tuple[Any, ...]]]
    orders = {"ablation": ablation_order, "train_noise": noise_order, "eval_noise": noise_order}
    keys = table[list(by)].apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    return table.loc[keys.sort_values(list(by), kind="stable").index]


def distinct(places: Iterable[float]) -> bool:
    """Whether labels at these places of an axis from 0 on stay apart: at least a tenth of the axis from each other."""
    ordered_places = sorted(places)
    return all(b - a >= 0.1 * ordered_places[-1] for a, b in itertools.pairwise(ordered_places))


def ticks(places: Iterable[float]) -> list[float]:
    """The places of an axis from 0 on that can have a label: from the left, at least a tenth of the axis from each other."""
    labelled: list[float] = []
    for place in (ordered_places := sorted(set(places))):
        if not labelled or place - labelled[-1] >= 0.1 * ordered_places[-1]:
            labelled.append(place)
    return labelled


def label(noise: str) -> str:
    """A noise on an axis: its own spelling, broken before its settings, and inside a long name."""
    lines = re.sub(r"([:,+])", r"\1\n", noise).split("\n") if len(noise) > 12 else [noise]
    return "\n".join(re.sub(r"_", "_\n", line, count=1) if len(line) > 14 else line for line in lines)


def tilted(noises: Iterable[str]) -> bool:
    """Whether the labels of a heat map's columns must be tilted, unbroken, to fit one printed column."""
    lines = [line for noise in noises for line in label(noise).split("\n")]
    return len(set(noises)) * max(map(len, lines)) > 44


def setting(noise: str, axis: str) -> str:
    """A noise on an axis that already names its family: `10` where the axis is its strength, else its settings."""
    value = noise.partition(":")[2] or noise.partition("@")[2] or noise
    return value.partition("=")[2] or value if axis == "strength" and "," not in value else value.replace(",", "\n")


def colours(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Label -> (colour, marker), chosen by the name and not by who else is drawn, so that figures of one paper agree.

    A method has the colour that its name asks for, the next free one where two ask for the same: leaving a method out
    changes nobody else but those. The whole agent, trained clean, is always the first; `dreamer repo`, `repo, clean` and
    `repo` are one method. From the ninth on colours repeat with other markers.
    """
    looks: dict[str, tuple[str, str]] = {}
    slots = range(len(COLOURS))
    taken: set[int] = set()
    for label in sorted(dict.fromkeys(labels), key=lambda name: (_method(name) not in KEPT, _method(name), name)):
        lap, want = len(looks) // len(COLOURS), _place(label)
        taken = taken if len(taken) < len(COLOURS) else set()
        free = [slot for slot in slots if slot not in taken]
        slot = min(free, key=lambda slot: (slot < KEEP and slot != want, (slot - want) % len(COLOURS)))
        taken.add(slot)
        looks[label] = COLOURS[slot], MARKS[(slot + lap) % len(MARKS)]
    return looks


def ordered(labels: Iterable[str]) -> list[str]:
    """Methods as they stand in every figure: the whole agent first, then by name."""
    return sorted(dict.fromkeys(labels), key=lambda name: (_method(name) not in WHOLE, name))


def _method(label: str) -> str:
    """What of a label tells methods apart, however a figure spells it."""
    return " ".join(word for word in re.split(r"[ ,]+", label) if word not in BASE)


def _place(label: str) -> int:
    """The palette's slot that a name asks for: that of KEPT, or one of the rest."""
    name = _method(label)
    return KEPT[name] if name in KEPT else KEEP + zlib.crc32(name.encode()) % (len(COLOURS) - KEEP)


def stored(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Label of somebody else's stored results -> (colour, marker): greys, so that only our lines have colours."""
    return {name: (STORED[i % len(STORED)], ".") for i, name in enumerate(labels)}
