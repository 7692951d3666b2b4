"""No noise: observations pass through untouched."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from harness.noise import Noise
from harness.rng import Key


class Clean(Noise):
    """The identity; joined to other noises it disappears."""

    kind: ClassVar[str] = "clean"
    on: ClassVar[Literal["pixels", "vectors", "any"]] = "any"

    @property
    def parts(self) -> tuple[Noise, ...]:
        return ()

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        return array


NOISE = Clean
