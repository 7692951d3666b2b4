"""When something is due: gradient updates by the train ratio, and events every so many steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any


class Ratio:
    """How many updates are due at a policy step, so that `ratio` time steps are replayed per policy step.

    The first call asks for one update. Afterwards `n = floor((step - prev) * ratio / (B T))`, and `prev` advances by
    `n B T / ratio`, as in danijar/dreamerv3 (`embodied/core/when.py`). Here `prev` is not stored. It follows from the
    number of updates so far, in exact arithmetic, so that rounding never adds up: after any number of calls at any steps
    the count is `1 + floor((step - first) * ratio / (B T))`. A ratio is the decimal number that was written: 0.1 is one
    tenth, not its nearest float. Ratio 0: never.
    """

    def __init__(self, ratio: float, *, batch: int, length: int):
        """`ratio` replayed steps per policy step; `batch` x `length` (B x T) trained steps per update."""
        if not 0 <= ratio < float("inf") or batch < 1 or length < 1:
            raise ValueError(f"ratio {ratio}, batch {batch}, length {length}: needs ratio >= 0, batch and length >= 1")
        self._rate = Fraction(str(ratio)) / (batch * length)  # updates per policy step
        self._first_step: int | None = None  # the policy step of the first call
        self._updates = 0  # updates asked for since, without that of the first call

    def __call__(self, step: int) -> int:
        """Updates due at policy step `step`; the caller is expected to do them all."""
        if not self._rate:
            return 0
        if self._first_step is None:
            self._first_step = int(step)
            return 1
        updates = max(0, int((int(step) - self._first_step) * self._rate) - self._updates)
        self._updates += updates
        return updates

    def state(self) -> dict[str, Any]:
        """Everything that changes from call to call, as JSON; the fractional credit follows from it."""
        return {"first": self._first_step, "done": self._updates}

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        self._first_step, self._updates = state["first"], state["done"]


def first_update(*, ratio: float, start: int, length: int, envs: int, capacity: int) -> int | None:
    """The policy step of the first update: when the replay holds `start` items. None where that never comes.

    With E environments and one step of context before the `length` trained ones, E (t - length) items are there after t
    steps of each: 1088 for E = 1, length 64 and 1024 items.
    """
    if not ratio or capacity < start:
        return None
    return envs * (length + math.ceil(start / envs))


class Every:
    """True once when the step reaches or passes the next multiple of `every`, however far it jumps; 0: never."""

    def __init__(self, every: int):
        if every < 0:
            raise ValueError(f"every {every}: needs 0 (never) or a positive number of steps")
        self._every, self._multiples = every, 0

    def __call__(self, step: int) -> bool:
        if not self._every or step // self._every <= self._multiples:
            return False
        self._multiples = step // self._every
        return True
