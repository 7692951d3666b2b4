"""What the analyses of methods over the tasks of a benchmark share: rows, flags, keyed streams.

Everything starts from normalised run scores (`scoring.run_scores`). Intervals are percentiles of a stratified bootstrap of
training runs, within each task. Streams are keyed by benchmark and method: an interval does not change when another
method is loaded beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from results import benchmarks
from results.scoring import run_scores
from results.statistics.strata import Strata

BOOTSTRAP = "stratified bootstrap of runs"
FEW = 6  # runs per task from which on its 95 % intervals cover at least 92 %
FLAGS = run_scores.FLAGS | {
    "one_run_of_x": "x has one run per task: its seed variance is not in the interval",
    "one_run_of_y": "y has one run per task: its seed variance is not in the interval",
    "uncommon_tasks": "tasks that only one of the two has scores for, left out",
    "one_run_tasks": "tasks with one run, whose seed variance is in no interval",
    "no_width": "on every task all pairs of runs fall the same way, so the interval has no width",
    "best_of_many": "the maximum of many noisy bins: higher than what any of them would score again",
}


def row(scored: pd.DataFrame, key: tuple[str, str], runs: Strata) -> dict:
    own = scored[rows_of(scored, key)]
    known = scored[(scored.benchmark == key[0]) & scored.normalized.notna()].task.nunique()
    row = {"benchmark": key[0], "method": key[1], "runs": len(runs.values), "tasks": len(runs.tasks)}
    flags = ";".join(_flags(own, runs, known))
    return row | {"final": own.final.iloc[0], "normaliser": benchmarks.get(key[0]).normaliser, "flags": flags}


def _flags(own: pd.DataFrame, runs: Strata, tasks: int) -> Iterator[str]:
    if not runs.replicated:
        yield "unreplicated"
    else:
        if runs.sizes.min() < FEW:
            yield "few_runs"
        if alone := int((runs.sizes == 1).sum()):
            yield f"one_run_tasks:{alone}"
    yield from run_scores.missing(own)
    if lacking := tasks - len(runs.tasks):
        yield f"missing_tasks:{lacking}"
    if count := int(own.repeats.sum()):
        yield f"duplicate_seed:{count}"


def missing_runs(scored: pd.DataFrame, key: tuple[str, str]) -> int:
    return int(scored[rows_of(scored, key)].score.isna().sum())


def rows_of(scored: pd.DataFrame, key: tuple[str, str]) -> pd.Series:
    return (scored.benchmark == key[0]) & (scored.method == key[1])


def root_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def stream(root: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([root, zlib.crc32("\0".join(names).encode())])
