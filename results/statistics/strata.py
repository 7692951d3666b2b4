"""Runs stratified by task, and bootstrap samples of them as counts: how often each run was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

CHUNK = 2000  # replicates at a time, so that the counts of one chunk stay near the processor

# A statistic takes runs and counts (N, replicates) and returns its values, (replicates,) or (K, replicates).
Statistic = Callable[["Strata", np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Strata:
    """Scores of runs, task by task: `values` (N,), ascending within each of the T tasks; `sizes` (T,) runs per task.

    A statistic is a function of how often each run counts: once each for the point estimate, as often as it was drawn
    for a bootstrap replicate. So an estimate and its interval come from the same few lines.
    """

    tasks: tuple[str, ...]
    values: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, scores: Mapping[str, Sequence[float] | np.ndarray]) -> Strata:
        """Task -> scores of its runs. The order of tasks and of runs makes no difference; NaN is a missing run."""
        known = {task: np.sort(np.asarray(scores[task], float)) for task in sorted(scores)}
        known = {task: values[: np.searchsorted(values, np.nan)] for task, values in known.items()}  # NaN sorts last
        known = {task: values for task, values in known.items() if len(values)}
        sizes = np.array([len(values) for values in known.values()], int)
        return cls(tuple(known), np.concatenate(list(known.values())) if known else np.empty(0), sizes)

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of each task's first run in `values`."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(int)

    @cached_property
    def order(self) -> np.ndarray:
        """Positions of all runs by ascending value."""
        return np.argsort(self.values, kind="stable")

    @property
    def replicated(self) -> bool:
        """Whether any task has two runs: without, a bootstrap of runs has no spread and says nothing."""
        return bool((self.sizes > 1).any())

    def by_task(self) -> Iterator[tuple[str, slice]]:
        for task, start, size in zip(self.tasks, self.starts, self.sizes, strict=True):
            yield task, slice(start, start + size)

    def once(self) -> np.ndarray:
        """Every run once: counts (N, 1)."""
        return np.ones((len(self.values), 1), np.uint8)

    def draw(self, rng: np.random.Generator, replicates: int) -> np.ndarray:
        """Counts (N, replicates) of runs drawn with replacement, within each task as many as it has.

        Each possible value is compared with all draws at once, tasks of one size together: for the few runs that a task
        has, this is several times faster than counting one draw after another.
        """
        counts = np.empty((len(self.values), replicates), np.min_scalar_type(self.sizes.max(initial=0)))
        for size in np.unique(self.sizes):
            starts = self.starts[self.sizes == size]
            drawn = rng.integers(size, size=(size, len(starts), replicates), dtype=np.uint16).astype(counts.dtype)
            for run in range(size):
                counts[starts + run] = np.add.reduce((drawn == run).view(np.uint8), dtype=counts.dtype)
        return counts

    def chunks(self, rng: np.random.Generator, reps: int) -> Iterator[np.ndarray]:
        """Counts of `reps` replicates, CHUNK at a time."""
        for start in range(0, reps, CHUNK):
            yield self.draw(rng, min(CHUNK, reps - start))

    def estimate(self, statistic: Statistic) -> np.ndarray:
        """The statistic of the runs as they are: () or (K,)."""
        return statistic(self, self.once())[..., 0]

    def replicates(self, statistics: Mapping[str, Statistic], rng: np.random.Generator, reps: int) -> dict[str, np.ndarray]:
        """Stratified bootstrap (Agarwal et al. 2021, section 4.2): per statistic (reps,) or (K, reps), from the same draws."""
        parts = [{name: of(self, counts) for name, of in statistics.items()} for counts in self.chunks(rng, reps)]
        return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in statistics}


def exceeds(x: Strata, y: Strata, estimate: float, drawn: np.ndarray, tail: float) -> bool:
    """Whether a statistic of x is above that of y: both measured, and no more than `tail` of their difference below zero.

    estimate, drawn (reps,): the difference, x's less y's, and its replicates.

    Few runs make a bootstrap too narrow: the distance from the estimate to the quantile is stretched by sqrt(n / (n - 1)),
    n runs in the smallest task that has several, and from the normal's quantile to that of Student's t.
    """
    if not (x.replicated and y.replicated and estimate > 0):
        return False
    sizes = np.concatenate([x.sizes, y.sizes])
    n = sizes[sizes > 1].min()
    stretch = np.sqrt(n / (n - 1)) * special.stdtrit((sizes - 1).sum(), 1 - tail) / special.ndtri(1 - tail)
    return estimate > stretch * (estimate - np.quantile(drawn, tail))
