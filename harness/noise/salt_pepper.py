"""Salt and pepper: single pixels turned entirely white or black, with equal probability.

A pixel changes in all its channels at once, independently of other pixels and frames. On a black background only the salt
shows. Severities: the amounts of ImageNet-64x64-C's impulse noise (Hendrycks and Dietterich, arXiv:1903.12261; there per
channel, so that the share of changed values is the same and pixels take false colours), at native size ImageNet-C's.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from harness.noise import PixelNoise
from harness.rng import Key

DRAWS = 2**32  # pixels compare a 32-bit number to the probability


class SaltPepper(PixelNoise):
    """With probability `p` a pixel becomes 0 or 255, half of the time each; a larger p changes a superset of pixels."""

    kind: ClassVar[str] = "salt_pepper"
    STRENGTH: ClassVar[str] = "p"
    SEVERITY: ClassVar = {i: {"p": p} for i, p in enumerate((0.01, 0.02, 0.05, 0.08, 0.14), 1)}
    NATIVE_SEVERITY: ClassVar = {i: {"p": p} for i, p in enumerate((0.03, 0.06, 0.09, 0.17, 0.27), 1)}

    p: float = Field(ge=0, le=1, description="share of pixels that turn white or black, together, 0 to 1")

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        if not self.p:
            return array
        height, width = array.shape[:2]
        words = key.generator(step).bit_generator.random_raw(-(-height * width // 2))
        draws = words.view(np.uint32)[: height * width].reshape(height, width)
        half = round(self.p / 2 * DRAWS)
        noisy = array.copy()
        noisy[draws < half] = 0
        noisy[draws >= DRAWS - half] = 255
        return noisy


NOISE = SaltPepper
