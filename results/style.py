"""Palette, order, labels and sizes: the only place that knows how things look and in which order they stand."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator

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

_PART = re.compile(r"(?P<family>[^:@+]+)(?:@(?P<level>[^:+]+))?(?::(?P<settings>.*))?")
_ZERO_IS_OFF = {"@", "sigma", "std", "chance", "amount", "probability", "p", "epsilon"}


def parts(noise: str) -> list[tuple[str, dict[str, str]]]:
    """`a:x=1,y=2+b@3` -> [("a", {"x": "1", "y": "2"}), ("b", {"@": "3"})]; `clean` is no part at all."""
    return [_part(text) for text in noise.split("+") if text != "clean"]


def family(noise: str) -> str:
    """`gaussian` of `gaussian:sigma=10`, `a+b` of a chain, `clean` of clean."""
    return "+".join(name for name, _ in parts(noise)) or "clean"


def noise_order(noise: str) -> tuple:
    """Sort key: clean first, then single noises before chains, by family and by the numbers that set their strength."""
    named = parts(noise)
    settings = tuple(_comparable(value) for _, part in named for value in part.values())
    return len(named), tuple(name for name, _ in named), settings, noise


def ablation_order(ablation: str) -> tuple:
    """Sort key: the baseline first."""
    return ablation != "none", ablation


def strengths(noises: Iterable[str]) -> dict[str, float] | None:
    """Noise -> strength where exactly one number varies among noises of one family and zero of it is clean.

    None elsewhere, and where their labels would collide on an axis: then the noises are only ordered.
    """
    leaves = {noise: dict(_leaves(noise)) for noise in noises if noise != "clean"}
    varying = [key for key in _keys(leaves) if len({part.get(key) for part in leaves.values()}) > 1]
    if not varying and len(leaves) == 1:  # one strength only: a number if it is the only one there is
        varying = _keys(leaves)
    if len(varying) != 1 or varying[0].rsplit(".", 1)[-1] not in _ZERO_IS_OFF:
        return None
    try:
        found = {"clean": 0.0} | {noise: float(part[varying[0]]) for noise, part in leaves.items()}
    except (KeyError, ValueError):
        return None
    spots = sorted(found.values())
    apart = min(b - a for a, b in itertools.pairwise(spots))
    return found if apart >= 0.1 * spots[-1] else None


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


def _part(text: str) -> tuple[str, dict[str, str]]:
    match = _PART.fullmatch(text)
    if not match:
        return text, {}
    settings = dict(item.partition("=")[::2] for item in (match["settings"] or "").split(",") if item)
    return match["family"], ({"@": match["level"]} if match["level"] else {}) | settings


def _comparable(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _leaves(noise: str) -> Iterator[tuple[str, str]]:
    for i, (_, settings) in enumerate(parts(noise)):
        for key, value in settings.items():
            yield f"{i}.{key}", value


def _keys(leaves: dict[str, dict[str, str]]) -> list[str]:
    return sorted({key for part in leaves.values() for key in part})
