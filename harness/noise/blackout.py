"""Blackouts: stretches of entirely black frames.

At every step outside a blackout, a blackout begins with probability `chance`. It makes this frame and the following ones
black, `length` in all; then the next step is outside again. In the long run a share of
length / (length + (1 - chance) / chance) is black.
The schedule depends on the episode's key alone, so it is the same for every agent and for a resumed run.

`black6` of the founding study is not defined there. It is bound here to blackout:length=6,chance=0.05 (24 % black). The two
other readings: six black patches per frame (patches:count=6,size=8), and every frame black with probability 0.6
(blackout:length=1,chance=0.6).

Severities: 1, 3 and 5 are RWRL's easy, medium and hard dropped observations (Dulac-Arnold et al., arXiv:2003.11881: 1, 5, 10
steps with chance 0.01, 0.05, 0.1), 2 and 4 lie between. The strength is `chance`: at 0 nothing is black, which no `length`
gives; blackouts of one length, and the severities, whose length grows with their chance, are points of one curve.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
from pydantic import Field

from harness.noise import PixelNoise
from harness.rng import Key


class Blackout(PixelNoise):
    """Sets whole frames to 0 for `length` steps at a time."""

    kind: ClassVar[str] = "blackout"
    STRENGTH: ClassVar[str] = "chance"
    SEVERITY: ClassVar = {
        i: {"length": n, "chance": p} for i, (n, p) in enumerate(((1, 0.01), (3, 0.03), (5, 0.05), (7, 0.07), (10, 0.1)), 1)
    }
    NATIVE_SEVERITY: ClassVar = SEVERITY

    length: int = Field(ge=1, le=100_000, description="black frames in a row, a whole number from 1 to 100000")
    chance: float = Field(ge=0, le=1, description="probability that a blackout begins at a step outside one, 0 to 1")

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        return np.zeros_like(array) if self.black(key, step) else array

    def black(self, key: Key, step: int) -> bool:
        """Whether step `step` (0 is the observation of the reset) of the key's episode is black."""
        steps = max(1024, 1 << int(step).bit_length())
        return bool(_schedule(key, self.length, self.chance, steps)[step])


@lru_cache(maxsize=256)
def _schedule(key: Key, length: int, chance: float, steps: int) -> np.ndarray:
    """(steps,) bool, true where a step is black; a longer schedule begins with the shorter one.

    The steps before each blackout are geometric, by inversion: P(gap >= k) = (1 - chance)^k. One uniform number each, so
    that a larger chance moves the same blackouts closer together.
    """
    black = np.zeros(steps, bool)
    if not chance:
        return black
    uniforms = key.generator().random(steps // length + 1)
    with np.errstate(divide="ignore"):  # chance 1: log of 0, and no gaps
        gaps = np.log1p(-uniforms) / np.log1p(-chance)
    starts = np.cumsum(np.minimum(np.floor(gaps), steps)) + np.arange(len(gaps)) * length
    for start in starts[starts < steps].astype(int):
        black[start : start + length] = True
    return black


NOISE = Blackout
ALIASES = {"black6": {"length": 6, "chance": 0.05}}
