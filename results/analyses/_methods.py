"""What the analyses of methods over the tasks of a benchmark share: rows, flags, keyed streams.

Everything starts from normalised run scores (`scoring.run_scores`). Intervals are percentiles of a stratified bootstrap of
training runs, within each task. Streams are keyed by benchmark and method: an interval does not change when another
method is loaded beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from results import benchmarks
from results.scoring import run_scores
from results.statistics.strata import Strata

Method = tuple[str, str]  # benchmark, name of the method

BOOTSTRAP = "stratified bootstrap of runs"
FEW = 6  # runs per task from which on its 95 % intervals cover at least 92 %
FLAGS = run_scores.FLAGS | {
    "one_run_of_x": "x has one run per task: its seed variance is not in the interval",
    "one_run_of_y": "y has one run per task: its seed variance is not in the interval",
    "uncommon_tasks": "tasks that only one of the two has scores for, left out",
    "one_run_tasks": "tasks with one run, whose seed variance is in no interval",
    "no_width": "on every task all pairs of runs fall the same way, so the interval has no width",
    "best_of_many": "the maximum of many noisy bins: an estimate that is too high",
}


def method_row(scored: pd.DataFrame, key: Method, strata: Strata) -> dict[str, Any]:
    """What every table says of a method: its runs and tasks that are in the number, score rule, normaliser and flags.

    scored: the runs of all methods, from `run_scores.score_runs`; strata: those of the method that have a normalised score.
    """
    benchmark, method = key
    runs = runs_of(scored, key)
    tasks = scored[(scored.benchmark == benchmark) & scored.normalized.notna()].task.nunique()
    row = {"benchmark": benchmark, "method": method, "runs": len(strata.values), "tasks": len(strata.tasks)}
    flags = ";".join(_flags(runs, strata, tasks))
    return row | {"final": runs.final.iloc[0], "normaliser": benchmarks.get(benchmark).normaliser, "flags": flags}


def _flags(runs: pd.DataFrame, strata: Strata, tasks: int) -> Iterator[str]:
    if not strata.replicated:
        yield "unreplicated"
    else:
        if strata.sizes.min() < FEW:
            yield "few_runs"
        if single_runs := int((strata.sizes == 1).sum()):
            yield f"one_run_tasks:{single_runs}"
    yield from run_scores.missing_flags(runs)
    if missing_tasks := tasks - len(strata.tasks):
        yield f"missing_tasks:{missing_tasks}"
    if count := int(runs.repeats.sum()):
        yield f"duplicate_seed:{count}"


def runs_of(scored: pd.DataFrame, key: Method) -> pd.DataFrame:
    """The runs of one method on one benchmark."""
    return scored[(scored.benchmark == key[0]) & (scored.method == key[1])]


def draw_root_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def stream(root: int, *names: str) -> np.random.Generator:
    """The random stream of a benchmark and a method, whatever else is computed beside it."""
    return np.random.default_rng([root, zlib.crc32("\0".join(names).encode())])
