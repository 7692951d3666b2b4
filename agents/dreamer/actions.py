"""Encodes actions for the networks and decodes them for the environment. E environments, A action dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from agents.nn.dists import one_hot


class ActionCodec(Protocol):
    @property
    def width(self) -> int:
        """A: numbers of one action, as the networks see it."""
        ...

    @property
    def num_uniforms(self) -> int:
        """Uniform numbers that one action takes."""
        ...

    def encode(self, action: Tensor) -> Tensor:
        """The environment's actions (B, T, ...) -> the networks' (B, T, A)."""
        ...

    def decode(self, action: Tensor) -> Tensor:
        """The networks' actions (E, A) -> the environment's (E, ...)."""
        ...


@dataclass(frozen=True)
class DiscreteActionCodec:
    """Class indices outside, one-hot inside."""

    width: int  # classes
    num_uniforms: int = 1

    def encode(self, action: Tensor) -> Tensor:
        return one_hot(action, self.width)

    def decode(self, action: Tensor) -> Tensor:
        return action.argmax(-1).to(torch.int32)


@dataclass(frozen=True)
class ContinuousActionCodec:
    """Arrays of `shape` outside, flat inside. Samples are not clipped inside; the model scales them as it reads them."""

    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return prod(self.shape)

    @property
    def num_uniforms(self) -> int:
        return self.width

    def encode(self, action: Tensor) -> Tensor:
        return action.float().reshape(*action.shape[:2], self.width)

    def decode(self, action: Tensor) -> Tensor:
        # Clipping here changes nothing for the model (it sees a / max(1, |a|)), and the environment gets what it allows.
        return action.clamp(-1, 1).reshape(-1, *self.shape)
