"""Intervals and what they mean: over episodes, how well one model was measured; over seeds, what a method does.

Episodes of one trained model share that model: they are not replicates of the training method. Only intervals over
training runs (seeds) carry a statement about the method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

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
    q = {"t": stats.t(n - 1), "normal": stats.norm}[quantile].ppf(tail)
    half = q * values.std(ddof=1) / np.sqrt(n)
    return values.mean(), values.mean() - half, values.mean() + half


class Bootstrap:
    """Two-level bootstrap: training seeds are drawn with replacement, then episodes inside each drawn seed.

    Its percentiles say where the method's expected score lies, over training runs and evaluation episodes. With few
    seeds they are too narrow (S values cannot show the tails they were drawn from); with one seed they say only how
    precisely that model was measured.

    Streams are keyed by what is drawn from, not by the order of calls. Measurements of the same models on the same
    environment seeds therefore share their draws, which is what pairs them, and a number does not change when more
    runs are loaded beside it.
    """

    def __init__(self, rng: np.random.Generator, reps: int = 50_000):
        self.reps = reps
        self._root = int(rng.integers(2**63))

    def means(self, models: Sequence[np.ndarray], models_key: int = 0, episodes_key: int = 0) -> np.ndarray:
        """Replicates of the mean over seeds of per-seed means: (reps, N) for S arrays of shape (E_s, N).

        The N columns are measurements paired by model and episode. Two calls share their draws of models where S and
        `models_key` agree, and of episodes where also the E_s and `episodes_key` agree.
        """
        S, shape = len(models), [len(m) for m in models]
        models = [np.asarray(m, float) for m in models]
        drawn = np.random.default_rng([self._root, 1, models_key, S])
        inner = np.random.default_rng([self._root, 2, models_key, episodes_key, *shape])
        out = np.empty((self.reps, models[0].shape[1]))
        for start in range(0, self.reps, CHUNK):
            rows = min(CHUNK, self.reps - start)
            which = drawn.integers(S, size=(rows, S))
            means = np.empty((rows, S, out.shape[1]))
            for s, episodes in enumerate(models):
                hit = which == s
                means[hit] = _resampled_means(episodes, int(hit.sum()), inner)
            out[start : start + rows] = means.mean(axis=1)
        return out


def two_level(models: Sequence[np.ndarray], reps: int, rng: np.random.Generator) -> np.ndarray:
    """Replicates (reps,) of the mean over seeds of per-seed means, for one array of returns per seed."""
    return Bootstrap(rng, reps).means([np.asarray(m, float)[:, None] for m in models])[:, 0]


def percentiles(replicates: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the percentile interval, along the first axis."""
    low, high = np.quantile(replicates, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return low, high


def ratio_interval(
    noisy: np.ndarray, clean: np.ndarray, random: np.ndarray | float, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of retention (noisy - random) / (clean - random) from replicates of its three scores.

    `noisy` and `clean` must come from the same draws of models (and of episodes, where environment seeds agree): what a
    model loses is a contrast within the model, so its luck in training cancels. It says which share of the method's
    advantage over random play survives the noise, over training runs; for one seed, for that model only.
    """
    kept = clean != random  # the few replicates without any advantage have no share of it
    low, high = percentiles(np.extract(kept, noisy - random) / np.extract(kept, clean - random), confidence)
    return float(low), float(high)


def _resampled_means(episodes: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means (draws, N) of E episodes drawn with replacement from (E, N): counts of each episode times its values."""
    E = len(episodes)
    picked = rng.integers(E, size=(draws, E), dtype=np.uint16 if E <= 2**16 else np.int64)
    flat = picked + np.arange(draws)[:, None] * E
    counts = np.bincount(flat.ravel(), minlength=draws * E).reshape(draws, E)
    return counts @ episodes / E
