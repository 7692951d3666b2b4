"""Sources of samples: a generator (learning), given uniform numbers (acting), or the mode (comparison with others)."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.nn.dists import one_hot

# Stand for uniform numbers of exactly zero and one in float32, where logarithms would be infinite.
TINY, BELOW_ONE = 1e-20, 1 - 2**-24


class Sampler(Protocol):
    def prefetch(self, rows: int, count: int) -> Sampler:
        """A sampler for one step of `rows` that takes `count` uniform numbers each. They are drawn now."""
        ...

    def categorical(self, probs: Tensor) -> Tensor:
        """(..., C) probabilities -> (..., C) one-hot."""
        ...

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        """mean (...), std (...) -> (...)."""
        ...

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers inside (0, 1), shaped like `like`."""
        ...


def categorical_from_uniform(probs: Tensor, uniform: Tensor) -> Tensor:
    """Inverse of the cumulative distribution: probabilities (..., C), uniform numbers (...) -> one-hot (..., C)."""
    passed_bounds = (uniform.unsqueeze(-1) >= probs.cumsum(-1)[..., :-1]).to(probs.dtype)  # monotone: 1 ... 1 0 ... 0
    return F.pad(passed_bounds, (1, 0), value=1.0) - F.pad(passed_bounds, (0, 1))


class GeneratorSampler:
    """From a torch generator: the agent's own stream while it learns."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def prefetch(self, rows: int, count: int) -> UniformSampler:
        return UniformSampler(torch.rand(rows, count, generator=self._generator, device=self._generator.device))

    def categorical(self, probs: Tensor) -> Tensor:
        return categorical_from_uniform(probs, torch.rand(probs.shape[:-1], generator=self._generator, device=probs.device))

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + std * torch.empty_like(mean).normal_(generator=self._generator)

    def uniform(self, like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=self._generator, device=like.device).clamp_(TINY, BELOW_ONE)


class UniformSampler:
    """From uniform numbers (E, count) in [0, 1), used from left to right: an episode depends on its key alone."""

    def __init__(self, uniforms: Tensor) -> None:
        self._uniforms = uniforms
        self._used = 0

    def prefetch(self, rows: int, count: int) -> UniformSampler:
        return self

    def _next(self, shape: torch.Size) -> Tensor:
        """The next columns, as (E, ...)."""
        start, self._used = self._used, self._used + shape[1:].numel()
        return self._uniforms[:, start : self._used].reshape(shape)

    def categorical(self, probs: Tensor) -> Tensor:
        return categorical_from_uniform(probs, self._next(probs.shape[:-1]))

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        # Half of the smallest number above zero stands for zero. In float64, because there one minus it is not one.
        smallest = torch.finfo(self._uniforms.dtype).eps / 4
        u = self._next(mean.shape).double().clamp(smallest, 1 - smallest)
        return mean + std * torch.special.ndtri(u).to(mean.dtype)

    def uniform(self, like: Tensor) -> Tensor:
        return self._next(like.shape).to(like.dtype).clamp(TINY, BELOW_ONE)


class ModeSampler:
    """The likeliest class; half a standard deviation above the mean."""

    def prefetch(self, rows: int, count: int) -> ModeSampler:
        return self

    def categorical(self, probs: Tensor) -> Tensor:
        return one_hot(probs.argmax(-1), probs.shape[-1])

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + 0.5 * std

    def uniform(self, like: Tensor) -> Tensor:
        return torch.full_like(like, 0.5)
