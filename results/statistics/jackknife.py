"""Intervals of any smooth function of means (ratios, areas, products): Student's t on the jackknife's pseudo-values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

Function = Callable[..., np.ndarray]  # of (K, R) arrays, one per group, R sets of means beside each other: (R,)


def interval(groups: Sequence[np.ndarray], of: Function, confidence: float = 0.95) -> tuple[float, float, float]:
    """`of(mean of group 1, mean of group 2, ...)` and both ends of its interval.

    groups: independent samples (S_g, K): S_g units (trained models, or episodes of one), each with K measurements that
    are paired within it; `of` receives their means, (K, 1) or (K, R), one array per group, and returns (R,). A group of
    one unit counts as known exactly; without any group of two the ends are NaN. Pseudo-values (Tukey 1958) say what each
    unit does to the result; the variances of independent groups add up and their degrees of freedom combine as in
    Welch's test (Satterthwaite 1946). Means, differences and ratios keep close to their nominal coverage from three units
    on (tests/test_statistics_coverage.py).
    """
    groups = [np.asarray(group, float) for group in groups]
    means = [group.mean(axis=0)[:, None] for group in groups]
    (value,), parts = of(*means), []
    for place, group in enumerate(groups):
        if (S := len(group)) > 1:
            without = (means[place] * S - group.T) / (S - 1)  # (K, S): the means without each unit
            left = of(*means[:place], without, *means[place + 1 :])
            parts.append(((S - 1) ** 2 * left.var(ddof=1) / S, S - 1))  # pseudo-values: S value - (S - 1) left
    variance = sum(v for v, _ in parts)
    if not parts or not np.isfinite(variance):
        return float(value), np.nan, np.nan
    if variance == 0:
        return float(value), float(value), float(value)
    df = variance**2 / sum(v**2 / f for v, f in parts)
    half = special.stdtrit(df, 0.5 + confidence / 2) * np.sqrt(variance)
    return float(value), float(value - half), float(value + half)


def linear(
    groups: Sequence[tuple[np.ndarray, np.ndarray]], confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `interval`, of R sums over groups (units (S, K), weights (R, K)) of weights @ means: three arrays (R,).

    A linear function's pseudo-values are its values at the units, so that no mean needs to be left out.
    """
    value = sum(weights @ units.mean(axis=0) for units, weights in groups)
    parts = [
        ((units @ weights.T).var(axis=0, ddof=1) / len(units), len(units) - 1) for units, weights in groups if len(units) > 1
    ]
    variance = sum(v for v, _ in parts)
    if not parts:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variance**2 / sum(v**2 / f for v, f in parts)
    half = np.where(variance > 0, special.stdtrit(df, 0.5 + confidence / 2) * np.sqrt(variance), 0.0)
    return value, value - half, value + half
