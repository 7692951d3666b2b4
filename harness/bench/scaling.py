"""How cost grows: an update with size, batch and length, acting with environments, sampling with the size of the replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from agents.protocol import Agent, Arrays
from harness import plugins
from harness.bench import Options, Row, act, replay, summarize, time_calls
from harness.bench.train import BATCH, LENGTH, SPECS, make_agent, random_batch

OPTIONS = ("obs", "dtype", "device", "threads")
COLUMNS = {"axis": "axis", "value": "value", "what": "what", "s": "seconds", "min": "seconds_min", "other work": "other_cores"}
CASES = ({"obs": "vector"},)
FIGURE = "_scaling_figure"  # module of this package that draws the rows
SIZES = ("nano", "1m", "12m", "25m", "50m")
BATCHES, LENGTHS = (4, 8, 16, 32, 64), (16, 32, 64, 128, 256)
STEPS = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def measure(options: Options) -> Iterator[Row]:
    """Size 1m and 16 sequences of 64 steps, except on the axis that varies."""
    for size in SIZES:
        yield _measure_update(options, "size", size, size=size)
    for number in BATCHES:
        yield _measure_update(options, "batch", number, batch_size=number)
    for number in LENGTHS:
        yield _measure_update(options, "length", number, length=number)
    for row in act.measure(replace(options, size="1m", profile=False)):
        yield _scaling_row(options, "environments", row["envs"], "one step of all", _as_seconds(row, "seconds_per_act"))
    for number in STEPS:
        (row,) = replay.measure(replace(options, size="1m", steps=number))
        yield _scaling_row(options, "replay", number, "one sample", _as_seconds(row, "seconds_per_sample"))


def _measure_update(
    options: Options, axis: str, value: Any, *, size: str = "1m", batch_size: int = BATCH, length: int = LENGTH
) -> Row:
    agent = make_agent(replace(options, size=size, compile=False))  # every shape would have to be compiled
    batch = random_batch(agent, SPECS[options.obs], np.random.default_rng(0), batch_size, length)
    return _scaling_row(
        options, axis, value, "one update", summarize("seconds", time_calls(_update_function(agent, batch), min_calls=3))
    )


def _update_function(agent: Agent, batch: Arrays) -> Callable[[], None]:
    tools = plugins.load("agents", "measure")

    def update() -> None:
        agent.learn(batch)
        tools.synchronize(agent.device)

    return update


def _scaling_row(options: Options, axis: str, value: Any, what: str, figures: Row) -> Row:
    case = {"obs": options.obs, "dtype": options.dtype, "threads": options.threads}
    return {"subject": "scaling", "axis": axis, "value": value, "what": what, **figures, **case}


def _as_seconds(row: Row, name: str) -> Row:
    return {f"seconds{end}": row[f"{name}{end}"] for end in ("", "_min", "_max")} | {"repetitions": row["repetitions"]}
