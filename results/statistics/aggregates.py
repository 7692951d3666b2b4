"""Aggregates over the runs of many tasks (Agarwal et al. 2021): each a function of runs and of how often each run counts.

Scores are normalised: 1 is the reference's level. N runs, T tasks, R bootstrap replicates, K thresholds. `counts` (N, R)
says how often each run was drawn in each replicate (see `strata`); every aggregate returns one value per replicate, (R,).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import numpy as np

from results.statistics.strata import Statistic, Strata

ROWS = 32  # values at a time, so that the block of their cumulated weights stays near the processor
TRIM = 0.25  # share of the runs that the interquartile mean drops at each end
P = ParamSpec("P")


def _remember_last(
    statistic: Callable[Concatenate[Strata, np.ndarray, P], np.ndarray],
) -> Callable[Concatenate[Strata, np.ndarray, P], np.ndarray]:
    """Return the last result again for the same arrays: several statistics start from it."""
    last_key: tuple[Any, ...] = ()
    last_result = np.empty(0)

    @functools.wraps(statistic)
    def remembering(runs: Strata, counts: np.ndarray, *args: P.args, **kwargs: P.kwargs) -> np.ndarray:
        nonlocal last_key, last_result
        if not (last_key and last_key[0] is runs and last_key[1] is counts and last_key[2:] == (args, kwargs)):
            last_key, last_result = (runs, counts, args, kwargs), statistic(runs, counts, *args, **kwargs)
        return last_result

    return remembering


@_remember_last
def task_means(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """Mean over the runs of each task: (T, R). The same counts return the same array again: do not write to it.

    >>> runs = Strata.of({"a": [1, 3], "b": [10]})
    >>> task_means(runs, np.array([[1, 2], [1, 0], [1, 1]])).tolist()  # every run once; the first of a twice
    [[2.0, 1.0], [10.0, 10.0]]
    """
    sums = [runs.values[task_runs] @ counts[task_runs] for _, task_runs in runs.task_slices()]
    return np.stack(sums) / runs.sizes[:, None]


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
    """Interquartile mean: the mean of all runs pooled, without the int(N/4) lowest and as many highest.

    >>> float(Strata.of({"a": [0, 1], "b": [2, 30]}).estimate(iqm))  # of 0, 1, 2, 30 the lowest and the highest drop out
    1.5
    """
    return _trimmed_mean(runs, counts, int(TRIM * len(runs.values)))


def iqm_task_balanced(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """As `iqm`, but every task weighs the same: a run 1/(T n), and exactly a quarter of the weight goes at each end."""
    if (runs.sizes == runs.sizes[0]).all():  # every run weighs the same
        return _trimmed_mean(runs, counts, TRIM * len(runs.values))
    weights = np.repeat(1 / (len(runs.sizes) * runs.sizes), runs.sizes)
    return _mean_between(runs, counts, TRIM, 1 - TRIM, weights)


def optimality_gap(runs: Strata, counts: np.ndarray) -> np.ndarray:
    """1 minus the mean over all runs pooled of min(score, 1)."""
    return 1 - np.minimum(runs.values, 1) @ counts / len(runs.values)


def profile(taus: np.ndarray) -> Statistic:
    """Performance profile: the share of all runs that lies strictly above each of K taus, (K, R).

    >>> Strata.of({"a": [0.2, 0.5], "b": [1, 2]}).estimate(profile([0, 0.5, 1])).tolist()
    [1.0, 0.5, 0.25]
    """

    def share_above(runs: Strata, counts: np.ndarray) -> np.ndarray:
        above = (runs.values > np.asarray(taus, float)[:, None]).astype(np.float32)  # whole numbers: exact in float32
        return (above @ counts.astype(np.float32)).astype(float) / len(runs.values)

    return share_above


METRICS: dict[str, Statistic] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
    "iqm_task_balanced": iqm_task_balanced,
    "capped_mean": capped_mean,
}


@_remember_last
def _trimmed_mean(runs: Strata, counts: np.ndarray, dropped: float) -> np.ndarray:
    """Mean of all runs pooled, without the weight of `dropped` runs at each end."""
    total = len(runs.values)
    return _mean_between(runs, counts, dropped, total - dropped, np.ones(total, np.min_scalar_type(total)))


def _mean_between(runs: Strata, counts: np.ndarray, low: float, high: float, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the values whose cumulated weight, from the lowest up, lies between `low` and `high`: (R,).

    v_i is the i-th lowest of N values and W_i the weight of the i lowest, in one replicate. Of v_i the weight
    clip(W_i) - clip(W_{i-1}) counts, clip to [low, high]. Summed by parts, the total is
    v_N high - v_1 low - sum_{i<N} clip(W_i) (v_{i+1} - v_i): one pass, no sorting.

    Values 1, 2, 4, 8 once each, between 1 and 3: W = 1, 2, 3, 4, and the total is 8 * 3 - 1 * 1 - (1 * 1 + 2 * 2 + 3 * 4)
    = 6, which is 2 + 4. The mean is 6 / (3 - 1):

    >>> runs = Strata.of({"a": [1, 2, 4, 8]})
    >>> _mean_between(runs, runs.counts_once(), 1, 3, np.ones(4)).tolist()
    [3.0]
    """
    ascending = runs.values[runs.order]
    steps, weight_below = np.diff(ascending)[:, None], np.zeros(counts.shape[1], weights.dtype)
    total = np.full(counts.shape[1], ascending[-1] * high - ascending[0] * low)
    buffer = np.empty((ROWS + 1, len(total)))  # the total, and under it the terms of a block, to be subtracted in turn
    for start in range(0, len(steps), ROWS):
        step, rows = steps[start : start + ROWS], runs.order[:-1][start : start + ROWS]
        block = buffer[: len(step) + 1]
        block[0], terms = total, block[1:]
        if weight_below.min() >= high:
            terms[:] = high
        else:
            cumulated = counts[rows].astype(weights.dtype)
            cumulated *= weights[rows, None]
            for row in cumulated:
                row += weight_below
                weight_below = row
            np.clip(cumulated, low, high, out=terms)
        terms *= step
        total = np.subtract.reduce(block)  # row after row
    return total / (high - low)
