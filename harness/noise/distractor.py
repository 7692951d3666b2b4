"""Distractor: a moving grey background, different in every episode, where the task's own background is.

Unlike pixel noise it is structured and predictable from frame to frame. It says nothing about the task, so the capacity that
a world model spends on it is lost. It stands in for the driving films of RePo's distracted control suite (Zhu et al.,
arXiv:2309.00082), whose rule for what is background (`where=blue`: pixels bluer than red and green) is kept; the film is
synthetic, so that nothing has to be downloaded: a sum of plane waves with random directions, lengths and speeds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from harness.noise import PixelNoise
from harness.rng import Key

WAVES = 8
CYCLES = 4.0  # most periods of a wave across the frame


class Distractor(PixelNoise):
    """Lays grey waves over background pixels; the same film for a key at every strength."""

    kind: ClassVar[str] = "distractor"
    STRENGTH: ClassVar[str] = "share"
    SEVERITY: ClassVar = {i: {"share": s} for i, s in enumerate((0.1, 0.25, 0.5, 0.75, 1.0), 1)}

    share: float = Field(1.0, ge=0, le=1, description="of the film in a background pixel, 0 to 1; the rest is the task's own")
    contrast: float = Field(50, ge=0, le=127, description="standard deviation of the film, grey levels around 127.5")
    speed: float = Field(1.0, ge=0, le=16, description="how far a wave moves per step, pixels at most")
    where: Literal["blue", "dark", "all"] = Field(
        "blue", description="background: blue (pixels bluer than red and green), dark (below 32 in every channel) or all"
    )

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        background = MASKS[self.where](array)
        film = _film(key, array.shape[:2], self.speed, step)
        grey = np.clip(127.5 + self.contrast * film, 0, 255)[..., None]
        mixed = np.rint((1 - self.share) * array + self.share * grey).astype(np.uint8)
        return np.where(background[..., None], mixed, array)


def _blue(frame: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (H, W) bool; a grey frame has no blue."""
    if frame.shape[-1] < 3:
        return np.zeros(frame.shape[:2], bool)
    red, green, blue = (frame[..., i] for i in range(3))
    return (blue > red) & (blue > green)


def _dark(frame: np.ndarray) -> np.ndarray:
    return np.asarray((frame < 32).all(-1))


def _all(frame: np.ndarray) -> np.ndarray:
    return np.ones(frame.shape[:2], bool)


MASKS = {"blue": _blue, "dark": _dark, "all": _all}


def _film(key: Key, shape: tuple[int, int], speed: float, step: int) -> np.ndarray:
    """(H, W) with mean 0 and variance 1 over all films; cos(a + b) from outer products, so that it costs little."""
    rows, columns, pace = _waves(key, shape)
    phase = np.exp(1j * pace * speed * step)
    return np.sqrt(2 / WAVES) * ((rows * phase) @ columns).real


@lru_cache(maxsize=64)
def _waves(key: Key, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An episode's waves: exp(i k y + i phase) (H, WAVES), exp(i k x) (WAVES, W), radians per pixel of movement (WAVES,)."""
    rng, size = key.generator(), max(shape)
    angle, length, start, pace = rng.random((4, WAVES))
    wave = 2 * np.pi * CYCLES * np.sqrt(length) / size  # radians per pixel
    wave_y, wave_x = wave * np.sin(2 * np.pi * angle), wave * np.cos(2 * np.pi * angle)
    rows = np.exp(1j * (np.outer(np.arange(shape[0]), wave_y) + 2 * np.pi * start))
    return rows, np.exp(1j * np.outer(wave_x, np.arange(shape[1]))), wave * (2 * pace - 1)


NOISE = Distractor
