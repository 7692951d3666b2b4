"""Variance components: how much scores differ between training runs, and how much between episodes of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Components:
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


def components(models: Sequence[np.ndarray]) -> Components:
    """One-way random effects by mean squares, for unequal numbers of episodes (Searle et al. 1992, section 3.6).

    models: returns of each training run's episodes. seed variance = (MSB - MSW) / n0, n0 = (N - sum n^2 / N) / (S - 1),
    and zero where the seeds differ less than their episodes explain.
    """
    models = [np.asarray(m, float) for m in models if len(m)]
    sizes = np.array([len(m) for m in models], float)
    total, S = sizes.sum(), len(models)
    within = sum(((m - m.mean()) ** 2).sum() for m in models) / (total - S) if total > S else np.nan
    if S > 1:
        grand = np.concatenate(models).mean()
        between = (sizes * (np.array([m.mean() for m in models]) - grand) ** 2).sum() / (S - 1)
        seed = max(0.0, (between - within) / ((total - (sizes**2).sum() / total) / (S - 1)))
    else:
        seed = np.nan
    both = seed + within
    icc = seed / both if both > 0 else np.nan
    return Components(S, int(total), float(np.sqrt(seed)), float(np.sqrt(within)), float(icc))
