"""Convolutions on channels-last images: (N, H, W, C) outside, so that norms and flattening see the channels last."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agents.nn.functional import AutogradContext, cast, compile_for_learning
from agents.nn.layers import Act, Norm, fan_in_normal


class Conv(nn.Module):
    """A convolution's parameters, `weight` (outputs, inputs, size, size) and `bias`, and what follows it."""

    def __init__(self, inputs: int, outputs: int, size: int = 5) -> None:
        super().__init__()
        self.weight = fan_in_normal(outputs, inputs, size, size, fan=size * size * inputs)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._compiled_finish: Callable[[Tensor], Tensor] | None = None

    def compile_steps(self) -> None:
        """From now on learning calls a compiled `finish`: one pass over images instead of many."""
        self._compiled_finish = compile_for_learning(self.finish)

    def finish(self, x: Tensor) -> Tensor:
        """What follows the convolution: (N, H, W, C) -> (N, H', W', C')."""
        raise NotImplementedError

    def _fast_finish(self, x: Tensor) -> Tensor:
        return (self._compiled_finish or self.finish)(x)


class _MaxPool(torch.autograd.Function):
    """2x2 max-pool that keeps for its backward pass only where the maxima are, as int32.

    Torch's keeps these as int64, and its whole input, of which the backward pass reads only the shape: together a third of
    the memory of an update on images.
    """

    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor) -> Tensor:
        out, index = torch.ops.aten.max_pool2d_with_indices(x, [2, 2], [2, 2])
        ctx.save_for_backward(index.int())
        ctx.layout = x.shape, x.stride()
        return out

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> Tensor:
        (index,) = ctx.saved_tensors
        out = torch.empty_strided(*ctx.layout, dtype=grad.dtype, device=grad.device)  # stands for the input as well
        options = [2, 2], [2, 2], [0, 0], [1, 1], False
        return torch.ops.aten.max_pool2d_with_indices_backward.grad_input(grad, out, *options, index.long(), grad_input=out)


class _MaxOfPhases(torch.autograd.Function):
    """The largest of four, the first of equals: (..., 4, C) -> (..., C). A compiler fuses it into one pass."""

    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor) -> Tensor:
        a, b, c, d = x.float().unbind(-2)  # half floats would be compared one at a time
        right, lower_right = b > a, d > c
        upper, lower = torch.where(right, b, a), torch.where(lower_right, d, c)
        below = lower > upper
        ctx.save_for_backward(torch.where(below, 2.0 + lower_right.float(), right.float()).bfloat16())
        return torch.where(below, lower, upper).to(x.dtype)

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> Tensor:
        (place,) = ctx.saved_tensors
        places = torch.arange(4.0, device=grad.device).unsqueeze(-1)
        return torch.where(place.float().unsqueeze(-2) == places, grad.float().unsqueeze(-2), 0.0).to(grad.dtype)


class DownConv(Conv):
    """5x5 convolution, 2x2 max-pool, norm over channels, activation: half the resolution."""

    def __init__(self, inputs: int, outputs: int, *, norm: Norm, act: Act) -> None:
        super().__init__(inputs, outputs)
        self.norm = norm(outputs)
        self._act = act
        self._compiled_pool: Callable[[Tensor], Tensor] | None = None

    def compile_steps(self) -> None:
        super().compile_steps()
        self._compiled_pool = compile_for_learning(self.pool)

    def forward(self, x: Tensor) -> Tensor:
        if self._compiled_pool and not (x.requires_grad or torch.is_inference_mode_enabled()):
            return self._compiled_pool(self._phases(x))
        x = F.conv2d(x.permute(0, 3, 1, 2), self.weight, self.bias, padding=2)
        return self._fast_finish(_MaxPool.apply(x).permute(0, 2, 3, 1))

    def _phases(self, x: Tensor) -> Tensor:
        """The convolution at the four places that are pooled, side by side: (N, H, W, C) -> (N, H/2, W/2, 4C').

        A strided convolution with kernels one larger puts the four together. It is faster where the input needs no gradient,
        as on the images themselves.
        """
        kernel = torch.cat([F.pad(self.weight, (q, 1 - q, p, 1 - p)) for p in (0, 1) for q in (0, 1)])
        return F.conv2d(x.permute(0, 3, 1, 2), kernel, self.bias.repeat(4), stride=2, padding=2).permute(0, 2, 3, 1)

    def pool(self, x: Tensor) -> Tensor:
        """Max-pool of `_phases`, norm and activation: (N, H/2, W/2, C')."""
        return self.finish(_MaxOfPhases.apply(x.unflatten(-1, (4, -1))))

    def finish(self, x: Tensor) -> Tensor:
        """Norm and activation, in the type that the next convolution reads: (N, H, W, C)."""
        return cast(self._act(self.norm(x)))


class UpConv(Conv):
    """Nearest-neighbour x2 upsampling and a 5x5 convolution: twice the resolution.

    Each of the 2x2 output phases sees only 3x3 distinct input pixels. So this is a 3x3 convolution to 4 x outputs at the
    low resolution, whose kernels are sums of entries of the 5x5 kernel. Then the phases are interleaved.
    """

    taps: Tensor

    def __init__(self, inputs: int, outputs: int, *, norm: Norm | None = None, act: Act | None = None) -> None:
        super().__init__(inputs, outputs)
        self.norm = norm(outputs) if norm else nn.Identity()
        self._act = act or nn.Identity()
        # taps[p, a, y]: offset y-2 in the upsampled image, seen from phase p, reads the input at offset a-1.
        taps = torch.zeros(2, 3, 5)
        for p in range(2):
            for y in range(5):
                taps[p, (p + y - 2) // 2 + 1, y] = 1.0
        self.register_buffer("taps", taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = torch.einsum("pay,qbx,oiyx->pqoiab", self.taps, self.taps, self.weight).flatten(0, 2)
        phases = F.conv2d(x.permute(0, 3, 1, 2), kernel, self.bias.repeat(4), padding=1)
        return self._fast_finish(phases.permute(0, 2, 3, 1))

    def finish(self, x: Tensor) -> Tensor:
        """Norm, activation and the phases in their places: (N, H, W, 4C) -> (N, 2H, 2W, C)."""
        N, H, W, _ = x.shape
        y = cast(self._act(self.norm(x.unflatten(-1, (2, 2, -1)))))  # norms do not care where a pixel goes
        return y.permute(0, 1, 3, 2, 4, 5).reshape(N, 2 * H, 2 * W, -1)
