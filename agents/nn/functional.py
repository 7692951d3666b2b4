"""Pure functions of tensors that several networks share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P, R = ParamSpec("P"), TypeVar("R")
TALL = 4096  # rows; from there on a CPU has a quicker way to a linear map
ONEDNN = torch.backends.mkldnn.is_available()  # that way's library


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|)."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """Inverse of `symlog`: sign(x) (exp|x| - 1)."""
    return x.sign() * x.abs().expm1()


def cast(x: Tensor) -> Tensor:
    """`x` in the type that autocast would use for a matrix product; done once where autocast would do it every step."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


@contextmanager
def frozen_weights(*modules: nn.Module) -> Iterator[None]:
    """Gradients pass what is computed inside, and do not reach the weights of `modules`."""
    learned = [p for module in modules for p in module.parameters() if p.requires_grad]
    for p in learned:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learned:
            p.requires_grad_(True)


class _MixedSoftmax(torch.autograd.Function):
    """softmax over a short last axis with a share of the uniform distribution, written out.

    The library's kernel handles one row at a time: with 4 classes it takes seven times as long on a CPU.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, unimix: float) -> Tensor:
        weights = (logits - logits.amax(-1, keepdim=True)).exp_()
        soft = weights.div_(weights.sum(-1, keepdim=True))
        ctx.save_for_backward(soft)
        ctx.keep = 1 - unimix
        return soft * ctx.keep + unimix / logits.shape[-1]

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (soft,) = ctx.saved_tensors
        product = grad * soft
        return (product - soft * product.sum(-1, keepdim=True)).mul_(ctx.keep), None


def mixed_softmax(logits: Tensor, unimix: float) -> Tensor:
    """(1 - unimix) softmax(logits) + unimix / C over the last axis."""
    return _MixedSoftmax.apply(logits, unimix)


class _RmsNorm(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) * scale with a backward pass of six operators; torch's takes fifteen on a CPU."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        inverse = square.mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, scale)
        return unit * scale

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, scale = ctx.saved_tensors
        product = grad * unit
        along = torch.matmul(product, scale).unsqueeze(-1)  # (..., 1)
        inner = torch.addcmul(grad * scale, unit, along, value=-1 / unit.shape[-1]).mul_(inverse)
        return inner, product.flatten(0, -2).sum(0), None


def rms_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """Over the last axis, float32."""
    if torch.compiler.is_compiling():  # a compiler makes one pass of it with what is around, in both directions
        return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * scale
    return _RmsNorm.apply(x, scale, eps)


class _Linear(torch.autograd.Function):
    """x W^T + b on a CPU in float32 by oneDNN. torch asks another library, which with many rows takes up to twice as long."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows, grads = x.reshape(-1, x.shape[-1]), grad.reshape(-1, grad.shape[-1])
        inner = _product(grad, weight.t()) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return inner, None, None
        # The product of the transposed is a third slower than the same as the gradient of a convolution of one pixel.
        options = [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, True]
        image, slope = (y.reshape(1, -1, 1, y.shape[-1]).permute(0, 3, 1, 2) for y in (rows, grads))  # (1, I, N, 1)
        _, outer, bias = torch.ops.aten.convolution_backward(slope, image, weight[..., None, None], [len(weight)], *options)
        return inner, outer[..., 0, 0], bias


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., I), (O, I), (O,) -> (..., O)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W^T + b."""
    tall = x.shape[:-1].numel() >= TALL and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    # A compiler has the quicker way for weights only that never change.
    quick = tall and ONEDNN and not torch.compiler.is_compiling()
    return _Linear.apply(x, weight, bias) if quick else F.linear(x, weight, bias)


def compiled(function: Callable[P, R], **options: object) -> Callable[P, R]:
    """`function`, compiled where it learns. Acting meets other numbers of rows, each of which would have to be compiled.

    `options` are those of `torch.compile`.
    """
    # torch would try the compiler with every instruction set, for seconds. One that reads its headers knows them.
    trusted = {} if "TORCHINDUCTOR_VEC_ISA_OK" in os.environ else {"cpp.vec_isa_ok": True}
    made = torch.compile(function, dynamic=False, options=trusted | options)

    def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
        plain = torch.compiler.is_compiling() or torch.is_inference_mode_enabled()
        return function(*args, **kwargs) if plain else made(*args, **kwargs)

    return chosen
