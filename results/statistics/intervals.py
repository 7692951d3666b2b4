"""Intervals and what they mean: over episodes, how well one model was measured; over seeds, what a method does.

Episodes of one trained model share that model: they are not replicates of the training method. Only intervals over
training runs (seeds) carry a statement about the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import special

KEPT = 25_000_000  # counts of one shape that are kept, 4 bytes each
PAD = 32  # columns of a product at a time
CHUNK = 2000  # bootstrap replicates at a time, so that the counts of one chunk stay near the processor


def mean_interval(values: np.ndarray, confidence: float = 0.95, quantile: str = "t") -> tuple[float, float, float]:
    """Mean and both ends of mean ± q s/sqrt(n) (s with ddof 1), q from Student's t(n-1) or, for old tables, the normal.

    It means what `values` are. One mean per training seed: where the method's expected score lies, over training runs.
    Episodes of one model: where that model's expected score lies, and nothing about another training run of the method.
    The ends are NaN for one value: no spread was measured. The normal quantile (1.96 for 95 %) ignores that s is an
    estimate; with n = 12 it is 12 % too narrow, with n = 3 more than half.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        return (values.mean() if n else np.nan), np.nan, np.nan
    tail = 0.5 + confidence / 2
    q = special.stdtrit(n - 1, tail) if quantile == "t" else special.ndtri(tail)
    half = q * values.std(ddof=1) / np.sqrt(n)
    return values.mean(), values.mean() - half, values.mean() + half


class Bootstrap:
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
        self._drawn: dict[tuple[int, ...], list[np.ndarray]] = {}

    def means(self, models: Sequence[np.ndarray]) -> np.ndarray:
        """Replicates of the mean over seeds of per-seed means: (reps, N) for S arrays of shape (E_s, N).

        The N columns are measurements of S models on as many episodes: they share their draws, which costs least. As sums
        over episodes: each counts as often as it was drawn. In float32, of differences from the mean: to a millionth of
        the spread.
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
        """How often each episode was drawn, (sum E, replicates) at a time; kept where that takes little memory."""
        if self.reps * sum(shape) > KEPT:
            return self._draw(shape)
        if shape not in self._drawn:
            while sum(counts.nbytes for some in self._drawn.values() for counts in some) > 4 * KEPT:
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[shape] = list(self._draw(shape))
        return self._drawn[shape]

    def _draw(self, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        S, starts = len(shape), np.cumsum([0, *shape[:-1]])
        rng = np.random.default_rng([self._root, S, *shape])
        for start in range(0, self.reps, CHUNK):
            rows = min(CHUNK, self.reps - start)
            counts = np.zeros((rows, sum(shape)), np.float32)  # whole numbers: exact
            which = rng.integers(S, size=(rows, S))
            for s, (first, E) in enumerate(zip(starts, shape, strict=True)):
                times = (which == s).sum(axis=1)
                owner = np.repeat(np.arange(rows), times * E)
                picked = rng.integers(E, size=len(owner))
                counts[:, first : first + E] = np.bincount(owner * E + picked, minlength=rows * E).reshape(rows, E)
            yield np.ascontiguousarray(counts.T)


def two_level(models: Sequence[np.ndarray], reps: int, rng: np.random.Generator) -> np.ndarray:
    """Replicates (reps,) of the mean over seeds of per-seed means, for one array of returns per seed."""
    return Bootstrap(rng, reps).means([np.asarray(m, float)[:, None] for m in models])[:, 0]


def percentiles(replicates: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the percentile interval, along the first axis: those of `np.quantile`, several times faster."""
    n = len(replicates)
    places = (n - 1) * np.array([0.5 - confidence / 2, 0.5 + confidence / 2])
    below = places.astype(int)
    at = np.minimum(np.stack([below, below + 1], axis=1), n - 1) - [[0], [n]]  # the high ones counted from the end
    tail = max(below[0] + 2, n - below[1])
    columns = replicates.reshape(n, -1).T
    beside = np.array([np.partition(_outer(column, tail), at.ravel())[at] for column in columns])
    beside[np.isnan(columns).any(axis=1)] = np.nan
    low, high = (np.quantile(beside[:, end], places[end] - below[end], axis=1) for end in (0, 1))
    return low.reshape(replicates.shape[1:])[()], high.reshape(replicates.shape[1:])[()]


def _outer(values: np.ndarray, tail: int) -> np.ndarray:
    """Some of the values, with the `tail` lowest and the `tail` highest among them: about twice as many as these."""
    some = np.sort(values[:CHUNK])
    cut = 2 * tail * len(some) // len(values)
    if 2 * cut < len(some):
        under, over = values <= some[cut], values >= some[-1 - cut]
        if min(np.count_nonzero(under), np.count_nonzero(over)) >= tail:
            return values[under | over]
    return values
