"""When something is due: gradient updates by the training ratio, and events every so many steps."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


class Ratio:
    """How many updates are due at a policy step, so that `ratio` time steps are replayed per policy step.

    The first call asks for one update; afterwards `n = floor((step - prev) * ratio / (B T))` and `prev` advances by
    `n B T / ratio`, as in danijar/dreamerv3 (`embodied/core/when.py`). `prev` is not kept but derived from the whole
    number of updates given out, in exact arithmetic: after any number of calls at any steps no rounding has added up,
    and the count is `1 + floor((step - first) * ratio / (B T))`. A ratio is the decimal number that was written (0.1 is
    one tenth, not its nearest float). Ratio 0: never.
    """

    def __init__(self, ratio: float, *, batch: int, length: int):
        """`ratio` replayed steps per policy step; `batch` x `length` (B x T) trained steps per update."""
        if not 0 <= ratio < float("inf") or batch < 1 or length < 1:
            raise ValueError(f"ratio {ratio}, batch {batch}, length {length}: needs ratio >= 0, batch and length >= 1")
        self._rate = Fraction(str(ratio)) / (batch * length)  # updates per policy step
        self._first: int | None = None  # the policy step of the first call
        self._done = 0  # updates given out since, without that of the first call

    def __call__(self, step: int) -> int:
        """Updates due at policy step `step`; the caller is expected to do them all."""
        if not self._rate:
            return 0
        if self._first is None:
            self._first = int(step)
            return 1
        due = max(0, int((int(step) - self._first) * self._rate) - self._done)
        self._done += due
        return due

    def state(self) -> dict[str, Any]:
        """Everything that moves, the fractional credit included, as JSON."""
        return {"first": self._first, "done": self._done}

    def load(self, state: dict[str, Any]) -> None:
        self._first, self._done = state["first"], state["done"]


class Every:
    """True once whenever the step reached or passed the next multiple of `every`, however far it jumped; 0: never."""

    def __init__(self, every: int, *, at_start: bool = False):
        if every < 0:
            raise ValueError(f"every {every}: needs 0 (never) or a positive number of steps")
        self._every, self._passed = every, -1 if at_start else 0

    def __call__(self, step: int) -> bool:
        if not self._every or step // self._every <= self._passed:
            return False
        self._passed = step // self._every
        return True

    def state(self) -> dict[str, Any]:
        return {"passed": self._passed}

    def load(self, state: dict[str, Any]) -> None:
        self._passed = state["passed"]
