"""The Env protocol: an episode is a function of (seed, actions) alone. Resuming and paired noise rest on that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from agents.protocol import Arrays, JointSpace, Space, Spec


class Mismatch(Exception):
    """A value of a simulator that is not what its space declares. The door (`harness/door.py`) adds where it came from."""

    def __init__(self, key: str, got: str, declared: str, *, finite: bool = True):
        super().__init__(f"'{key}' is {got}, declared is {declared}")
        self.key, self.got, self.declared, self.finite = key, got, declared, finite


@dataclass(frozen=True)
class Step:
    """A simulator's answer to an action: `terminated` ends the task, `truncated` only the episode."""

    obs: Arrays
    reward: float
    terminated: bool
    truncated: bool


class Env(Protocol):
    """One simulator. `reset(seed)` makes everything that follows a function of the seed and the actions, bit for bit.

    Observations are dicts with the keys, shapes and dtypes of `spec.obs`. They are the caller's own and never overwritten.
    The environment clips continuous actions to [-1, 1] and scales them to the simulator's own range. It applies `native`,
    where not None, to the simulator's own frame (uint8) before any resizing.
    """

    spec: Spec
    native: Callable[[np.ndarray], np.ndarray] | None

    def reset(self, seed: int) -> Arrays: ...

    def step(self, action: np.ndarray) -> Step: ...

    def close(self) -> None: ...


@runtime_checkable
class BareEnv(Env, Protocol):
    """An environment that can step its simulator alone: `bench env` compares the two."""

    def step_bare(self, action: np.ndarray) -> bool:
        """Step the simulator without observing it -> whether the episode is over."""
        ...


def random_action(space: Space, rng: np.random.Generator) -> np.ndarray:
    """An action drawn uniformly, in the form that `Env.step` takes."""
    if isinstance(space, JointSpace):
        return space.join({name: random_action(part, rng) for name, part in space.parts.items()})
    if space.discrete:
        return np.asarray(rng.integers(space.classes, size=space.shape), space.dtype)
    return rng.uniform(-1, 1, space.shape).astype(space.dtype)


@dataclass(frozen=True)
class Suite:
    """The facts about a suite, in the constant `SUITE` of its file (`harness/envs/<suite>.py`).

    `steps`: default budget in policy steps; `repeat`: environment frames per policy step; `envs`: parallel environments;
    `ratio`: replayed time steps per policy step; `pixels`, `vectors`: what its observations hold, None where only the made
    environment knows; `source` of the protocol; `options`: keyword options of `make` with their defaults, which stand in
    every run's configuration; `extras`: further options, which stand there only where they differ from their default.
    """

    steps: int
    repeat: int
    envs: int
    ratio: float
    pixels: bool | None
    vectors: bool | None
    source: str
    options: dict[str, object]
    extras: Mapping[str, object] = field(default_factory=dict)
    modules: tuple[str, ...] = ()  # distributions whose versions are part of a result: ("ale-py",)
