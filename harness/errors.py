"""Errors that the user can correct: what, where, the value given, what is allowed, the nearest match. No traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# Control characters but tab and line break, marks that turn the direction of text, and halves of characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class BadInput(Exception):
    """Input that cannot be used: exit status 2, and this message of one paragraph."""


class NothingToShow(BadInput):
    """The input is correct but holds nothing to show, perhaps not yet."""


class RunFailed(Exception):
    """Something failed while running: exit status 1, and this message of one paragraph."""


def unknown(noun: str, name: object, allowed: Iterable[object], where: str = "") -> BadInput:
    """`No noise 'gausian'. Allowed: ... Did you mean 'gaussian'?` as an exception to raise."""
    names = [str(a) for a in allowed]
    lowered = {n.lower(): n for n in names}
    near = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.6)
    listing = ", ".join(names) if len(names) <= 30 else ", ".join(names[:30]) + f", ... ({len(names)} in all)"
    hint = f" Did you mean '{lowered[near[0]]}'?" if near else ""
    place = f" in {where}" if where else ""
    return BadInput(f"No {noun} '{name}'{place}. Allowed: {listing}.{hint}")


def printable(text: str) -> str:
    """The text with control characters shown as `\\x1b`: nothing in a name or message steers a terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)
