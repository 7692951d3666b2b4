"""Tests whether a printed mean, and the spread beside it, can come from n whole multiples of a granularity.

GRIM (Brown & Heathers 2017) for means, GRIMMER (Anaya 2016) for standard deviations: with scores x = g u, u whole numbers,
sum u is whole, sum u^2 is whole, and both are odd or even together.
"""

from __future__ import annotations

import numpy as np


def roundings(mean: float, digits: int, n: int, granularity: float) -> set[str]:
    """How a printed mean can have come about: `rounded`, `cut` (digits dropped), both; empty: it cannot.

    >>> roundings(966.67, 2, 12, 50), roundings(996.67, 2, 12, 50)  # 232 * 50 / 12 = 966.666...; no total gives 996.67
    ({'rounded'}, set())
    """
    unit = 10.0**-digits
    nearest = round(mean * n / granularity)
    possible = set()
    for total in (nearest - 1, nearest, nearest + 1):
        beyond = abs(total * granularity / n) - abs(mean)
        possible |= {"rounded"} if abs(beyond) <= unit * (0.5 + 1e-6) else set()
        possible |= {"cut"} if -1e-6 * unit <= beyond < unit else set()
    return possible


def sd_fits(mean: float, sd_low: float, sd_high: float, digits: int, n: int, granularity: float) -> bool:
    """Whether n scores of that mean can have a standard deviation (ddof 1) in [sd_low, sd_high]."""
    total = round(mean * n / granularity)
    if n < 2 or not roundings(mean, digits, n, granularity):
        return False
    low, high = ((n - 1) * np.array([sd_low, sd_high]) ** 2 / granularity**2) + total**2 / n
    squares = np.arange(np.ceil(low - 1e-6), np.floor(high + 1e-6) + 1)
    return bool(((squares - total) % 2 == 0).any())


def one_digit_off(mean: float, digits: int) -> list[float]:
    """Numbers that are printed like the mean but for one digit: slips of the pen."""
    text = f"{mean:.{digits}f}"
    places = [place for place, character in enumerate(text) if character.isdigit()]
    return [float(text[:i] + digit + text[i + 1 :]) for i in places for digit in "0123456789" if digit != text[i]]
