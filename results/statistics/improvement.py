"""Probability of improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from results.statistics.strata import Strata

Pair = tuple[str, str]


def per_task(x: Strata, y: Strata) -> dict[str, float]:
    """Common task -> mean over pairs of runs of [x > y] + [x = y]/2, the Mann-Whitney U over the number of pairs."""
    pairs = {task: (x.values[own][:, None], y.values[other]) for task, own, other in _common(x, y)}
    return {task: float(((a > b) + (a == b) / 2).mean()) for task, (a, b) in pairs.items()}


def replicates(methods: Mapping[str, Strata], streams: Mapping[str, np.random.Generator], reps: int) -> dict[Pair, np.ndarray]:
    """Stratified bootstrap (reps,) of the mean over common tasks, for each pair of methods (x, y) that shares a task.

    A method's runs are drawn once, from its own stream, for all of its pairs: within a pair the draws are independent, and
    they are the same whatever other methods are compared.
    """
    named = itertools.combinations(methods, 2)
    pairs = {(x, y): _Places.of(methods[x], methods[y]) for x, y in named if {*methods[x].tasks} & {*methods[y].tasks}}
    if not pairs:
        return {}
    largest = max(runs.sizes.max() for runs in methods.values())
    whole = np.min_scalar_type(2 * largest**2)  # of twice the pairs of runs of a task
    found: dict[Pair, list[np.ndarray]] = {pair: [] for pair in pairs}
    for drawn in zip(*(runs.chunks(streams[name], reps) for name, runs in methods.items()), strict=True):
        counts = dict(zip(methods, drawn, strict=True))
        below = {name: _below(runs, counts[name], whole) for name, runs in methods.items()}
        for (x, y), places in pairs.items():
            found[x, y].append(places.wins(counts[x], below[y]))
    return {pair: np.concatenate(parts) for pair, parts in found.items()}


@dataclass(frozen=True)
class _Places:
    """Where the runs of x on T common tasks stand among those of y.

    rounds: of the first runs of each task, of the second, and so on, tasks with most runs first: their rows in the counts
    of x, and in `_below` of y the rows of all lower runs and of all lower or equal ones. weights (T,): of twice a task's wins.
    """

    rounds: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    weights: np.ndarray

    @classmethod
    def of(cls, x: Strata, y: Strata) -> _Places:
        lower, upper = np.zeros((2, len(x.values)), int)
        common = sorted(_common(x, y), key=lambda task: task[1].start - task[1].stop)
        for task, own, other in common:
            zero = other.start + y.tasks.index(task)  # each task has a row more in `_below` than it has runs
            lower[own] = zero + np.searchsorted(y.values[other], x.values[own], "left")
            upper[own] = zero + np.searchsorted(y.values[other], x.values[own], "right")
        starts, stops, n = np.array([(own.start, own.stop, other.stop - other.start) for _, own, other in common]).T
        rounds = [starts[starts + i < stops] + i for i in range((stops - starts)[0])]
        return cls([(runs, lower[runs], upper[runs]) for runs in rounds], 1 / (2 * (stops - starts) * n * len(n)))

    def wins(self, counts: np.ndarray, below: np.ndarray) -> np.ndarray:
        """(R,): a run of x wins over every lower run of y and half over every equal one, as often as both count."""
        twice = np.zeros((len(self.weights), counts.shape[1]), below.dtype)
        for runs, lower, upper in self.rounds:
            twice[: len(runs)] += counts[runs] * (below[lower] + below[upper])
        return self.weights @ twice


def _below(runs: Strata, counts: np.ndarray, whole: np.dtype) -> np.ndarray:
    """How often the k lowest runs of each task were drawn, k = 0 to all of them: (N + T, R)."""
    below = np.zeros((len(counts) + len(runs.tasks), counts.shape[1]), whole)
    for place, (_, own) in enumerate(runs.by_task()):
        for run in range(own.start, own.stop):
            np.add(below[run + place], counts[run], out=below[run + place + 1])
    return below


def _common(x: Strata, y: Strata) -> Iterator[tuple[str, slice, slice]]:
    """Each common task, its runs in x and in y."""
    others = dict(y.by_task())
    yield from ((task, own, others[task]) for task, own in x.by_task() if task in others)
