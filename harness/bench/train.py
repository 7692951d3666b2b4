"""The update: seconds per optimiser step on 16 x 64 replayed steps, beside the machine's matrix rate."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocol import Agent, Arrays, Space, Spec
from harness import build, plugins, study
from harness.bench import Options, Row, summarize, time_calls
from harness.vector import FLAGS

OPTIONS = ("size", "obs", "dtype", "device", "threads", "compile", "profile")
COLUMNS = {
    "size": "size",
    "input": "obs",
    "precision": "dtype",
    "compiled": "compile",
    "s / update": "seconds_per_update",
    "min": "seconds_per_update_min",
    "max": "seconds_per_update_max",
    "operations": "flops_per_update",
    "operations/s": "achieved_rate",
    "matrix rate": "matrix_rate",
    "of one thread": "matrix_rate_one_thread",
    "share of peak": "share_of_peak",
    "peak memory, bytes": "peak_memory_bytes",
    "start to first update, s": "first_update_seconds",
    "other work": "other_cores",
}
CASES = tuple(
    {"size": size, "obs": obs, "dtype": dtype, "compile": compile}
    for size, obs in (("1m", "image"), ("1m", "vector"), ("12m", "image"))
    for dtype in ("float32", "bfloat16")
    for compile in (False, True)
)
SPECS = {
    "image": Spec({"image": Space((64, 64, 3), "uint8")}, Space((), "int32", 18)),
    "vector": Spec({"state": Space((17,), "float32")}, Space((6,), "float32")),
}
BATCH, LENGTH = 16, 64
_import_time = time.time()


def measure(options: Options) -> Iterator[Row]:
    agent = make_agent(options)
    tools, batch = plugins.load("agents", "measure"), random_batch(agent, SPECS[options.obs], np.random.default_rng(0))

    def update() -> None:
        agent.learn(batch)
        tools.synchronize(agent.device)

    update()
    first_update_seconds = time.time() - process_start()
    update()
    cpu_start = time.process_time()
    times = time_calls(update, min_seconds=2.0, warmup=0)
    cpu_seconds = (time.process_time() - cpu_start) / len(times)
    row: Row = {"subject": "train", "size": options.size, "obs": options.obs, "dtype": options.dtype, "device": agent.device}
    row |= {"compile": build.resolve_compile(run_config(options), options.device), "threads": options.threads}
    row |= summarize("seconds_per_update", times)
    row["cpu_seconds_per_update"] = cpu_seconds  # of all threads together: other work on the machine hardly changes it
    row |= {"peak_memory_bytes": tools.peak_memory(agent.device), "first_update_seconds": first_update_seconds}
    if options.profile:  # before operations are counted: counting drops compiled code
        row["dearest_operators"] = tools.slowest_operators(update, agent.device)
    row |= compare_with_peak(tools, update, row["seconds_per_update"], options.dtype, agent.device)
    yield row | tools.versions()


def run_config(options: Options, envs: int = 1) -> Any:
    changes: dict[str, Any] = {"env.envs": envs}
    return study.single("counter/vector", size=options.size, precision=options.dtype, compile=options.compile, changes=changes)


def make_agent(options: Options, envs: int = 1) -> Agent:
    """The agent of a size, as a run would build it."""
    return build.agent(run_config(options, envs), SPECS[options.obs], device=options.device, threads=options.threads)


def compare_with_peak(tools: Any, work: Any, seconds: float, dtype: str, device: str) -> Row:
    """Operations of one more call of `work`, and how their rate compares with that of large matrix products."""
    flops = tools.count_flops(work)
    rates = {f"matrix_rate_{name}": tools.matrix_rate(device, name) for name in ("float32", "bfloat16")}
    peak, rate = rates[f"matrix_rate_{dtype}"], flops / seconds
    figures = {"flops_per_update": flops, "achieved_rate": rate, "matrix_rate": peak, "share_of_peak": rate / peak}
    if device == "cpu":
        figures["matrix_rate_one_thread"] = tools.matrix_rate_one_thread(dtype)
    return figures | {"floor_seconds": flops / peak} | rates | {"copy_rate": tools.copy_rate(device)}


def random_batch(agent: Agent, spec: Spec, rng: np.random.Generator, size: int = BATCH, length: int = LENGTH) -> Arrays:
    """Replayed steps (B, context + T, ...) of random observations, actions and rewards, an episode ending here and there."""
    shape = (size, agent.context + length)
    random_values = partial(_random_values, shape=shape, rng=rng)
    steps = {key: random_values(space) for key, space in {**spec.entries, "action": spec.action}.items()}
    steps |= {key: np.zeros((*shape, *space.shape), space.dtype) for key, space in {**FLAGS, **agent.extra_spaces}.items()}
    steps["reward"] = rng.normal(size=shape).astype(np.float32)
    steps["is_first"] = rng.random(shape) < 0.01
    steps["is_last"][:, :-1] = steps["is_first"][:, 1:]
    return steps


def _random_values(space: Space, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    full_shape = (*shape, *space.shape)
    if space.dtype == "float32":
        return rng.uniform(-1, 1, full_shape).astype(np.float32)
    return rng.integers(0, space.classes or 256, full_shape).astype(space.dtype)


def process_start() -> float:
    """When this process was started, in seconds since 1970; where the system does not say, when this file was imported."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError, ValueError, IndexError):
        return _import_time
