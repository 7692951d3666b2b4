"""Environments: policy steps per second, alone beside the bare simulator, which observes nothing; several in processes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from harness import build, envs, study
from harness.bench import Options, Row, summarize, time_calls
from harness.door import Door
from harness.env import BareEnv, Env, random_action

OPTIONS = ("task",)
COLUMNS = {
    "task": "task",
    "environments": "envs",
    "processes": "env_workers",
    "steps / s": "steps_per_second",
    "s to begin a step": "seconds_to_begin",
    "bare simulator, steps / s": "bare_steps_per_second",
    "share": "share_of_bare",
    "µs at the door": "door_microseconds",
    "other work": "other_cores",
}
CASES: tuple[Mapping[str, object], ...] = ({},)
TASKS = ("atari100k/pong", "atari100k/asterix", "dmc/walker_walk", "dmc/cartpole_swingup", "dmc_vision/walker_walk")
STEPS = 200  # per measurement
VECTOR_TASKS = ("atari100k/pong", "dmc/walker_walk")  # also measured several at a time
VECTOR_SIZES = ((1, 0), (1, 1), (8, 0), (8, 1), (8, 2))  # environments, and processes in which they step


def measure(options: Options) -> Iterator[Row]:
    for task in [options.task] if options.task else TASKS:
        bare = envs.make(task)
        env = Door(bare, task)
        row: Row = {"subject": "env", "task": task, "envs": 1, "env_workers": 0}
        row |= summarize("seconds_per_step", _step_times(env, partial(_step, env)))
        row["steps_per_second"] = 1 / row["seconds_per_step"]
        row["door_microseconds"] = _door_seconds(env) * 1e6
        if isinstance(bare, BareEnv):
            row["bare_steps_per_second"] = 1 / summarize("x", _step_times(bare, bare.step_bare))["x"]
            row["share_of_bare"] = row["steps_per_second"] / row["bare_steps_per_second"]
        env.close()
        yield row
    for task in [options.task] if options.task else VECTOR_TASKS:
        for number, workers in VECTOR_SIZES:
            row = {"subject": "env", "task": task, "envs": number, "env_workers": workers}
            yield row | _measure_vector(task, number, workers)


def _door_seconds(door: Door) -> float:
    """Seconds of one check of an observation; the range of a Gymnasium space is checked where the value is converted."""
    obs = door.reset(0)

    def check() -> None:
        for _ in range(STEPS):
            door.check(obs)

    return min(time_calls(check, min_calls=10)) / STEPS


def _measure_vector(task: str, number: int, workers: int) -> Row:
    """A step of one of `number` environments, from the actions of all to the observations of all.

    `seconds_to_begin`: until `advance` returns. A loop with other work to do waits no longer than that.
    """
    spec, rng = envs.make(task).spec, np.random.default_rng(0)
    run = study.single(task, size="nano", changes={"env.envs": number})
    vector = build.training_vector(run, spec, num_uniforms=1, processes=workers)
    actions = [np.stack([random_action(spec.action, rng) for _ in range(number)]) for _ in range(STEPS // number)]
    advance_times: list[float] = []

    def play() -> None:
        for action in actions:
            start = time.perf_counter()
            vector.advance(action)
            advance_times.append(time.perf_counter() - start)
            vector.current(), vector.uniforms(1), vector.finished_episodes()

    row = summarize("seconds_per_step", [seconds / STEPS for seconds in time_calls(play, min_calls=10)])
    vector.close()
    return row | {"steps_per_second": 1 / row["seconds_per_step"], "seconds_to_begin": statistics.median(advance_times)}


def _step_times(env: Env, step: Callable[[np.ndarray], bool]) -> list[float]:
    """Seconds per call of `step`, which says whether the episode is over, under random actions; resets are included."""
    rng = np.random.default_rng(0)
    env.reset(0)
    actions = [random_action(env.spec.action, rng) for _ in range(STEPS)]

    def play() -> None:
        for action in actions:
            if step(action):
                env.reset(0)

    return [seconds / STEPS for seconds in time_calls(play, min_calls=10)]


def _step(env: Env, action: np.ndarray) -> bool:
    result = env.step(action)
    return result.terminated or result.truncated
