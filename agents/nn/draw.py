"""Where samples come from: a generator (learning), given uniforms (acting), or nowhere (comparison with others)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from agents.nn.dists import one_hot


class Draw(Protocol):
    def categorical(self, probs: Tensor) -> Tensor:
        """(..., C) probabilities -> (..., C) one-hot."""
        ...

    def normal(self, mean: Tensor, std: Tensor) -> Tensor: ...


class Generated:
    """From a torch generator: the agent's own stream while it learns."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def categorical(self, probs: Tensor) -> Tensor:
        # The first of C exponential clocks with these rates rings: one argmax, no cumulative sum.
        clocks = torch.empty_like(probs).exponential_(generator=self._generator)
        index = (probs / clocks).argmax(-1, keepdim=True)
        return torch.zeros_like(probs).scatter_(-1, index, 1.0)

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + std * torch.empty_like(mean).normal_(generator=self._generator)


class Given:
    """From uniform numbers (E, draws) in [0, 1), consumed from left to right: an episode depends on its key alone."""

    def __init__(self, uniforms: Tensor) -> None:
        self._uniforms = uniforms
        self._used = 0

    def _take(self, shape: torch.Size) -> Tensor:
        count = shape[1:].numel()
        taken = self._uniforms[:, self._used : self._used + count].reshape(shape)
        self._used += count
        return taken

    def categorical(self, probs: Tensor) -> Tensor:
        below = probs.cumsum(-1)
        u = self._take(probs.shape[:-1]).unsqueeze(-1)
        index = (below <= u * below[..., -1:]).sum(-1).clamp(max=probs.shape[-1] - 1)
        return one_hot(index, probs.shape[-1])

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        # In float64: the nearest float32 below one would be a bound of 5.4 standard deviations.
        u = self._take(mean.shape).double().clamp(1e-12, 1 - 1e-12)
        return mean + std * torch.special.ndtri(u).to(mean.dtype)


class Fixed:
    """The likeliest class; half a standard deviation above the mean."""

    def categorical(self, probs: Tensor) -> Tensor:
        return one_hot(probs.argmax(-1), probs.shape[-1])

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + 0.5 * std
