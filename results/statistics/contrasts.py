"""Differences between settings, over trained models of two methods or within one model; families and equivalence tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

FEWEST = 3  # training runs of everything compared, for something to be marked as best

Sample = Sequence[float] | np.ndarray  # one value per training run
Summary = tuple[float, float, int]  # mean, standard deviation (ddof 1), number of values


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

    @property
    def tested(self) -> bool:
        """Whether a spread was measured, so that there is an interval and a p."""
        return self.df == self.df


def unpaired(x: Sample, y: Sample, confidence: float = 0.95) -> Contrast:
    """Mean of x minus mean of y for independent values, one per training run: Welch's t, unequal variances.

    It is a statement about methods only where every value is a training run of its own. With variances s^2 / n of the
    means, se^2 = s_x^2 / n_x + s_y^2 / n_y and df = se^4 / sum((s^2 / n)^2 / (n - 1)).

    Variances 1 and 4 of three values each: se^2 = 1/3 + 4/3, df = (25/9) / ((1/9 + 16/9) / 2) = 50/17:

    >>> contrast = unpaired([4, 5, 6], [0, 2, 4])
    >>> round(contrast.delta, 9), round(contrast.se**2, 4), round(contrast.df, 4)
    (3.0, 1.6667, 2.9412)
    """
    return unpaired_from_summaries(_summarize(x), _summarize(y), confidence)


def unpaired_from_summaries(x: Summary, y: Summary, confidence: float = 0.95) -> Contrast:
    """As `unpaired`, from the mean, standard deviation (ddof 1) and number of the values on each side."""
    (mean_x, sd_x, n_x), (mean_y, sd_y, n_y) = x, y
    delta = mean_x - mean_y
    if min(n_x, n_y) < 2:
        return _untested(delta)
    a, b = sd_x**2 / n_x, sd_y**2 / n_y
    if a + b == 0:
        return _untested(delta)
    return _t_contrast(delta, np.sqrt(a + b), (a + b) ** 2 / (a**2 / (n_x - 1) + b**2 / (n_y - 1)), confidence)


def mean_contrast(contrasts: Sequence[Contrast], confidence: float = 0.95) -> Contrast:
    """Mean of independent contrasts, as of one question on several tasks; Satterthwaite's degrees of freedom."""
    variances = np.array([contrast.se**2 for contrast in contrasts]) / len(contrasts) ** 2
    df = variances.sum() ** 2 / (variances**2 / [contrast.df for contrast in contrasts]).sum()
    delta = float(np.mean([contrast.delta for contrast in contrasts]))
    return _t_contrast(delta, np.sqrt(variances.sum()), df, confidence)


def holm(p: Sample) -> np.ndarray:
    """Holm's adjusted p of a family (Holm 1979), in the family's order: NaN stays, and is not counted into the family.

    The smallest of n is multiplied by n, the next by n - 1, and so on; none is below the one before it, none above 1:

    >>> holm([0.04, 0.01, float("nan"), 0.03]).round(9).tolist()  # 0.01 * 3, 0.03 * 2, then max(0.04 * 1, 0.06)
    [0.06, 0.03, nan, 0.06]
    """
    p = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


def best_group(groups: Sequence[Sample], confidence: float = 0.95) -> int | None:
    """Position of the highest mean where each of its contrasts with the others is significant after Holm; else None.

    None also where a group has fewer than FEWEST values: by chance alone two lie close together too often to mark on them.
    """
    samples = [np.asarray(group, float) for group in groups]
    if len(samples) < 2 or any(len(sample) < FEWEST for sample in samples):
        return None
    best = int(np.argmax([sample.mean() for sample in samples]))
    p = [unpaired(samples[best], other, confidence).p for position, other in enumerate(samples) if position != best]
    return best if (holm(p) < 1 - confidence).all() else None


def equivalence_p(contrast: Contrast, margin: float) -> float:
    """p of |difference| >= margin, by two one-sided tests (Schuirmann 1987): small where there is no effect that matters.

    A large p of no difference is not evidence of no effect; this is, and it needs a margin that somebody chose.
    """
    if not margin > 0:
        raise ValueError(f"margin = {margin}: a difference that matters is above 0")
    inside = (margin - abs(contrast.delta)) / contrast.se  # of the two tests, the one on the nearer margin decides
    return float(special.stdtr(contrast.df, -inside))


def _t_contrast(delta: float, se: float, df: float, confidence: float) -> Contrast:
    half = special.stdtrit(df, 0.5 + confidence / 2) * se
    p = 2 * special.stdtr(df, -abs(delta) / se)
    return Contrast(float(delta), float(delta - half), float(delta + half), float(p), float(se), float(df))


def _untested(delta: float) -> Contrast:
    return Contrast(float(delta), *[float("nan")] * 5)


def _summarize(values: Sample) -> Summary:
    values = np.asarray(values, float)
    return _mean(values), float(values.std(ddof=1)) if len(values) > 1 else float("nan"), len(values)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
