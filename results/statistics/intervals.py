"""Intervals: over episodes they say how well one model was measured, over seeds what a method scores.

Episodes of one trained model share that model: they are not replicates of the training method. Only intervals over
training runs (seeds) carry a statement about the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import special

MOST_CACHED = 25_000_000  # counts of one shape that are cached, 4 bytes each
PAD = 32  # columns of a product at a time
CHUNK = 2000  # bootstrap replicates at a time, so that the counts of one chunk stay near the processor


def mean_interval(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95, quantile: str = "t"
) -> tuple[float, float, float]:
    """Mean and both ends of mean ± q s/sqrt(n) (s with ddof 1), q from Student's t(n-1) or, for old tables, the normal.

    It means what `values` are. One mean per training seed: where the method's expected score lies, over training runs.
    Episodes of one model: where that model's expected score lies, and nothing about another training run of the method.
    The ends are NaN for one value: no spread was measured. The normal quantile (1.96 for 95 %) ignores that s is an
    estimate; with n = 12 it is 12 % too narrow, with n = 3 more than half.

    Of 1, 2, 3: s = 1, and t(2) at 97.5 % is 4.303:

    >>> [round(float(number), 3) for number in mean_interval([1, 2, 3])]  # 2 ± 4.303 / sqrt(3)
    [2.0, -0.484, 4.484]
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        return (values.mean() if n else np.nan), np.nan, np.nan
    tail = 0.5 + confidence / 2
    q = special.stdtrit(n - 1, tail) if quantile == "t" else special.ndtri(tail)
    half = q * values.std(ddof=1) / np.sqrt(n)
    return values.mean(), values.mean() - half, values.mean() + half


class TwoLevelBootstrap:
    """Two-level bootstrap: training seeds are drawn with replacement, then episodes inside each drawn seed.

    Its percentiles say where the method's expected score lies, over training runs and evaluation episodes. With few
    seeds they are too narrow (S values cannot show the tails they were drawn from); with one seed they say only how
    precisely that model was measured.

    Streams are keyed by the numbers of episodes, not by the order of calls: a number does not change when more runs are
    loaded beside it. Cells with the same numbers share their draws, which are made once.
    """

    def __init__(self, rng: np.random.Generator, reps: int = 50_000):
        self.reps = reps
        self._root = int(rng.integers(2**63))
        self._cache: dict[tuple[int, ...], list[np.ndarray]] = {}

    def means(self, models: Sequence[np.ndarray]) -> np.ndarray:
        """Replicates of the mean over seeds of per-seed means: (reps, N) for S arrays of shape (E_s, N).

        The N columns are measurements of S models on as many episodes: they share their draws, which costs least. As sums
        over episodes: each counts as often as it was drawn. In float32, of differences from the mean: to a millionth of
        the spread.

        An episode of seed s that was drawn c times adds c / (S E_s) of its return. One seed with returns 0 and 6 gives, in
        a replicate, 0 (0 twice), 3 or 6:

        >>> replicates = TwoLevelBootstrap(np.random.default_rng(0), 1000).means([np.array([[0.0], [6.0]])])
        >>> replicates.shape, np.unique(replicates.round(6)).tolist()
        ((1000, 1), [0.0, 3.0, 6.0])
        """
        shape, N = tuple(map(len, models)), models[0].shape[1]
        center = np.mean([np.asarray(m, float).mean(axis=0) for m in models], axis=0)
        weighted = np.concatenate([(np.asarray(m, float) - center) / len(m) for m in models]) / len(models)
        padded = np.zeros((-(-N // PAD) * PAD, len(weighted)), np.float32)  # whole blocks: no column is a special case
        padded[:N] = weighted.T
        means = np.concatenate([padded @ counts for counts in self._counts(shape)], axis=1)[:N].astype(float)
        means += center[:, None]
        return means.T

    def _counts(self, shape: tuple[int, ...]) -> Iterable[np.ndarray]:
        """How often each episode was drawn, (sum E, replicates) at a time; cached where that takes little memory."""
        if self.reps * sum(shape) > MOST_CACHED:
            return self._draw_counts(shape)
        if shape not in self._cache:
            while sum(counts.nbytes for chunks in self._cache.values() for counts in chunks) > 4 * MOST_CACHED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[shape] = list(self._draw_counts(shape))
        return self._cache[shape]

    def _draw_counts(self, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """Counts (sum E, replicates of a chunk): of S draws of seeds, each with E_s draws of its episodes."""
        S, starts = len(shape), np.cumsum([0, *shape[:-1]])
        rng = np.random.default_rng([self._root, S, *shape])
        for start in range(0, self.reps, CHUNK):
            rows = min(CHUNK, self.reps - start)
            counts = np.zeros((rows, sum(shape)), np.float32)  # whole numbers: exact
            seeds = rng.integers(S, size=(rows, S))
            for s, (first, E) in enumerate(zip(starts, shape, strict=True)):
                times = (seeds == s).sum(axis=1)
                replicate = np.repeat(np.arange(rows), times * E)
                episodes = rng.integers(E, size=len(replicate))
                counts[:, first : first + E] = np.bincount(replicate * E + episodes, minlength=rows * E).reshape(rows, E)
            yield np.ascontiguousarray(counts.T)


def two_level_means(models: Sequence[np.ndarray], reps: int, rng: np.random.Generator) -> np.ndarray:
    """Replicates (reps,) of the mean over seeds of per-seed means, for one array of returns per seed."""
    return TwoLevelBootstrap(rng, reps).means([np.asarray(m, float)[:, None] for m in models])[:, 0]


def percentile_interval(replicates: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the percentile interval, along the first axis: those of `np.quantile`, several times faster.

    An end lies at place (n - 1) (1 ± confidence) / 2 of the n sorted replicates, between two of them linearly:

    >>> [round(float(end), 9) for end in percentile_interval(np.array([0.0, 10.0, 20.0]), 0.9)]  # places 0.1 and 1.9
    [1.0, 19.0]
    """
    n = len(replicates)
    places = (n - 1) * np.array([0.5 - confidence / 2, 0.5 + confidence / 2])
    below = places.astype(int)
    neighbours = np.minimum(np.stack([below, below + 1], axis=1), n - 1) - [[0], [n]]  # the high ones from the end
    tail = max(below[0] + 2, n - below[1])
    columns = replicates.reshape(n, -1).T
    beside = np.array([np.partition(_tails(column, tail), neighbours.ravel())[neighbours] for column in columns])
    beside[np.isnan(columns).any(axis=1)] = np.nan
    low, high = (np.quantile(beside[:, end], places[end] - below[end], axis=1) for end in (0, 1))
    return low.reshape(replicates.shape[1:])[()], high.reshape(replicates.shape[1:])[()]


def _tails(values: np.ndarray, tail: int) -> np.ndarray:
    """A part of the values that holds the `tail` lowest and the `tail` highest: about twice as many as these."""
    sample = np.sort(values[:CHUNK])
    cut = 2 * tail * len(sample) // len(values)
    if 2 * cut < len(sample):
        under, over = values <= sample[cut], values >= sample[-1 - cut]
        if min(np.count_nonzero(under), np.count_nonzero(over)) >= tail:
            return values[under | over]
    return values
