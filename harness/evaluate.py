"""Checkpoint x noise grid -> one row per episode. An episode's row depends on the model, the noise and its number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from agents.protocol import Agent
from harness.env import Env
from harness.loop import interact
from harness.noise import Noise
from harness.vector import Vector

Lists = Sequence[Sequence[int]]

LANES = 8  # fixed: a row of a matrix product may depend on the number of rows, so an episode always runs among eight


class Grid:
    """Evaluation of one model under any noise, with environments that are made once.

    Episode i always runs in lane i mod LANES, and every lane plays its own fixed list: no episode is favoured for being
    short. Rows come in the order of their numbers. `vector(environments, noise, lists)` joins the environments, each with
    its list of episode numbers.
    """

    def __init__(self, agent: Agent, make: Callable[[], Env], vector: Callable[[Sequence[Env], Noise, Lists], Vector]):
        self._agent, self._make, self._vector = agent, make, vector
        self._envs: list[Env] = []

    def rows(self, noise: Noise, numbers: Sequence[int], policy: str, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Play the given episodes. Ends early, between two steps, where `stop()` says so."""
        wanted = sorted(numbers)
        lists = [[n for n in wanted if n % LANES == lane] for lane in range(LANES)]
        while len(self._envs) < LANES:
            self._envs.append(self._make())
        finished: dict[int, dict[str, Any]] = {}
        for tick in interact(self._vector(self._envs, noise, lists), self._agent, policy):
            finished |= {row["episode"]: row for row in tick.ended}
            while wanted and wanted[0] in finished:
                yield finished.pop(wanted.pop(0))
            if stop():
                return

    def close(self) -> None:
        for env in self._envs:
            env.close()


def missing(
    rows: Iterable[dict[str, Any]], noises: Sequence[Noise], episodes: int, policy: str, step: int
) -> dict[Noise, list[int]]:
    """Noise -> evaluation episodes that have no row yet for the model of `step`; noises with nothing missing are left out."""
    have = {(r["noise"], r["episode"]) for r in rows if (r["split"], r["step"], r["policy"]) == ("eval", step, policy)}
    grid = {noise: [e for e in range(episodes) if (str(noise), e) not in have] for noise in noises}
    return {noise: numbers for noise, numbers in grid.items() if numbers}
