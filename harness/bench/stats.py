"""Statistics: bootstraps of 10 runs x 26 tasks x 50 000 replicates, beside drawing as many random numbers; memory on top."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from harness import plugins
from harness.bench import Options, Row, summarize, time_calls

OPTIONS = ()
COLUMNS = {
    "job": "job",
    "s": "seconds",
    "processor, s": "cpu_seconds",
    "target, s": "target_seconds",
    "as many random numbers, s": "random_seconds",
    "memory on top, MB": "extra_megabytes",
    "other work": "other_cores",
}
CASES: tuple[Mapping[str, object], ...] = ({},)
RUNS, TASKS, REPS = 10, 26, 50_000
TAUS = np.linspace(0, 2, 81)
TARGETS = {"IQM interval, one method": 0.2, "probability of improvement, one pair": 1.2, "profile at 81 taus, one method": 1.0}


def measure(options: Options) -> Iterator[Row]:
    random_numbers = summarize(
        "x", time_calls(lambda: np.random.default_rng(0).integers(RUNS, size=(TASKS, RUNS, REPS), dtype=np.uint16))
    )
    for (job, target), work in zip(TARGETS.items(), _jobs(), strict=True):
        row: Row = {"subject": "stats", "job": job, "runs": RUNS, "tasks": TASKS, "replicates": REPS}
        row |= summarize("seconds", time_calls(work)) | {"target_seconds": target, "random_seconds": random_numbers["x"]}
        yield row | {"cpu_seconds": _cpu_seconds(work), "extra_megabytes": _extra_megabytes(work)}


def _jobs() -> list[Callable[[], Any]]:
    """Each job to its interval, from scores to both ends."""
    aggregates, improvement, strata = (
        plugins.load("results.statistics", name) for name in ("aggregates", "improvement", "strata")
    )
    percentile_interval = plugins.load("results.statistics", "intervals").percentile_interval
    rng = np.random.default_rng(0)
    x, y = (strata.Strata.of({f"task {t:02}": rng.gamma(1.5, 0.5, RUNS) for t in range(TASKS)}) for _ in range(2))
    fresh, profile = (lambda seed=0: np.random.default_rng(seed)), aggregates.profile(TAUS)
    return [
        lambda: percentile_interval(x.replicates({"": aggregates.iqm}, fresh(), REPS)[""]),
        lambda: percentile_interval(
            improvement.bootstrap_pairs({"x": x, "y": y}, {"x": fresh(), "y": fresh(1)}, REPS)["x", "y"]
        ),
        lambda: percentile_interval(x.replicates({"": profile}, fresh(), REPS)[""].T),
    ]


def _cpu_seconds(work: Callable[[], Any]) -> float:
    """Processor time of one call; other work on the machine hardly changes it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _extra_megabytes(work: Callable[[], Any]) -> float:
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6
