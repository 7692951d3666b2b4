"""Aggregates over the runs of many tasks (Agarwal et al. 2021): each a function of runs and of how often each counts.

Scores are normalised, 1 being the reference's level. `counts` is (N, R): R samples of the N runs, see `strata`.
"""

from __future__ import annotations

import functools

import numpy as np

from results.statistics.strata import Statistic, Strata

ROWS = 32  # values at a time, so that what they are cumulated to stays near the processor
TRIM = 0.25  # share of the runs that the interquartile mean drops at each end


def _keeping_the_last(of: Statistic) -> Statistic:
    """The same arrays give the same result again, not worked out again: several statistics start from it."""
    last: list = [None, None, (), None]

    def kept(runs: Strata, counts: np.ndarray, *more: float) -> np.ndarray:
        if last[0] is not runs or last[1] is not counts or last[2] != more:
            last[:] = runs, counts, more, of(runs, counts, *more)
        return last[3]

    return functools.wraps(of)(kept)


@_keeping_the_last
def task_means(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """Mean over the runs of each task: (T, R). For the counts of the call before, the same array again: read it only."""
    return np.stack([runs.values[own] @ counts[own] for _, own in runs.by_task()]) / runs.sizes[:, None]


def mean(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """Mean over tasks of task means."""
    return task_means(runs, counts).mean(axis=0)


def median(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """Median over tasks of task means."""
    return np.median(task_means(runs, counts), axis=0)


def capped_mean(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """Mean over tasks of task means, each counted as 1 at most."""
    return np.minimum(task_means(runs, counts), 1).mean(axis=0)


def iqm(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """Mean of all runs pooled, without the int(N/4) lowest and as many highest."""
    return _pooled(runs, counts, int(TRIM * len(runs.values)))


def iqm_task_balanced(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """As `iqm`, but every task weighs the same: a run 1/(T n), and exactly a quarter of the weight goes at each end."""
    if (runs.sizes == runs.sizes[0]).all():  # every run weighs the same
        return _pooled(runs, counts, TRIM * len(runs.values))
    weights = np.repeat(1 / (len(runs.sizes) * runs.sizes), runs.sizes)
    return _between(runs, counts, TRIM, 1 - TRIM, weights)


def optimality_gap(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """1 minus the mean over all runs pooled of min(score, 1)."""
    return 1 - np.minimum(runs.values, 1) @ counts / len(runs.values)


def optimality_gap_task_balanced(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """1 minus the mean over tasks of the mean over runs of min(score, 1)."""
    return 1 - mean(Strata(runs.tasks, np.minimum(runs.values, 1), runs.sizes), counts)


def profile(taus: np.ndarray) -> Statistic:
    """Performance profile: the share of all runs that lies strictly above each tau, (K, R)."""

    def above(runs: Strata, counts: np.ndarray) -> np.ndarray:
        higher = (runs.values > np.asarray(taus, float)[:, None]).astype(np.float32)  # whole numbers: exact in float32
        return (higher @ counts.astype(np.float32)).astype(float) / len(runs.values)

    return above


def profile_task_balanced(taus: np.ndarray) -> Statistic:
    """As `profile`, but every task weighs the same."""

    def above(runs: Strata, counts: np.ndarray) -> np.ndarray:
        higher = [Strata(runs.tasks, (runs.values > tau).astype(float), runs.sizes) for tau in taus]
        return np.stack([mean(some, counts) for some in higher])

    return above


METRICS: dict[str, Statistic] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
    "iqm_task_balanced": iqm_task_balanced,
    "capped_mean": capped_mean,
}


@_keeping_the_last
def _pooled(runs: Strata, counts: np.ndarray, dropped: float) -> np.ndarray:
    """Mean of all runs pooled, without the weight of `dropped` runs at each end."""
    total = len(runs.values)
    return _between(runs, counts, dropped, total - dropped, np.ones(total, np.min_scalar_type(total)))


def _between(runs: Strata, counts: np.ndarray, low: float, high: float, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the values whose cumulated weight, from the lowest up, lies between `low` and `high`.

    With W_i the weight up to the i-th lowest value v_i, the kept weight of v_i is clip(W_i) - clip(W_{i-1}); summed by
    parts, the total is v_N high - v_1 low - sum_i clip(W_i) (v_{i+1} - v_i), which needs one pass and no sorting.
    """
    ascending = runs.values[runs.order]
    steps, before = np.diff(ascending)[:, None], np.zeros(counts.shape[1], weights.dtype)
    total = np.full(counts.shape[1], ascending[-1] * high - ascending[0] * low)
    room = np.empty((ROWS + 1, len(total)))
    for start in range(0, len(steps), ROWS):
        step, rows = steps[start : start + ROWS], runs.order[:-1][start : start + ROWS]
        parts = room[: len(step) + 1]
        parts[0], kept = total, parts[1:]
        if before.min() >= high:
            kept[:] = high
        else:
            cumulated = counts[rows].astype(weights.dtype)
            cumulated *= weights[rows, None]
            for row in cumulated:
                row += before
                before = row
            np.clip(cumulated, low, high, out=kept)
        kept *= step
        total = np.subtract.reduce(parts)  # row after row
    return total / (high - low)
