"""The Env protocol: an episode is a function of (seed, actions) alone, which is what resume and paired noise rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agents.protocol import Arrays, Spec


@dataclass(frozen=True)
class Step:
    """What a simulator answers to an action: `terminated` ends the task, `truncated` only the episode."""

    obs: Arrays
    reward: float
    terminated: bool
    truncated: bool


class Env(Protocol):
    """One simulator. `reset(seed)` makes everything that follows a function of the seed and the actions, bit for bit.

    Observations are dicts with the keys, shapes and dtypes of `spec.obs`, owned by the caller (never overwritten later).
    Continuous actions are clipped to [-1, 1] here and scaled to the simulator's own range. `native`, where not None, is
    applied to the simulator's own frame (uint8) before any resizing. An environment may have `bare(action)`, which steps its
    simulator without observing it and says whether the episode is over: `bench env` compares the two.
    """

    spec: Spec
    native: Callable[[np.ndarray], np.ndarray] | None

    def reset(self, seed: int) -> Arrays: ...

    def step(self, action: np.ndarray) -> Step: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Suite:
    """What a suite file (`harness/envs/<suite>.py`) says of itself as data, in `SUITE`.

    `steps` default budget in policy steps; `repeat` environment frames per policy step; `envs` parallel environments;
    `ratio` replayed time steps per policy step; `pixels`/`vectors`: what its observations hold
    (None: only known once the task is made); `source` of the protocol; `options`: keyword options of `make` with defaults.
    """

    steps: int
    repeat: int
    envs: int
    ratio: float
    pixels: bool | None
    vectors: bool | None
    source: str
    options: dict[str, object]
    modules: tuple[str, ...] = ()  # distributions whose versions are part of a result: ("ale-py",)
