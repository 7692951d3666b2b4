"""Environments: policy steps per second, alone beside the bare simulator, which observes nothing; several in processes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from agents.protocol import Space
from harness import build, envs, study
from harness.bench import Options, Row, spread, timed
from harness.env import Env

TAKES = ("task",)
TABLE = {
    "task": "task",
    "environments": "envs",
    "processes": "env_workers",
    "steps / s": "steps_per_second",
    "s to begin a step": "seconds_to_begin",
    "bare simulator, steps / s": "bare_steps_per_second",
    "share": "share_of_bare",
    "other work": "other_cores",
}
CASES = ({},)
TASKS = ("atari100k/pong", "atari100k/asterix", "dmc/walker_walk", "dmc/cartpole_swingup", "dmc_vision/walker_walk")
STEPS = 200  # per measurement
JOINED = ("atari100k/pong", "dmc/walker_walk")  # those of the selection that are also measured several at a time
JOINS = ((1, 0), (1, 1), (8, 0), (8, 1), (8, 2))  # environments then, and processes that they are in


def measure(options: Options) -> Iterator[Row]:
    for task in [options.task] if options.task else TASKS:
        env = envs.make(task)
        row: Row = {"subject": "env", "task": task, "envs": 1, "env_workers": 0}
        row |= spread("seconds_per_step", _seconds(env, _step))
        row["steps_per_second"] = 1 / row["seconds_per_step"]
        if hasattr(env, "bare"):
            row["bare_steps_per_second"] = 1 / spread("x", _seconds(env, _bare))["x"]
            row["share_of_bare"] = row["steps_per_second"] / row["bare_steps_per_second"]
        env.close()
        yield row
    for task in [options.task] if options.task else JOINED:
        for number, workers in JOINS:
            row = {"subject": "env", "task": task, "envs": number, "env_workers": workers}
            yield row | _joined(task, number, workers)


def _joined(task: str, number: int, workers: int) -> Row:
    """A step of one of `number` environments, from the actions of all to what all show; to begin one is all that a loop
    waits for that has other things to do meanwhile."""
    spec, rng = envs.make(task).spec, np.random.default_rng(0)
    run = study.single(task, size="nano", changes={"env.envs": number})
    vector = build.training_vector(run, spec, num_uniforms=1, processes=workers)
    actions = [np.stack([_action(spec.action, rng) for _ in range(number)]) for _ in range(STEPS // number)]
    begun = []

    def play() -> None:
        for action in actions:
            before = time.perf_counter()
            vector.advance(action)
            begun.append(time.perf_counter() - before)
            vector.current(), vector.uniforms(1), vector.finished_episodes()

    row = spread("seconds_per_step", [seconds / STEPS for seconds in timed(play, least=10)])
    vector.close()
    return row | {"steps_per_second": 1 / row["seconds_per_step"], "seconds_to_begin": statistics.median(begun)}


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
