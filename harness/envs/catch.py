"""Catch, seen as pixels on a black ground: small things matter, and there is room for a distractor around them.

Dynamics (after bsuite's Catch; Osband et al., arXiv:1908.03568). A grid of 8 x 8 cells. A ball starts in the top row, in a
column drawn uniformly, and falls one row per step; the paddle in the bottom row moves left, stays or moves right (actions
0, 1, 2) and starts in column 3. When the ball arrives in the bottom row, after 7 steps, the reward is 1 if the paddle is
there, else 0, and the next ball appears in the next step's picture. An episode is truncated after `balls` balls (default 5).
Best return: the number of balls, since 7 moves reach every column. Uniformly random actions: see `returns`.

The observation is an RGB image of `size` x `size` pixels (default 32): ball and paddle are white cells, all else is black.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.env import Step, Suite
from harness.errors import BadInput

CELLS = 8
TASKS = ("pixels",)
SUITE = Suite(
    steps=20_000,
    repeat=1,
    envs=1,
    ratio=64,
    pixels=True,
    vectors=False,
    source="this file; after bsuite (arXiv:1908.03568)",
    options={"balls": 5, "size": 32},
)


def returns(balls: int = 5) -> tuple[float, float]:
    """Expected return of uniformly random actions (a ball's column does not depend on the paddle's), and the best return."""
    return balls / CELLS, float(balls)


def make(task: str, balls: int = 5, size: int = 32) -> Catch:
    if not isinstance(balls, int) or balls < 1:
        raise BadInput(f"Option balls={balls!r} of catch must be a whole number of at least 1.")
    if not isinstance(size, int) or size < 16 or size % 16:
        raise BadInput(f"Option size={size!r} of catch must be a multiple of 16 pixels.")
    return Catch(balls, size)


class Catch:
    """The dynamics above."""

    def __init__(self, balls: int, size: int):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        self.spec = Spec({"image": Space((size, size, 3), "uint8")}, Space((), "int32", classes=3))
        self._balls, self._size = balls, size
        self._columns = np.zeros(balls + 1, int)
        self._time, self._paddle = 0, 3

    def reset(self, seed: int) -> Arrays:
        # One more than is caught: the last picture shows the next ball as every other does.
        self._columns = np.random.Generator(np.random.Philox(seed)).integers(CELLS, size=self._balls + 1)
        self._time, self._paddle = 0, 3
        return self._obs()

    def step(self, action: np.ndarray) -> Step:
        self._paddle = min(max(self._paddle + int(action) - 1, 0), CELLS - 1)
        self._time += 1
        ball, fallen = divmod(self._time, CELLS - 1)
        reward = float(fallen == 0 and self._columns[ball - 1] == self._paddle)
        return Step(self._obs(), reward, False, ball >= self._balls)

    def close(self) -> None:
        pass

    def _obs(self) -> Arrays:
        ball, row = divmod(self._time, CELLS - 1)
        cells = np.zeros((CELLS, CELLS), np.uint8)
        cells[row, self._columns[ball]] = 255
        cells[-1, self._paddle] = 255
        frame = np.repeat(cells.repeat(self._size // CELLS, 0).repeat(self._size // CELLS, 1)[..., None], 3, -1)
        return {"image": self.native(frame) if self.native else frame}
