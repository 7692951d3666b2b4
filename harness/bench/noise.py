"""Noise: seconds per observation at the middle severity, beside drawing as many random bytes and copying the observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any

from harness import envs
from harness import noise as noises
from harness.bench import Options, Row, summarize, time_calls
from harness.errors import BadInput
from harness.rng import Key

OPTIONS = ("task",)
COLUMNS = {
    "task": "task",
    "noise": "noise",
    "s / observation": "seconds_per_observation",
    "as many random bytes, s": "random_seconds",
    "a copy, s": "copy_seconds",
    "other work": "other_cores",
}
CASES: tuple[Mapping[str, object], ...] = ({},)
TASKS = ("atari100k/pong", "dmc/walker_walk")
SEVERITY = 3
CALLS = 50  # per measurement


def measure(options: Options) -> Iterator[Row]:
    for task in [options.task] if options.task else TASKS:
        yield from _measure_task(task)


def _measure_task(task: str) -> Iterator[Row]:
    env = envs.make(task)
    obs, key = env.reset(0), Key(0, "noise")
    env.close()
    size = sum(array.nbytes for array in obs.values())
    limits = {"copy_seconds": _median(lambda _: [array.copy() for array in obs.values()])}
    limits["random_seconds"] = _median(lambda step: key.generator(step).bytes(size))
    for noise in _noises_for(task):
        row: Row = {"subject": "noise", "task": task, "noise": str(noise)}
        perturb = partial(noises.perturb_observation, noise, obs, key)
        row |= summarize("seconds_per_observation", _seconds(perturb))
        yield row | limits | {"observation_bytes": size}


def _noises_for(task: str) -> Iterator[noises.Noise]:
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
    """Seconds per call; the calls get the numbers of successive steps."""
    steps = count()
    return [seconds / CALLS for seconds in time_calls(lambda: [work(next(steps)) for _ in range(CALLS)], min_calls=10)]


def _median(work: Callable[[int], Any]) -> float:
    return summarize("x", _seconds(work))["x"]
