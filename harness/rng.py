"""Random streams by purpose, all from one seed: counter-based, so that a number depends on its key, never on history."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

TRAIN_SEEDS = 2**30  # episode seeds of training lie in [0, 2**30), those of evaluation at and above it


@dataclass(frozen=True)
class Key:
    """Names an episode's random stream: the same key gives the same numbers, in whatever order they are asked for.

    `seed` of the run (or of the evaluation), `purpose` ("noise", "agent", ...), environment `index`, `episode` number.
    """

    seed: int
    purpose: str
    index: int = 0
    episode: int = 0

    @cached_property
    def _words(self) -> np.ndarray:
        text = f"{self.seed}/{self.purpose}/{self.index}/{self.episode}"
        return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), np.uint64)

    def generator(self, step: int = 0) -> np.random.Generator:
        """The generator of one step: Philox with the key's 128 bits and the step as the counter's highest word."""
        return np.random.Generator(np.random.Philox(key=self._words, counter=np.array([0, 0, 0, step], np.uint64)))

    def child(self, name: str) -> Key:
        """The key of an independent stream under this one, for instance one per noise of a chain."""
        return Key(self.seed, f"{self.purpose}/{name}", self.index, self.episode)


def train_env_seed(run_seed: int, index: int, episode: int) -> int:
    """Seed of the simulator in a training episode: equal for every agent and noise that runs with `run_seed`."""
    return int(Key(run_seed, "env", index, episode).generator().integers(TRAIN_SEEDS))


def eval_env_seed(episode: int) -> int:
    """Seed of the simulator in a published evaluation episode: always 2**30 + its number, disjoint from every training seed."""
    return TRAIN_SEEDS + episode
