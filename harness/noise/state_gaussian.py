"""Gaussian noise on state vectors, in units of each dimension's standard deviation under a random policy.

The reference is stored in `state_std.json`: per task and observation key, the standard deviation of every dimension
over 10 episodes of a policy that draws actions uniformly (episode seeds 2**31 + 0..9, actions keyed "state_std").
Dimensions that never move there have size 0 and stay untouched (the touch sensors of manipulator and stacker).
`python -m harness.noise.state_gaussian TASK...` measures and stores tasks. With `unit=absolute` the same std is added to
every dimension, in the task's own units, and nothing is looked up.

Severities: 1, 3 and 5 are the sizes of RWRL's easy, medium and hard (0.1, 0.3, 1.0; absolute there; Dulac-Arnold et al.,
arXiv:2003.11881), 2 and 4 their geometric means.
"""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from harness.env import random_action
from harness.errors import BadInput
from harness.noise import Noise
from harness.rng import Key

STORE = Path(__file__).with_name("state_std.json")
EPISODES = 10
FIRST_SEED = 2**31  # disjoint from training's and evaluation's


class StateGaussian(Noise):
    """Adds N(0, (std * size)^2) to every dimension of every float vector; `bind_task` looks the sizes up."""

    kind: ClassVar[str] = "state_gaussian"
    on: ClassVar[Literal["pixels", "vectors", "any"]] = "vectors"
    STRENGTH: ClassVar[str] = "std"
    SEVERITY: ClassVar = {i: {"std": s} for i, s in enumerate((0.1, 0.17, 0.3, 0.55, 1.0), 1)}

    std: float = Field(ge=0, le=100, description="standard deviation in units of `unit`, 0 to 100")
    unit: Literal["reference", "absolute"] = Field(
        "reference",
        description="reference (each dimension's standard deviation under a random policy) or absolute",
    )
    _by_key: dict[str, StateGaussian] = PrivateAttr(default_factory=dict)  # filled by `bind_task`
    _size: np.ndarray | None = PrivateAttr(None)  # of the one observation key that `for_key` returns it for

    def bind_task(self, task: str) -> Noise:
        if self.unit == "absolute":
            return self
        if task not in reference():
            raise BadInput(
                f"Noise '{self}' needs the reference standard deviations of '{task}', and none are stored. Use "
                f"'{self},unit=absolute', or measure them: python -m harness.noise.state_gaussian {task}"
            )
        bound = self.model_copy()
        bound._by_key = {name: self._with_size(size) for name, size in reference()[task].items()}
        return bound

    def _with_size(self, size: list[float]) -> StateGaussian:
        copy = self.model_copy()
        copy._size = np.asarray(size, np.float32)
        return copy

    def for_key(self, name: str) -> Noise:
        return self._by_key.get(name, self)

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        if not self.std:
            return array
        if self.unit == "reference" and self._size is None:
            raise ValueError(f"'{self}' must be bound to a task and an observation key before it is applied")
        noise = key.generator(step).standard_normal(array.shape, np.float32)
        noise *= np.float32(self.std) if self._size is None else np.float32(self.std) * self._size
        return array + noise

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StateGaussian) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


@lru_cache(maxsize=1)
def reference() -> dict[str, dict[str, list[float]]]:
    """Task -> observation key -> standard deviation of every dimension."""
    return json.loads(STORE.read_text()) if STORE.exists() else {}


def measure(task: str) -> dict[str, list[float]]:
    """Standard deviations of a task's vectors over random-policy episodes, to 6 significant digits."""
    from harness import envs

    env = envs.make(task)
    samples: dict[str, list[np.ndarray]] = {n: [] for n, s in env.spec.obs.items() if s.dtype == "float32"}
    for episode in range(EPISODES):
        actions = Key(0, "state_std", 0, episode).generator()
        obs, over = env.reset(FIRST_SEED + episode), False
        while True:
            for name, values in samples.items():
                values.append(obs[name])
            if over:
                break
            step = env.step(random_action(env.spec.action, actions))
            obs, over = step.obs, step.terminated or step.truncated
    env.close()
    return {n: _round_sizes(np.std(np.stack(values), axis=0, dtype=np.float64)) for n, values in samples.items()}


def _round_sizes(sizes: np.ndarray) -> list[float]:
    constant = 1e-9  # below this a dimension only shows rounding errors
    return [float(f"{size:.6g}") if size > constant else 0.0 for size in sizes.ravel()]


def main(tasks: list[str]) -> None:
    """Measure tasks and add them to the store. The file is replaced as a whole."""
    for task in tasks:
        stored = json.loads(STORE.read_text()) if STORE.exists() else {}
        stored[task] = measure(task)
        lines = ",\n".join(f"  {json.dumps(t)}: {json.dumps(stored[t])}" for t in sorted(stored))
        temporary = STORE.with_suffix(".tmp")
        temporary.write_text("{\n" + lines + "\n}\n")
        os.replace(temporary, STORE)
        print(task, {name: len(sizes) for name, sizes in stored[task].items()}, flush=True)


NOISE = StateGaussian

if __name__ == "__main__":
    main(sys.argv[1:])
