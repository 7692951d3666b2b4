"""Probability of improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from results.statistics.strata import Strata

Pair = tuple[str, str]


def probability_per_task(x: Strata, y: Strata) -> dict[str, float]:
    """Common task -> mean over pairs of runs of [x > y] + [x = y]/2, the Mann-Whitney U over the number of pairs.

    Of the six pairs of (1, 3) and (0, 1, 2), 1 beats 0 and ties with 1, and 3 beats all three: 4.5 / 6:

    >>> probability_per_task(Strata.of({"a": [1, 3]}), Strata.of({"a": [0, 1, 2], "b": [5]}))
    {'a': 0.75}
    """
    pairs = {task: (x.values[x_runs][:, None], y.values[y_runs]) for task, x_runs, y_runs in _common_tasks(x, y)}
    return {task: float(((a > b) + (a == b) / 2).mean()) for task, (a, b) in pairs.items()}


def bootstrap_pairs(
    methods: Mapping[str, Strata], streams: Mapping[str, np.random.Generator], reps: int
) -> dict[Pair, np.ndarray]:
    """Stratified bootstrap (reps,) of the mean over common tasks, for each pair of methods (x, y) that shares a task.

    A method's runs are drawn once, from its own stream, for all of its pairs. Within a pair the draws are independent, and
    they are the same whatever other methods are compared.
    """
    names = itertools.combinations(methods, 2)
    pairs = {(x, y): _Ranks.of(methods[x], methods[y]) for x, y in names if {*methods[x].tasks} & {*methods[y].tasks}}
    if not pairs:
        return {}
    largest = max(runs.sizes.max() for runs in methods.values())
    dtype = np.min_scalar_type(2 * largest**2)  # holds twice the pairs of runs of a task
    replicates: dict[Pair, list[np.ndarray]] = {pair: [] for pair in pairs}
    for chunk in zip(*(runs.draw_chunks(streams[name], reps) for name, runs in methods.items()), strict=True):
        counts = dict(zip(methods, chunk, strict=True))
        below = {name: _counts_below(runs, counts[name], dtype) for name, runs in methods.items()}
        for (x, y), ranks in pairs.items():
            replicates[x, y].append(ranks.win_share(counts[x], below[y]))
    return {pair: np.concatenate(parts) for pair, parts in replicates.items()}


@dataclass(frozen=True)
class _Ranks:
    """Where the runs of x on T common tasks stand among those of y. Counts are (N, R): N runs, R replicates.

    rounds: of the first runs of each task, of the second, and so on, tasks with most runs first: their rows in the counts
    of x, and in `_counts_below` of y the rows of all lower runs and of all lower or equal ones.
    weights (T,): 1 / (2 n_x n_y T), of twice a task's wins.

    x has runs 1 and 3 on one task, y has 0, 1 and 2. Below 1 lies one run of y, below or equal two; below 3 all three. With
    every run once, `_counts_below` of y is (0, 1, 2, 3): twice the wins are (1 + 2) + (3 + 3) = 9, the share is 9 / 12:

    >>> x, y = Strata.of({"a": [1, 3]}), Strata.of({"a": [0, 1, 2]})
    >>> below = _counts_below(y, y.counts_once(), np.dtype(int))
    >>> below.ravel().tolist(), _Ranks.of(x, y).win_share(x.counts_once(), below).tolist()
    ([0, 1, 2, 3], [0.75])
    """

    rounds: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    weights: np.ndarray

    @classmethod
    def of(cls, x: Strata, y: Strata) -> _Ranks:
        lower, upper = np.zeros((2, len(x.values)), int)
        common = sorted(_common_tasks(x, y), key=lambda task: task[1].start - task[1].stop)
        for task, x_runs, y_runs in common:
            zero = y_runs.start + y.tasks.index(task)  # each task has a row more in `_counts_below` than it has runs
            lower[x_runs] = zero + np.searchsorted(y.values[y_runs], x.values[x_runs], "left")
            upper[x_runs] = zero + np.searchsorted(y.values[y_runs], x.values[x_runs], "right")
        sizes = [(x_runs.start, x_runs.stop, y_runs.stop - y_runs.start) for _, x_runs, y_runs in common]
        starts, stops, n_y = np.array(sizes).T
        rounds = [starts[starts + i < stops] + i for i in range((stops - starts)[0])]
        weights = 1 / (2 * (stops - starts) * n_y * len(n_y))
        return cls([(runs, lower[runs], upper[runs]) for runs in rounds], weights)

    def win_share(self, counts: np.ndarray, below: np.ndarray) -> np.ndarray:
        """(R,): a run of x wins over every lower run of y and half over every equal one, as often as both count."""
        twice_wins = np.zeros((len(self.weights), counts.shape[1]), below.dtype)
        for runs, lower, upper in self.rounds:
            twice_wins[: len(runs)] += counts[runs] * (below[lower] + below[upper])
        return self.weights @ twice_wins


def _counts_below(runs: Strata, counts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """How often the k lowest runs of each task were drawn, k = 0 to all of them: (N + T, R)."""
    below = np.zeros((len(counts) + len(runs.tasks), counts.shape[1]), dtype)
    for place, (_, task_runs) in enumerate(runs.task_slices()):
        for run in range(task_runs.start, task_runs.stop):
            np.add(below[run + place], counts[run], out=below[run + place + 1])
    return below


def _common_tasks(x: Strata, y: Strata) -> Iterator[tuple[str, slice, slice]]:
    """Each common task, its runs in x and in y."""
    y_slices = dict(y.task_slices())
    yield from ((task, x_runs, y_slices[task]) for task, x_runs in x.task_slices() if task in y_slices)
