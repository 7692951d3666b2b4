"""Differences between settings: over trained models of two methods, or within the same models; families and no effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

FEWEST = 3  # training runs of everything compared, for something to be marked as best


@dataclass(frozen=True)
class Contrast:
    """A difference of means with its interval and the two-sided p of no difference.

    se, df: standard error and degrees of freedom of Student's t. All but `delta` are NaN where no spread was measured
    (one value on a side): then nothing can be said about other training runs.
    """

    delta: float
    low: float
    high: float
    p: float
    se: float
    df: float


def unpaired(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Contrast:
    """Mean of x minus mean of y for independent values, one per training run: Welch's t, unequal variances.

    It is a statement about methods only where every value is a training run of its own.
    """
    return of_summaries(_summary(x), _summary(y), confidence)


def of_summaries(x: tuple[float, float, int], y: tuple[float, float, int], confidence: float = 0.95) -> Contrast:
    """As `unpaired`, from the mean, standard deviation (ddof 1) and number of the values on each side."""
    (mean_x, sd_x, n_x), (mean_y, sd_y, n_y) = x, y
    delta = mean_x - mean_y
    if min(n_x, n_y) < 2:
        return _unknown(delta)
    a, b = sd_x**2 / n_x, sd_y**2 / n_y
    if a + b == 0:
        return _unknown(delta)
    return _t(delta, np.sqrt(a + b), (a + b) ** 2 / (a**2 / (n_x - 1) + b**2 / (n_y - 1)), confidence)


def paired(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Contrast:
    """Mean of x - y over pairs: of one model with itself, or of runs that share their random streams."""
    differences = np.asarray(x, float) - np.asarray(y, float)
    delta, n = _mean(differences), len(differences)
    if n < 2 or differences.std(ddof=1) == 0:
        return _unknown(delta)
    return _t(delta, differences.std(ddof=1) / np.sqrt(n), n - 1, confidence)


def mean(some: Sequence[Contrast], confidence: float = 0.95) -> Contrast:
    """Mean of independent contrasts, as of one question on several tasks; Satterthwaite's degrees of freedom."""
    variances = np.array([one.se**2 for one in some]) / len(some) ** 2
    df = variances.sum() ** 2 / (variances**2 / [one.df for one in some]).sum()
    return _t(float(np.mean([one.delta for one in some])), np.sqrt(variances.sum()), df, confidence)


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p of a family (Holm 1979): NaN stays, and is not counted into the family."""
    p = np.asarray(p, float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


def best(groups: Sequence[Sequence[float]], confidence: float = 0.95) -> int | None:
    """Place of the highest mean where each of its contrasts with the others is significant after Holm; else None.

    None also where a group has fewer than FEWEST values: by chance alone two lie close together too often to mark on them.
    """
    known = [np.asarray(group, float) for group in groups]
    if len(known) < 2 or any(len(group) < FEWEST for group in known):
        return None
    first = int(np.argmax([group.mean() for group in known]))
    p = [unpaired(known[first], other, confidence).p for place, other in enumerate(known) if place != first]
    return first if (holm(p) < 1 - confidence).all() else None


def equivalence(contrast: Contrast, margin: float) -> float:
    """p of |difference| >= margin, by two one-sided tests (Schuirmann 1987): small where there is no effect that matters.

    A large p of no difference is not evidence of no effect; this is, and it needs a margin that somebody chose.
    """
    if not margin > 0:
        raise ValueError(f"margin = {margin}: a difference that matters is above 0")
    inside = (margin - abs(contrast.delta)) / contrast.se  # of the two tests, the one on the nearer margin decides
    return float(special.stdtr(contrast.df, -inside))


def _t(delta: float, se: float, df: float, confidence: float) -> Contrast:
    half = special.stdtrit(df, 0.5 + confidence / 2) * se
    p = 2 * special.stdtr(df, -abs(delta) / se)
    return Contrast(float(delta), float(delta - half), float(delta + half), float(p), float(se), float(df))


def _unknown(delta: float) -> Contrast:
    return Contrast(float(delta), *[float("nan")] * 5)


def _summary(values: Sequence[float]) -> tuple[float, float, int]:
    values = np.asarray(values, float)
    return _mean(values), float(values.std(ddof=1)) if len(values) > 1 else float("nan"), len(values)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
