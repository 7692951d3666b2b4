"""Noise: seconds per observation at the middle severity, beside drawing as many random bytes and copying the observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from harness import envs
from harness import noise as noises
from harness.bench import Options, Row, spread, timed
from harness.errors import BadInput
from harness.rng import Key

TAKES = ("task",)
TABLE = {
    "task": "task",
    "noise": "noise",
    "s / observation": "seconds_per_observation",
    "as many random bytes, s": "random_seconds",
    "a copy, s": "copy_seconds",
    "other work": "other_cores",
}
CASES = ({},)
TASKS = ("atari100k/pong", "dmc/walker_walk")
SEVERITY = 3
CALLS = 50  # per measurement


def measure(options: Options) -> Iterator[Row]:
    for task in [options.task] if options.task else TASKS:
        yield from _task(task)


def _task(task: str) -> Iterator[Row]:
    env = envs.make(task)
    obs, key = env.reset(0), Key(0, "noise")
    env.close()
    size = sum(array.nbytes for array in obs.values())
    limits = {"copy_seconds": _median(lambda _: [array.copy() for array in obs.values()])}
    limits["random_seconds"] = _median(lambda step: key.generator(step).bytes(size))
    for noise in _fitting(task):
        row: Row = {"subject": "noise", "task": task, "noise": str(noise)}
        row |= spread(
            "seconds_per_observation", _seconds(lambda step, noise=noise: noises.perturb_observation(noise, obs, key, step))
        )
        yield row | limits | {"observation_bytes": size}


def _fitting(task: str) -> Iterator[noises.Noise]:
    """Every noise with severities that a task can have."""
    for name, kind in noises.noise_types().items():
        if SEVERITY not in kind.SEVERITY:
            continue
        noise = noises.parse(f"{name}@{SEVERITY}")
        try:
            noises.check_modality(noise, *envs.modalities(task))
            yield noise.bind_task(task)
        except BadInput:
            continue


def _seconds(work: Callable[[int], Any]) -> list[float]:
    """Seconds per call; the calls are given the numbers of successive steps."""
    steps = count()
    return [seconds / CALLS for seconds in timed(lambda: [work(next(steps)) for _ in range(CALLS)], least=10)]


def _median(work: Callable[[int], Any]) -> float:
    return spread("x", _seconds(work))["x"]
