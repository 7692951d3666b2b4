"""A counter for tests, with known best and random returns: it counts 0, 1, 2, 3, 0, ..., and actions name its half.

Dynamics. The seed draws an episode's first count c_0 uniformly from {0, 1, 2, 3}; c_t = (c_0 + t) mod 4 whatever the agent
does. The observation shows c_t: one-hot float32 (4,) under `vector`, or a white bar, a quarter of the frame wide, in the
c_t-th quarter of a black frame of `size` x `size` pixels (default 64) under `image`; with `mark` > 0 a white square of so
many pixels in the middle of that quarter instead, which a distractor can all but hide. The target is 0 for counts 0 and 1,
and 1 for counts 2 and 3.

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
    options={"length": 20, "size": 64, "mark": 0},
)


def modalities(task: str) -> tuple[bool, bool]:
    return task.startswith("image"), task.startswith("vector")


def returns(task: str, length: int = 20) -> tuple[float, float]:
    """Expected return of uniformly random actions, and the best return."""
    return (1 - 0.5**length if task.endswith("terminal") else length / 2), float(length)


def make(task: str, length: int = 20, size: int = 64, mark: int = 0) -> Counter:
    if not isinstance(length, int) or length < 1:
        raise BadInput(f"Option length={length!r} of counter must be a whole number of at least 1.")
    if not isinstance(size, int) or size < 16 or size % 16:
        raise BadInput(f"Option size={size!r} of counter must be a multiple of 16 pixels.")
    if not isinstance(mark, int) or not 0 <= mark <= size // COUNTS:
        raise BadInput(f"Option mark={mark!r} of counter must be 0 or at most a quarter of size={size}.")
    discrete = not task.endswith("continuous")
    frames = _frames(size, mark) if task.startswith("image") else None
    return Counter(frames=frames, discrete=discrete, fatal=task.endswith("terminal"), length=length)


def _frames(size: int, mark: int) -> np.ndarray:
    """The frame of each count: (COUNTS, size, size, 3) uint8."""
    frames, quarter = np.zeros((COUNTS, size, size, 3), np.uint8), size // COUNTS
    height, width = (mark, mark) if mark else (size, quarter)
    top = (size - height) // 2
    for count in range(COUNTS):
        x = count * quarter + (quarter - width) // 2
        frames[count, top : top + height, x : x + width] = 255
    return frames


class Counter:
    """The environment whose dynamics stand at the head of this file; `fatal`: a wrong action terminates."""

    def __init__(self, *, frames: np.ndarray | None, discrete: bool, fatal: bool, length: int):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        vector = {"vector": Space((COUNTS,), "float32")}
        obs = vector if frames is None else {"image": Space(frames.shape[1:], "uint8")}
        self.spec = Spec(obs, Space((), "int32", classes=2) if discrete else Space((1,), "float32"))
        self._frames, self._discrete, self._fatal, self._length = frames, discrete, fatal, length
        self._count = self._time = 0

    def reset(self, seed: int) -> Arrays:
        self._count = int(np.random.Generator(np.random.Philox(seed)).integers(COUNTS))
        self._time = 0
        return self._obs()

    def step(self, action: np.ndarray) -> Step:
        reward = self._reward(action)
        self._time += 1
        self._count = (self._count + 1) % COUNTS
        terminated = self._fatal and reward == 0
        return Step(self._obs(), reward, terminated, not terminated and self._time >= self._length)

    def close(self) -> None:
        pass

    def _reward(self, action: np.ndarray) -> float:
        target = self._count // 2
        if self._discrete:
            return float(int(action) == target)
        return float(1 - abs(np.clip(np.asarray(action, np.float64).item(), -1, 1) - (2 * target - 1)) / 2)

    def _obs(self) -> Arrays:
        if self._frames is None:
            return {"vector": np.eye(COUNTS, dtype=np.float32)[self._count]}
        frame = self._frames[self._count].copy()
        return {"image": self.native(frame) if self.native else frame}
