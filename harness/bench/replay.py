"""The replay: adding, sampling and refreshing 16 x 65 steps, beside the time to copy as many bytes; memory per step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count, cycle

import numpy as np

from agents.protocol import Arrays
from harness.bench import Options, Row, summarize, time_calls
from harness.bench.train import BATCH, LENGTH, SPECS, make_agent, random_batch
from harness.replay import Replay
from harness.vector import FLAGS

COLD_BATCHES = 16  # batches to copy in turn, so that none is in a cache: sampled steps are in none either
OPTIONS = ("size", "obs", "steps")
COLUMNS = {
    "size": "size",
    "input": "obs",
    "steps": "steps",
    "s / sample": "seconds_per_sample",
    "copying as much, s": "copy_seconds",
    "ratio": "times_the_copy",
    "s / refresh": "seconds_per_refresh",
    "s / add": "seconds_per_add",
    "bytes / step": "bytes_per_step",
    "raw bytes + latents": "raw_bytes_per_step",
    "other work": "other_cores",
}
CASES = ({"size": "12m", "steps": 100_000}, {"size": "1m", "obs": "vector", "steps": 1_000_000})


def measure(options: Options) -> Iterator[Row]:
    replay, seconds = filled_replay(options)
    rngs = (np.random.default_rng(seed) for seed in count())
    times = time_calls(lambda: replay.sample(BATCH, next(rngs)), min_calls=50)
    sampled, items = replay.sample(BATCH, next(rngs))
    targets = {key: np.zeros_like(array) for key, array in sampled.items()}
    sources = cycle([replay.sample(BATCH, next(rngs))[0] for _ in range(COLD_BATCHES)])
    copy_times = time_calls(lambda: _copy(next(sources), targets), min_calls=50)
    latents = {key: sampled[key][:, 1:] for key in ("deter", "stoch")}
    refresh_times = time_calls(lambda: replay.refresh(items, latents), min_calls=50)
    row: Row = {"subject": "replay", "size": options.size, "obs": options.obs, "steps": options.steps}
    row |= summarize("seconds_per_sample", times) | {"sampled_bytes": sum(array.nbytes for array in sampled.values())}
    row["copy_seconds"] = summarize("x", copy_times)["x"]
    row["times_the_copy"] = row["seconds_per_sample"] / row["copy_seconds"]
    row["seconds_per_refresh"] = summarize("x", refresh_times)["x"]
    row |= {"seconds_per_add": seconds / options.steps, "bytes_per_step": replay.nbytes / options.steps}
    yield row | {"raw_bytes_per_step": sum(array.nbytes for array in sampled.values()) / (BATCH * (LENGTH + 1))}


def _copy(source: Arrays, target: Arrays) -> None:
    for key, array in source.items():
        np.copyto(target[key], array)


def filled_replay(options: Options) -> tuple[Replay, float]:
    """A replay of one environment with `options.steps` random steps, and the seconds that adding them took."""
    agent, spec = make_agent(options), SPECS[options.obs]
    spaces = {**spec.entries, **FLAGS, "action": spec.action, **agent.extra_spaces}
    replay = Replay(spaces, latents=tuple(agent.extra_spaces), envs=1, capacity=5_000_000, length=agent.context + LENGTH)
    rng = np.random.default_rng(0)
    steps = random_batch(agent, spec, rng)
    steps |= {key: rng.integers(0, 256, steps[key].shape).astype(steps[key].dtype) for key in agent.extra_spaces}
    add_steps(replay, steps, 1)
    start = time.perf_counter()
    add_steps(replay, steps, options.steps - 1)
    return replay, time.perf_counter() - start


def add_steps(replay: Replay, steps: Arrays, number: int) -> None:
    """Add `number` steps: those of `steps` (B, T, ...) in turn, again and again."""
    flat = {key: array.reshape(-1, 1, *array.shape[2:]) for key, array in steps.items()}
    for i in range(number):
        replay.add({key: array[i % len(array)] for key, array in flat.items()})
