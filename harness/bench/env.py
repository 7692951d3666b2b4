"""Environments: policy steps per second on one core, beside those of the bare simulator, which observes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from agents.protocol import Space
from harness import envs
from harness.bench import Options, Row, spread, timed
from harness.env import Env

TAKES = ("task",)
TABLE = {
    "task": "task",
    "steps / s": "steps_per_second",
    "bare simulator, steps / s": "bare_steps_per_second",
    "share": "share_of_bare",
    "load": "load_average",
}
CASES = ({},)
TASKS = ("atari100k/pong", "atari100k/asterix", "dmc/walker_walk", "dmc/cartpole_swingup", "dmc_vision/walker_walk")
STEPS = 200  # per measurement


def measure(options: Options) -> Iterator[Row]:
    for task in [options.task] if options.task else TASKS:
        env = envs.make(task)
        row: Row = {"subject": "env", "task": task}
        row |= spread("seconds_per_step", _seconds(env, _step))
        row["steps_per_second"] = 1 / row["seconds_per_step"]
        if hasattr(env, "bare"):
            row["bare_steps_per_second"] = 1 / spread("x", _seconds(env, _bare))["x"]
            row["share_of_bare"] = row["steps_per_second"] / row["bare_steps_per_second"]
        env.close()
        yield row


def _seconds(env: Env, step: Callable[[Env, np.ndarray], bool]) -> list[float]:
    """Seconds per step under random actions; resets happen where episodes end and are part of it."""
    rng = np.random.default_rng(0)
    env.reset(0)
    actions = [_action(env.spec.action, rng) for _ in range(STEPS)]

    def play() -> None:
        for action in actions:
            if step(env, action):
                env.reset(0)

    return [seconds / STEPS for seconds in timed(play, least=10)]


def _step(env: Env, action: np.ndarray) -> bool:
    now = env.step(action)
    return now.terminated or now.truncated


def _bare(env: Any, action: np.ndarray) -> bool:
    return env.bare(action)


def _action(space: Space, rng: np.random.Generator) -> np.ndarray:
    if space.discrete:
        return np.asarray(rng.integers(space.classes), space.dtype)
    return rng.uniform(-1, 1, space.shape).astype(space.dtype)
