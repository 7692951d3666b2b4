"""Errors that are the user's to mend: what, where, got, allowed, and the nearest match. They never show a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """Input that cannot be used: exit status 2 and this message, one paragraph."""


class Nothing(BadInput):
    """The input is well and holds nothing to show, perhaps only not yet."""


class RunFailed(Exception):
    """Something failed while running: exit status 1 and this message, one paragraph."""


def unknown(what: str, name: object, allowed: Iterable[object], where: str = "") -> BadInput:
    """`No noise 'gausian'. Allowed: ... Did you mean 'gaussian'?` as an exception to raise."""
    names = [str(a) for a in allowed]
    lowered = {n.lower(): n for n in names}
    near = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.6)
    listing = ", ".join(names) if len(names) <= 30 else ", ".join(names[:30]) + f", ... ({len(names)} in all)"
    hint = f" Did you mean '{lowered[near[0]]}'?" if near else ""
    place = f" in {where}" if where else ""
    return BadInput(f"No {what} '{name}'{place}. Allowed: {listing}.{hint}")
