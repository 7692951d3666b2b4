"""Encodes actions for the networks and decodes them for the environment. E environments, A action dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from agents.nn.dists import one_hot
from agents.protocol import JointSpace


class ActionCodec(Protocol):
    """Translates actions between the environment and the networks."""

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
    """Class indices of `shape` outside; inside a one-hot for each, side by side."""

    classes: int
    shape: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        return self.num_uniforms * self.classes

    @property
    def num_uniforms(self) -> int:
        return prod(self.shape)

    def encode(self, action: Tensor) -> Tensor:
        return one_hot(action, self.classes).reshape(*action.shape[:2], self.width)

    def decode(self, action: Tensor) -> Tensor:
        return action.reshape(-1, *self.shape, self.classes).argmax(-1).to(torch.int32)


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


@dataclass(frozen=True)
class JointActionCodec:
    """Several actions in one array (see `JointSpace`): each part by its codec, concatenated in the same order."""

    space: JointSpace
    codecs: Mapping[str, ActionCodec]  # in the order of `space.parts`

    @property
    def width(self) -> int:
        return sum(codec.width for codec in self.codecs.values())

    @property
    def num_uniforms(self) -> int:
        return sum(codec.num_uniforms for codec in self.codecs.values())

    def encode(self, action: Tensor) -> Tensor:
        parts = []
        for name, columns in self.space.columns.items():
            part = action[..., columns].reshape(*action.shape[:2], *self.space.parts[name].shape)
            parts.append(self.codecs[name].encode(part))
        return torch.cat(parts, -1)

    def decode(self, action: Tensor) -> Tensor:
        parts = action.split([codec.width for codec in self.codecs.values()], -1)
        pairs = zip(self.codecs.values(), parts, strict=True)
        return torch.cat([codec.decode(part).float().reshape(len(action), -1) for codec, part in pairs], -1)
