"""Intervals of any smooth function of means (ratios, areas, products): Student's t on the jackknife's pseudo-values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

Function = Callable[..., np.ndarray]  # of (K, R) arrays, one per group, R sets of means beside each other: (R,)


def interval(groups: Sequence[np.ndarray], function: Function, confidence: float = 0.95) -> tuple[float, float, float]:
    """`function(mean of group 1, mean of group 2, ...)` and both ends of its interval.

    groups: independent samples (S_g, K): S_g units (trained models, or episodes of one), each with K measurements that
    are paired within it. `function` receives their means, (K, 1) or (K, R), one array per group, and returns (R,). A group
    of one unit counts as known exactly; without any group of two the ends are NaN. Pseudo-values (Tukey 1958) say what each
    unit does to the result; the variances of independent groups add up and their degrees of freedom combine as in
    Welch's test (Satterthwaite 1946). Means, differences and ratios keep close to their nominal coverage from three units
    on (tests/test_statistics_coverage.py).

    A ratio of the means of 3 units with (numerator, denominator) (1, 2), (2, 2), (3, 2): all denominators agree, so the
    pseudo-values are 0.5, 1, 1.5, their mean is 1 and its standard error 0.5 / sqrt(3), with t(2) = 4.303:

    >>> value, low, high = interval([np.array([[1, 2], [2, 2], [3, 2]])], lambda m: m[0] / m[1])
    >>> round(value, 9), round(high - value, 3)
    (1.0, 1.242)
    """
    groups = [np.asarray(group, float) for group in groups]
    means = [group.mean(axis=0)[:, None] for group in groups]
    (value,) = function(*means)
    parts: list[tuple[float, int]] = []  # of each group its variance and degrees of freedom
    for place, group in enumerate(groups):
        if (S := len(group)) > 1:
            means_without = (means[place] * S - group.T) / (S - 1)  # (K, S): the means without each unit
            values_without = function(*means[:place], means_without, *means[place + 1 :])
            parts.append(((S - 1) ** 2 * values_without.var(ddof=1) / S, S - 1))  # pseudo-value: S value - (S - 1) without
    variance = sum(v for v, _ in parts)
    if not parts or not np.isfinite(variance):
        return float(value), np.nan, np.nan
    if variance == 0:
        return float(value), float(value), float(value)
    df = variance**2 / sum(v**2 / f for v, f in parts)
    half = special.stdtrit(df, 0.5 + confidence / 2) * np.sqrt(variance)
    return float(value), float(value - half), float(value + half)


def linear_interval(
    groups: Sequence[tuple[np.ndarray, np.ndarray]], confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `interval`, of R sums over groups (units (S, K), weights (R, K)) of weights @ means: three arrays (R,).

    A linear function's pseudo-values are its values at the units, so that no mean needs to be left out.

    The difference of two measurements on 3 units, (5, 1), (6, 1), (7, 1): values 4, 5, 6 at the units:

    >>> value, low, high = linear_interval([(np.array([[5, 1], [6, 1], [7, 1]]), np.array([[1, -1]]))])
    >>> value.tolist(), (high - value).round(3).tolist()  # 4.303 * 1 / sqrt(3)
    ([5.0], [2.484])
    """
    value = np.sum([weights @ units.mean(axis=0) for units, weights in groups], axis=0)
    parts = [
        ((units @ weights.T).var(axis=0, ddof=1) / len(units), len(units) - 1) for units, weights in groups if len(units) > 1
    ]
    if not parts:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    variance = np.sum([v for v, _ in parts], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variance**2 / np.sum([v**2 / f for v, f in parts], axis=0)
    half = np.where(variance > 0, special.stdtrit(df, 0.5 + confidence / 2) * np.sqrt(variance), 0.0)
    return value, value - half, value + half
