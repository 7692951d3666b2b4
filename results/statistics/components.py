"""Variance components: how much scores differ between training runs, and how much between episodes of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VarianceComponents:
    """seed_sd, episode_sd: standard deviations between trained models and between episodes of one.

    icc: intraclass correlation, the models' share of the variance. NaN where no spread of that kind was measured.
    """

    seeds: int
    episodes: int
    seed_sd: float
    episode_sd: float
    icc: float

    def design_effect(self, episodes: float) -> float:
        """1 + (n - 1) icc: n episodes of one model are worth n / design_effect independent ones."""
        return 1 + (episodes - 1) * self.icc


def variance_components(models: Sequence[np.ndarray]) -> VarianceComponents:
    """One-way random effects by mean squares, for unequal numbers of episodes (Searle et al. 1992, section 3.6).

    models: one array (n_s,) per training run s = 1..S, the returns of its episodes; N = sum n_s. MSW and MSB are the mean
    squares within and between runs. Episode variance = MSW; seed variance = (MSB - MSW) / n0 with
    n0 = (N - sum n_s^2 / N) / (S - 1), and zero where the seeds differ less than their episodes explain.

    Two runs of two episodes, (0, 2) and (4, 6): MSW = (1 + 1 + 1 + 1) / 2 = 2, MSB = 2 (1 - 3)^2 + 2 (5 - 3)^2 = 16, n0 = 2,
    seed variance = (16 - 2) / 2 = 7, icc = 7 / (7 + 2):

    >>> components = variance_components([np.array([0, 2]), np.array([4, 6])])
    >>> round(components.seed_sd**2, 9), round(components.episode_sd**2, 9), round(components.icc, 4)
    (7.0, 2.0, 0.7778)
    """
    models = [np.asarray(returns, float) for returns in models if len(returns)]
    sizes = np.array([len(returns) for returns in models], float)
    total, S = sizes.sum(), len(models)
    within = sum(((returns - returns.mean()) ** 2).sum() for returns in models) / (total - S) if total > S else np.nan
    if S > 1:
        grand_mean = np.concatenate(models).mean()
        between = (sizes * (np.array([returns.mean() for returns in models]) - grand_mean) ** 2).sum() / (S - 1)
        seed_variance = max(0.0, (between - within) / ((total - (sizes**2).sum() / total) / (S - 1)))
    else:
        seed_variance = np.nan
    variance = seed_variance + within
    icc = seed_variance / variance if variance > 0 else np.nan
    return VarianceComponents(S, int(total), float(np.sqrt(seed_variance)), float(np.sqrt(within)), float(icc))
