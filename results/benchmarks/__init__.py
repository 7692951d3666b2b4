"""Benchmarks as data: budget, window, anchor, normaliser, action repeat and final-score rule of each, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from results.benchmarks import references


@dataclass(frozen=True)
class Benchmark:
    """One entry of `benchmarks.yaml`; budget and window in environment frames. budget 0: not registered, nothing known."""

    name: str
    suites: tuple[str, ...] = ()
    repeat: int = 1
    budget: float = 0
    window: float = 0
    anchor: str = "budget"
    low: float | str = math.nan
    high: float | str = math.nan
    score_rule: str = "last 10 points"

    def bounds(self, task: str) -> tuple[float, float]:
        """The scores of a task that are 0 and 1 after normalising; NaN where there is no reference for it."""
        return self._score(task, self.low), self._score(task, self.high)

    @property
    def suite(self) -> str:
        """The suite that spells its tasks, `dmc` of `dmc/cartpole_swingup`; empty where it is not registered."""
        return self.suites[0] if self.suites else ""

    @property
    def normaliser(self) -> str:
        """What 0 and 1 mean, for a caption: `random and human (atari_gamer_v1)`, `0 and 1000`."""
        if isinstance(self.low, float) and math.isnan(self.low):
            return "not normalised"
        if not isinstance(self.low, str):
            return f"{self.low:g} and {self.high:g}"
        tables = [name for name, table in references.tables().items() if set(self.suites) & set(table["suites"])]
        return f"{self.low} and {self.high} ({', '.join(tables)})"

    def _score(self, task: str, bound: float | str) -> float:
        """The bound itself if it is a number, else the task's reference score of that name."""
        if not isinstance(bound, str):
            return float(bound)
        return (references.reference_score(task, bound) or (math.nan, ""))[0]


@cache
def registry() -> dict[str, Benchmark]:
    """Name -> benchmark, in the order of `benchmarks.yaml`."""
    entries = yaml.safe_load((Path(__file__).parent / "benchmarks.yaml").read_text())["benchmarks"]
    return {
        name: Benchmark(name, tuple(entry.pop("suites")), score_rule=entry.pop("final"), **entry)
        for name, entry in entries.items()
    }


def get(name: str) -> Benchmark:
    """The benchmark of that name; an empty entry, without budget and normaliser, for one that is not registered."""
    return registry().get(name, Benchmark(name))


@cache
def name_of_task(task: str, stated: str = "") -> str:
    """Name of a run's benchmark: the `stated` one of its source if it is registered, else that of its suite, else the suite."""
    suite = task.partition("/")[0]
    if stated in registry():
        return stated
    return next((name for name, benchmark in registry().items() if suite in benchmark.suites), suite)
