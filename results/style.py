"""Palette, order, labels and sizes: only this file decides how figures look and in which order things stand."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMN = 3.4  # inches: one column of a two-column page, the width of one panel
FONT = 7.5  # points, at the printed size
# Wong's palette (Nature Methods 8, 441) with two of Tol's for its yellow and black: CIE76 distances of all pairs are at
# least 16 with normal sight and with each colour blindness, complete (Machado et al. 2009). Black is for references.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288"]
REFERENCE = "#000000"  # random play
STORED = ["#A0A0A0", "#5E5E5E", "#C4C4C4", "#B0A890"]  # stored results of others
HEAT = "cividis"  # a colour map that every reader sees alike
DIVERGING = "RdBu"  # around zero; blue is more
MOST_CELLS = 7  # columns of a heat map, above which its cells have no room for text
MARKS = "osD^v<>p"
BASE_WORDS = {"dreamer", "none", "clean"}  # words of a label that name no change of the agent
UNCHANGED = ("", "dreamerv3")  # labels of the unchanged agent, ours or the original, without BASE_WORDS
RESERVED = {"": 0, "dreamerv3": 0, "repo": 1}  # label without BASE_WORDS -> its slot of the palette
FIRST_FREE = 2  # slot of the palette
StyleSettings = dict[Any, Any]  # matplotlib types the names of its settings one by one
# StyleSettings of seaborn's style, of its context, and of the files that matplotlib writes.
LINES: StyleSettings = {"axes.spines.top": False, "axes.spines.right": False, "font.sans-serif": ["DejaVu Sans"]}
LINES |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), "black")
SIZES: StyleSettings = {
    "font.size": FONT,
    "axes.titlesize": FONT + 0.5,
    "axes.labelsize": FONT,
    "xtick.labelsize": FONT - 0.5,
    "ytick.labelsize": FONT - 0.5,
    "legend.fontsize": FONT - 0.5,
    "axes.linewidth": 0.6,
    "patch.linewidth": 0.8,
    **{f"{axis}tick.major.{name}": value for axis in "xy" for name, value in (("size", 3.5), ("width", 0.6))},
}
FILES: StyleSettings = {"hatch.linewidth": 0.5, "pdf.fonttype": 42, "svg.hashsalt": "dreamproof", "figure.dpi": 200}


class Look(NamedTuple):
    """How a series is drawn."""

    colour: str
    marker: str


Looks = dict[str, Look]  # label of a series -> its look


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save figures inside: seaborn's style `ticks` and context `paper` with our sizes, and reproducible files."""
    import matplotlib as mpl
    import seaborn as sns

    with sns.axes_style("ticks", rc=LINES), sns.plotting_context("paper", rc=SIZES), mpl.rc_context(FILES):
        yield


def show_literally(figure: Figure) -> None:
    """Names are text: `$` and `\\` in them begin no mathematics. Only the tick labels of a logarithmic axis are mark-up."""
    from matplotlib.text import Text

    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_scale() == "log"]
    ticks = {id(text) for axis in axes for text in axis.findobj(Text) if text is not axis.label}
    for text in figure.findobj(Text):
        if isinstance(text, Text) and id(text) not in ticks:
            text.set_parse_math(False)


def ablation_order(ablation: str) -> tuple[bool, str]:
    """Sort key that puts the baseline first."""
    return ablation != "none", ablation


def in_reading_order(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by the columns `by`: noises from clean to strong, and the baseline before other ablations."""
    from results.scoring.noises import noise_order

    orders: dict[str, Callable[[str], tuple[Any, ...]]]
    orders = {"ablation": ablation_order, "train_noise": noise_order, "eval_noise": noise_order}
    keys = table[list(by)].apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    return table.loc[keys.sort_values(list(by), kind="stable").index]


def are_apart(places: Iterable[float]) -> bool:
    """Whether labels at these places of an axis from 0 on stay apart: at least a tenth of the axis from each other."""
    ordered_places = sorted(places)
    return all(b - a >= 0.1 * ordered_places[-1] for a, b in itertools.pairwise(ordered_places))


def labelled_ticks(places: Iterable[float]) -> list[float]:
    """The places of an axis from 0 on that can have a label: from the left, at least a tenth of the axis from each other."""
    labelled: list[float] = []
    for place in (ordered_places := sorted(set(places))):
        if not labelled or place - labelled[-1] >= 0.1 * ordered_places[-1]:
            labelled.append(place)
    return labelled


def noise_label(noise: str) -> str:
    """A noise on an axis: its own spelling, broken before its settings, and inside a long name."""
    lines = re.sub(r"([:,+])", r"\1\n", noise).split("\n") if len(noise) > 12 else [noise]
    return "\n".join(re.sub(r"_", "_\n", line, count=1) if len(line) > 14 else line for line in lines)


def needs_tilt(noises: Iterable[str]) -> bool:
    """Whether the labels of the columns of a heat map must be tilted to fit one printed column."""
    names = set(noises)
    lines = [line for noise in names for line in noise_label(noise).split("\n")]
    return len(names) * max(map(len, lines)) > 44


def setting_label(noise: str, axis: str) -> str:
    """A noise on an axis that already names its family: `10` if the axis is its strength, else its settings."""
    value = noise.partition(":")[2] or noise.partition("@")[2] or noise
    return value.partition("=")[2] or value if axis == "strength" and "," not in value else value.replace(",", "\n")


def looks_of(labels: Iterable[str]) -> Looks:
    """The look of every label. It depends on the name and not on the other labels, so that the figures of a paper agree.

    A method has the colour that its name asks for, or the next free one if two names ask for the same. Leaving a method out
    changes only those. The unchanged agent, trained clean, always has the first colour; `dreamer repo`, `repo, clean` and
    `repo` are one method. From the ninth method on, colours repeat with other markers.
    """
    looks: Looks = {}
    slots = range(len(COLOURS))
    used: set[int] = set()
    for label in sorted(dict.fromkeys(labels), key=lambda name: (_method(name) not in RESERVED, _method(name), name)):
        lap, preferred = len(looks) // len(COLOURS), _preferred_slot(label)
        used = used if len(used) < len(COLOURS) else set()
        free = [slot for slot in slots if slot not in used]
        slot = min(free, key=lambda slot: (slot < FIRST_FREE and slot != preferred, (slot - preferred) % len(COLOURS)))
        used.add(slot)
        looks[label] = Look(COLOURS[slot], MARKS[(slot + lap) % len(MARKS)])
    return looks


def in_figure_order(labels: Iterable[str]) -> list[str]:
    """Methods in the order of every figure: the unchanged agent first, then by name."""
    return sorted(dict.fromkeys(labels), key=lambda name: (_method(name) not in UNCHANGED, name))


def _method(label: str) -> str:
    """A label without the words that figures add or leave out."""
    return " ".join(word for word in re.split(r"[ ,]+", label) if word not in BASE_WORDS)


def _preferred_slot(label: str) -> int:
    """The slot of the palette that a name asks for: that of RESERVED, or one by its checksum."""
    name = _method(label)
    return RESERVED[name] if name in RESERVED else FIRST_FREE + zlib.crc32(name.encode()) % (len(COLOURS) - FIRST_FREE)


def looks_of_stored(labels: Iterable[str]) -> Looks:
    """The looks of other people's stored results: greys, so that only our lines have colours."""
    return {name: Look(STORED[i % len(STORED)], ".") for i, name in enumerate(labels)}
