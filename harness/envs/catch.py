"""Catch, seen as pixels on a black ground: small things matter, and there is room for a distractor around them.

Dynamics (after bsuite's Catch; Osband et al., arXiv:1908.03568). A grid of 8 x 8 cells. A ball starts in the top row, in a
column drawn uniformly, and falls one row per step; the paddle in the bottom row moves left, stays or moves right (actions
0, 1, 2) and starts in column 3. After 7 steps the ball is in the bottom row, and the next picture is the next ball's first.
An episode is truncated after `balls` balls (default 5). 7 moves reach every column.

- `sparse`: reward 1 if the paddle is where the ball arrives, else 0.
- `dense`: reward 1 - |column of the ball - column of the paddle| / 7 at every step.

`returns` has what uniformly random actions and following the ball get. The observation is an RGB image of `size` x `size`
pixels (default 32): ball and paddle are white cells, all else is black.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.env import Step, Suite
from harness.errors import BadInput

CELLS = 8
TASKS = ("sparse", "dense")
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


def returns(task: str, balls: int = 5) -> tuple[float, float]:
    """Expected return of uniformly random actions and of always moving towards the ball; exact."""
    columns = np.arange(CELLS)
    closeness = 1 - np.abs(columns[:, None] - columns) / (CELLS - 1)  # [paddle, ball]
    rewards = {"sparse": np.eye(CELLS), "dense": closeness}[task]
    drift = np.zeros((CELLS, CELLS))  # transition matrix of the paddle under random actions
    for move in (-1, 0, 1):
        drift[columns, np.clip(columns + move, 0, CELLS - 1)] += 1 / 3
    random, following = np.eye(CELLS)[3], np.eye(CELLS)[3]  # distributions of the paddle's column
    totals = np.zeros(2)
    for _ in range(balls):
        next_following = np.zeros(CELLS)
        for ball in columns:
            chase = np.zeros((CELLS, CELLS))  # transition matrix of the paddle towards this ball
            chase[columns, columns + np.sign(ball - columns)] = 1
            for policy, (paddle, transition) in enumerate(((random, drift), (following, chase))):
                for time in range(1, CELLS):
                    paddle = paddle @ transition
                    totals[policy] += (task == "dense" or time == CELLS - 1) * paddle @ rewards[:, ball] / CELLS
                next_following += paddle / CELLS * policy
        random, following = random @ np.linalg.matrix_power(drift, CELLS - 1), next_following
    return float(totals[0]), float(totals[1])


def make(task: str, balls: int = 5, size: int = 32) -> Catch:
    if not isinstance(balls, int) or balls < 1:
        raise BadInput(f"Option balls={balls!r} of catch must be a whole number of at least 1.")
    if not isinstance(size, int) or size < 16 or size % 16:
        raise BadInput(f"Option size={size!r} of catch must be a multiple of 16 pixels.")
    return Catch(task == "dense", balls, size)


class Catch:
    """The environment whose dynamics stand at the head of this file."""

    def __init__(self, dense: bool, balls: int, size: int):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        self.spec = Spec({"image": Space((size, size, 3), "uint8")}, Space((), "int32", classes=3))
        self._dense, self._balls, self._size = dense, balls, size
        self._columns = np.zeros(balls + 1, int)
        self._time, self._paddle = 0, 3

    def reset(self, seed: int) -> Arrays:
        # One ball more than the paddle can catch: the last picture shows the next ball, as after every other ball.
        self._columns = np.random.Generator(np.random.Philox(seed)).integers(CELLS, size=self._balls + 1)
        self._time, self._paddle = 0, 3
        return self._obs()

    def step(self, action: np.ndarray) -> Step:
        self._paddle = min(max(self._paddle + int(action) - 1, 0), CELLS - 1)
        self._time += 1
        ball, row = divmod(self._time - 1, CELLS - 1)
        distance, landed = abs(int(self._columns[ball]) - self._paddle), row == CELLS - 2
        reward = 1 - distance / (CELLS - 1) if self._dense else float(landed and not distance)
        return Step(self._obs(), reward, False, self._time >= self._balls * (CELLS - 1))

    def close(self) -> None:
        pass

    def _obs(self) -> Arrays:
        ball, row = divmod(self._time, CELLS - 1)
        cells = np.zeros((CELLS, CELLS), np.uint8)
        cells[row, self._columns[ball]] = 255
        cells[-1, self._paddle] = 255
        frame = np.repeat(cells.repeat(self._size // CELLS, 0).repeat(self._size // CELLS, 1)[..., None], 3, -1)
        return {"image": self.native(frame) if self.native else frame}
