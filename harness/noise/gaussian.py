"""Gaussian pixel noise: independent per pixel, channel and frame, in grey levels of 0 to 255.

Values are added, rounded half to even and brought back into [0, 255] by `edge`. Clipping biases what lies near the ends:
a black background brightens by 0.399 sigma (half of all draws are lost), a white one darkens by as much; `edge=reflect`
folds instead, which loses no draw but brightens black by 0.798 sigma. An agent can read sigma from either.

A draw is one of 65536 equally likely quantiles of the normal distribution, each the middle of its share (the largest is
4.3 sigma), rounded to a whole grey level: for whole-number pixels rounding the noise and rounding the sum agree. That is
three times faster than float32 normals, and the same on every machine.

Severities: ImageNet-64x64-C (Hendrycks and Dietterich, arXiv:1903.12261), at native size ImageNet-C, times 255.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from harness.noise import PixelNoise
from harness.rng import Key

QUANTILES = 65536


class Gaussian(PixelNoise):
    """Adds N(0, sigma^2) in grey levels; the same key draws the same normal numbers at every sigma."""

    kind: ClassVar[str] = "gaussian"
    STRENGTH: ClassVar[str] = "sigma"
    SEVERITY: ClassVar = {i: {"sigma": s} for i, s in enumerate((10.2, 20.4, 30.6, 38.25, 45.9), 1)}
    NATIVE_SEVERITY: ClassVar = {i: {"sigma": s} for i, s in enumerate((20.4, 30.6, 45.9, 66.3, 96.9), 1)}

    sigma: float = Field(ge=0, le=255, description="standard deviation in grey levels, 0 to 255")
    edge: Literal["clip", "reflect"] = Field("clip", description="what happens beyond 0 and 255: clip or reflect")

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        if not self.sigma:
            return array
        words = key.generator(step).bit_generator.random_raw(-(-array.size // 4))
        noisy = _levels(self.sigma).take(words.view(np.uint16)[: array.size]).reshape(array.shape)
        noisy += array
        if self.edge == "reflect":
            _fold(noisy)
        return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def _fold(levels: np.ndarray) -> None:
    """Reflect at 0 and 255, in place; a second reflection (beyond 510) is left to the clipping."""
    np.abs(levels, out=levels)
    np.subtract(510, levels, out=levels, where=levels > 255)
    np.abs(levels, out=levels)


@lru_cache(maxsize=32)
def _levels(sigma: float) -> np.ndarray:
    """(QUANTILES,) int16: the quantiles times sigma, in whole grey levels."""
    return np.rint(_normal() * sigma).astype(np.int16)


@lru_cache(maxsize=1)
def _normal() -> np.ndarray:
    inverse = NormalDist().inv_cdf
    lower = np.array([inverse((i + 0.5) / QUANTILES) for i in range(QUANTILES // 2)])
    return np.concatenate([lower, -lower[::-1]])


NOISE = Gaussian
ALIASES = {"g0": {"sigma": 0}, "g10": {"sigma": 10}, "g20": {"sigma": 20}}
