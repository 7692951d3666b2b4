"""Intervals and what they mean: over episodes, how well one model was measured; over seeds, what a method does.

Episodes of one trained model share that model: they are not replicates of the training method. Only intervals over
training runs (seeds) carry a statement about the method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

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
    loaded beside it.
    """

    def __init__(self, rng: np.random.Generator, reps: int = 50_000):
        self.reps = reps
        self._root = int(rng.integers(2**63))

    def means(self, models: Sequence[np.ndarray]) -> np.ndarray:
        """Replicates of the mean over seeds of per-seed means: (reps, N) for S arrays of shape (E_s, N).

        The N columns are measurements of S models on as many episodes: they share their draws, which costs least.
        """
        S, shape = len(models), [len(m) for m in models]
        models = [np.asarray(m, float) for m in models]
        rng = np.random.default_rng([self._root, S, *shape])
        out = np.empty((self.reps, models[0].shape[1]))
        for start in range(0, self.reps, CHUNK):
            rows = min(CHUNK, self.reps - start)
            which = rng.integers(S, size=(rows, S))
            means = np.empty((rows, S, out.shape[1]))
            for s, episodes in enumerate(models):
                hit = which == s
                means[hit] = _resampled_means(episodes, int(hit.sum()), rng)
            out[start : start + rows] = means.mean(axis=1)
        return out


def two_level(models: Sequence[np.ndarray], reps: int, rng: np.random.Generator) -> np.ndarray:
    """Replicates (reps,) of the mean over seeds of per-seed means, for one array of returns per seed."""
    return Bootstrap(rng, reps).means([np.asarray(m, float)[:, None] for m in models])[:, 0]


def percentiles(replicates: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the percentile interval, along the first axis."""
    low, high = np.quantile(replicates, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return low, high


def _resampled_means(episodes: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means (draws, N) of E episodes drawn with replacement from (E, N): counts of each episode times its values."""
    E = len(episodes)
    picked = rng.integers(E, size=(draws, E), dtype=np.uint16 if E <= 2**16 else np.int64)
    flat = picked + np.arange(draws)[:, None] * E
    counts = np.bincount(flat.ravel(), minlength=draws * E).reshape(draws, E)
    return counts @ episodes / E
