"""Runs stratified by task, and bootstrap samples of them as counts: how often each run was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

CHUNK = 2000  # replicates at a time, so that the counts of one chunk stay near the processor

# A statistic takes runs and counts (N, R), R replicates, and returns its values, (R,) or (K, R).
Statistic = Callable[["Strata", np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Strata:
    """Scores of runs, task by task: `values` (N,), ascending within each of the T tasks; `sizes` (T,) runs per task.

    A statistic is a function of how often each run counts: once each for the point estimate, as often as it was drawn
    for a bootstrap replicate. So an estimate and its interval come from the same few lines.

    >>> runs = Strata.of({"b": [5], "a": [3, 1, float("nan")]})
    >>> runs.tasks, runs.values.tolist(), runs.sizes.tolist()
    (('a', 'b'), [1.0, 3.0, 5.0], [2, 1])
    """

    tasks: tuple[str, ...]
    values: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, scores: Mapping[str, Sequence[float] | np.ndarray]) -> Strata:
        """Task -> scores of its runs. The order of tasks and of runs makes no difference; NaN is a missing run."""
        ascending = {task: np.sort(np.asarray(scores[task], float)) for task in sorted(scores)}
        measured = {task: values[: np.searchsorted(values, np.nan)] for task, values in ascending.items()}  # NaN sorts last
        measured = {task: values for task, values in measured.items() if len(values)}
        sizes = np.array([len(values) for values in measured.values()], int)
        return cls(tuple(measured), np.concatenate(list(measured.values())) if measured else np.empty(0), sizes)

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of each task's first run in `values`: (T,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(int)

    @cached_property
    def order(self) -> np.ndarray:
        """Positions of all runs by ascending value: (N,)."""
        return np.argsort(self.values, kind="stable")

    @property
    def replicated(self) -> bool:
        """Whether any task has two runs: without, a bootstrap of runs has no spread and says nothing."""
        return bool((self.sizes > 1).any())

    def task_slices(self) -> Iterator[tuple[str, slice]]:
        """Each task, and where its runs are in `values`."""
        for task, start, size in zip(self.tasks, self.starts, self.sizes, strict=True):
            yield task, slice(start, start + size)

    def counts_once(self) -> np.ndarray:
        """Every run once: counts (N, 1)."""
        return np.ones((len(self.values), 1), np.uint8)

    def draw_counts(self, rng: np.random.Generator, replicates: int) -> np.ndarray:
        """Counts (N, replicates) of runs drawn with replacement, within each task as many as it has.

        Each possible value is compared with all draws at once, tasks of one size together: for the few runs that a task
        has, this is several times faster than counting one draw after another.

        >>> runs = Strata.of({"a": [1, 3], "b": [5]})
        >>> counts = runs.draw_counts(np.random.default_rng(0), 4)
        >>> counts.shape, counts[:2].sum(axis=0).tolist(), counts[2].tolist()  # a: two draws of two runs; b: its only run
        ((3, 4), [2, 2, 2, 2], [1, 1, 1, 1])
        """
        counts = np.empty((len(self.values), replicates), np.min_scalar_type(self.sizes.max(initial=0)))
        for size in np.unique(self.sizes):
            starts = self.starts[self.sizes == size]
            draws = rng.integers(size, size=(size, len(starts), replicates), dtype=np.uint16).astype(counts.dtype)
            for run in range(size):
                counts[starts + run] = np.add.reduce((draws == run).view(np.uint8), dtype=counts.dtype)
        return counts

    def draw_chunks(self, rng: np.random.Generator, reps: int) -> Iterator[np.ndarray]:
        """Counts of `reps` replicates, CHUNK at a time."""
        for start in range(0, reps, CHUNK):
            yield self.draw_counts(rng, min(CHUNK, reps - start))

    def estimate(self, statistic: Statistic) -> np.ndarray:
        """The statistic of the runs as they are: () or (K,)."""
        return statistic(self, self.counts_once())[..., 0]

    def replicates(self, statistics: Mapping[str, Statistic], rng: np.random.Generator, reps: int) -> dict[str, np.ndarray]:
        """Stratified bootstrap (Agarwal et al. 2021, section 4.2): per statistic (reps,) or (K, reps), from the same draws."""
        chunks = [
            {name: statistic(self, counts) for name, statistic in statistics.items()} for counts in self.draw_chunks(rng, reps)
        ]
        return {name: np.concatenate([chunk[name] for chunk in chunks], axis=-1) for name in statistics}


def exceeds(x: Strata, y: Strata, difference: float, replicates: np.ndarray, tail: float) -> bool:
    """Whether a statistic of x is above that of y: both measured, and no more than `tail` of their difference below zero.

    difference, replicates (reps,): the statistic of x less that of y, and its bootstrap replicates.

    Few runs make a bootstrap too narrow: the distance from the estimate to the quantile is stretched by sqrt(n / (n - 1)),
    n runs in the smallest task that has several, and from the normal's quantile to that of Student's t.
    """
    if not (x.replicated and y.replicated and difference > 0):
        return False
    sizes = np.concatenate([x.sizes, y.sizes])
    n = sizes[sizes > 1].min()
    stretch = np.sqrt(n / (n - 1)) * special.stdtrit((sizes - 1).sum(), 1 - tail) / special.ndtri(1 - tail)
    return bool(difference > stretch * (difference - np.quantile(replicates, tail)))
