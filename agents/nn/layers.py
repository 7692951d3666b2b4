"""Linear layers, norms and stacks of them.

`Linear -> norm -> activation` everywhere; output layers have neither norm nor activation. Weights are truncated normal
with variance 1 / fan-in, biases zero.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

from agents.nn.functional import linear, rms_norm

Act = Callable[[Tensor], Tensor]
Norm = Callable[[int], nn.Module]

TRUNCATION = 1.1368  # a unit normal that is cut at two sigma has standard deviation 1 / 1.1368


def fan_in_normal(*shape: int, fan: int, outscale: float = 1.0) -> nn.Parameter:
    """A weight with variance outscale^2 / fan, drawn from a normal cut at two standard deviations."""
    std = TRUNCATION / sqrt(fan)
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=std, a=-2 * std, b=2 * std) * outscale)


class Linear(nn.Module):
    """x W^T + b; `weight` is (outputs, inputs)."""

    def __init__(self, inputs: int, outputs: int, outscale: float = 1.0) -> None:
        super().__init__()
        self.weight = fan_in_normal(outputs, inputs, fan=inputs, outscale=outscale)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class TwinLinear(nn.Module):
    """Two linear maps side by side, each a tensor of its own to the optimiser: (..., 2 * outputs)."""

    def __init__(self, inputs: int, outputs: int, outscale: float = 1.0) -> None:
        super().__init__()
        self.first, self.second = Linear(inputs, outputs, outscale), Linear(inputs, outputs, outscale)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.first(x), self.second(x)], -1)


class BlockLinear(nn.Module):
    """Independent linear maps of G contiguous chunks of the input to G contiguous chunks of the output.

    `weight` is (inputs / G, outputs): column o belongs to block o // (outputs / G). Stored so that the rows of an input
    that all blocks share are one dense matrix. The initial variance is 1 / inputs, the full width, as in the original.
    """

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        if inputs % blocks or outputs % blocks:
            raise ValueError(f"{blocks} blocks must divide {inputs} inputs and {outputs} outputs")
        self.blocks = blocks
        self.weight = fan_in_normal(inputs // blocks, outputs, fan=inputs)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return blockwise(x, split_blocks(self.weight, self.blocks)) + self.bias


def split_blocks(weight: Tensor, blocks: int) -> Tensor:
    """(I, G*O) -> view (G, I, O)."""
    return weight.unflatten(-1, (blocks, -1)).movedim(-2, 0)


def blockwise(x: Tensor, weight: Tensor) -> Tensor:
    """(N, G*I) times (G, I, O) -> (N, G*O)."""
    chunks = x.unflatten(-1, (weight.shape[0], -1)).transpose(0, 1)  # (G, N, I)
    return torch.bmm(chunks, weight).transpose(0, 1).flatten(-2)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * scale over the last axis, in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x.float(), self.scale, self.eps)


class LayerNorm(nn.LayerNorm):
    """Over the last axis, with scale and shift, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class Dense(nn.Module):
    """Linear, norm, activation."""

    def __init__(self, inputs: int, outputs: int, *, norm: Norm, act: Act) -> None:
        super().__init__()
        self.linear = Linear(inputs, outputs)
        self.norm = norm(outputs)
        self._act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.linear(x))

    def finish(self, x: Tensor) -> Tensor:
        """What follows the linear map, for callers that compute it in pieces."""
        return self._act(self.norm(x))


class MLP(nn.Sequential):
    """`layers` Dense layers of `units`."""

    def __init__(self, inputs: int, units: int, layers: int, *, norm: Norm, act: Act) -> None:
        widths = [inputs] + [units] * layers
        super().__init__(*(Dense(i, o, norm=norm, act=act) for i, o in pairwise(widths)))


def module_name(key: str) -> str:
    """A key as the name of a module in a `ModuleDict`, which allows no dot and none of its attributes' names.

    Every key that is allowed keeps its name; no two keys share one.
    """
    if key and "." not in key and not key.startswith("key:") and not hasattr(nn.ModuleDict(), key):
        return key
    return "key:" + key.replace("%", "%25").replace(".", "%2E")


class Head(nn.Module):
    """An MLP, an output layer, and a distribution made of its outputs."""

    def __init__(self, trunk: nn.Module, output: nn.Module, readout: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.trunk = trunk
        self.output = output
        self.readout = readout

    def forward(self, feat: Tensor) -> object:
        return self.readout(self.output(self.trunk(feat)).float())
