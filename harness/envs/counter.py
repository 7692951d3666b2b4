"""A counter whose returns are known in advance, for tests: it runs 0, 1, 2, 3, 0, ... and actions name its half.

Dynamics. The seed draws an episode's first count c_0 uniformly from {0, 1, 2, 3}; c_t = (c_0 + t) mod 4 whatever the agent
does. The observation shows c_t: one-hot float32 (4,) under `vector`, or a white bar, 16 pixels wide, at 16 * c_t of a black
64x64 frame under `image`. The target is 0 for counts 0 and 1, and 1 for counts 2 and 3.

- Discrete tasks: two actions; reward 1 if the action equals the target, else 0.
- `*_continuous`: one action a in [-1, 1]; reward 1 - |a - g| / 2 with g = -1 or 1 for target 0 or 1.
- `*_terminal`: discrete, and a wrong action terminates the episode (with reward 0).

An episode is truncated after `length` (default 20) actions. Expected returns, random (uniform actions) and best:
10 and 20 for discrete and continuous tasks; 1 - 2**-20 = 0.99999905 and 20 for terminal ones. The actions
(0, 0, 1, 1) repeated, blind to the observation, return 20 or 10 or 0 depending on c_0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.env import Step, Suite
from harness.errors import BadInput

COUNTS = 4
TASKS = ("vector", "image", "vector_continuous", "image_continuous", "vector_terminal", "image_terminal")
SUITE = Suite(
    steps=4000,
    repeat=1,
    envs=4,
    ratio=64,
    pixels=None,
    vectors=None,
    source="this file",
    options={"length": 20},
)


def modalities(task: str) -> tuple[bool, bool]:
    return task.startswith("image"), task.startswith("vector")


def returns(task: str, length: int = 20) -> tuple[float, float]:
    """Expected return of uniformly random actions, and the best return."""
    return (1 - 0.5**length if task.endswith("terminal") else length / 2), float(length)


def make(task: str, length: int = 20) -> Counter:
    if not isinstance(length, int) or length < 1:
        raise BadInput(f"Option length={length!r} of counter must be a whole number of at least 1.")
    discrete = not task.endswith("continuous")
    return Counter(pixels=task.startswith("image"), discrete=discrete, fatal=task.endswith("terminal"), length=length)


class Counter:
    """The dynamics above; `fatal`: a wrong action terminates."""

    def __init__(self, *, pixels: bool, discrete: bool, fatal: bool, length: int):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        obs = {"image": Space((64, 64, 3), "uint8")} if pixels else {"vector": Space((COUNTS,), "float32")}
        self.spec = Spec(obs, Space((), "int32", classes=2) if discrete else Space((1,), "float32"))
        self._pixels, self._discrete, self._fatal, self._length = pixels, discrete, fatal, length
        self._count = self._time = 0

    def reset(self, seed: int) -> Arrays:
        self._count = int(np.random.Generator(np.random.Philox(seed)).integers(COUNTS))
        self._time = 0
        return self._obs()

    def step(self, action: np.ndarray) -> Step:
        reward = self._reward(action)
        self._time += 1
        self._count = (self._count + 1) % COUNTS
        dead = self._fatal and reward == 0
        return Step(self._obs(), reward, dead, not dead and self._time >= self._length)

    def close(self) -> None:
        pass

    def _reward(self, action: np.ndarray) -> float:
        target = self._count // 2
        if self._discrete:
            return float(int(action) == target)
        return float(1 - abs(np.clip(np.asarray(action, np.float64).item(), -1, 1) - (2 * target - 1)) / 2)

    def _obs(self) -> Arrays:
        if not self._pixels:
            return {"vector": np.eye(COUNTS, dtype=np.float32)[self._count]}
        frame = np.zeros((64, 64, 3), np.uint8)
        frame[:, 16 * self._count : 16 * (self._count + 1)] = 255
        return {"image": self.native(frame) if self.native else frame}
