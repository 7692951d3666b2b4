"""Checkpoint x noise grid -> one row per episode. An episode's row depends on the model, the noise and its number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from agents.protocol import Agent
from harness.env import Env
from harness.loop import Policy, interact
from harness.noise import Noise
from harness.vector import EpisodeRow, VectorEnv

# Fixed: a row of a matrix product may depend on the number of rows, so an episode is always one of eight side by side.
EVAL_ENVS = 8

EpisodeLists = Sequence[Sequence[int]]  # the episode numbers that each environment plays, in order


class Evaluator:
    """Evaluation of one model under any noise, with environments that are made once.

    Episode i always runs in environment i mod EVAL_ENVS, and every environment plays a list that is fixed in advance: a
    short episode does not make room for more of its kind. `make_vector(environments, noise, episode_lists)` joins the
    environments.
    """

    def __init__(
        self,
        agent: Agent,
        make_env: Callable[[], Env],
        make_vector: Callable[[Sequence[Env], Noise, EpisodeLists], VectorEnv],
    ):
        self._agent, self._make_env, self._make_vector = agent, make_env, make_vector
        self._envs: list[Env] = []

    def play_episodes(
        self,
        noise: Noise,
        episodes: Sequence[int],
        policy: Policy,
        should_stop: Callable[[], bool],
        notice_length: Callable[[int], None] = lambda length: None,
    ) -> Iterator[EpisodeRow]:
        """Play these episodes and yield their rows in the order of their numbers. Ends early where `should_stop()` is true.

        `notice_length` hears at every step how long the longest open episode is.
        """
        pending = sorted(episodes)
        episode_lists = [[number for number in pending if number % EVAL_ENVS == index] for index in range(EVAL_ENVS)]
        while len(self._envs) < EVAL_ENVS:
            self._envs.append(self._make_env())
        finished: dict[int, EpisodeRow] = {}
        lengths = np.zeros(EVAL_ENVS, int)
        for tick in interact(self._make_vector(self._envs, noise, episode_lists), self._agent, policy):
            lengths = np.where(tick.step["is_first"], 0, lengths + 1)
            notice_length(int(lengths.max()))
            finished |= {row["episode"]: row for row in tick.finished_episodes}
            while pending and pending[0] in finished:
                yield finished.pop(pending.pop(0))
            if should_stop():
                return

    def close(self) -> None:
        for env in self._envs:
            env.close()


def missing_episodes(
    rows: Iterable[EpisodeRow], noises: Sequence[Noise], episodes: int, policy: Policy, step: int
) -> dict[Noise, list[int]]:
    """Noise -> evaluation episodes that have no row yet for the model of `step`; noises with nothing missing are left out."""
    model = ("eval", step, policy)
    present = {(row["noise"], row["episode"]) for row in rows if (row["split"], row["step"], row["policy"]) == model}
    missing = {noise: [number for number in range(episodes) if (str(noise), number) not in present] for noise in noises}
    return {noise: numbers for noise, numbers in missing.items() if numbers}
