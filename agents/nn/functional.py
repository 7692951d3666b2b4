"""Pure functions of tensors that several networks share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P = ParamSpec("P")
R = TypeVar("R")
AutogradContext = Any  # of an autograd function: torch lets it carry attributes of any name from forward to backward
ONEDNN = torch.backends.mkldnn.is_available()
ONEDNN_MIN_ROWS = 4096  # from here on oneDNN is quicker at a linear map than the library that torch asks on a CPU


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|)."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """Inverse of `symlog`: sign(x) (exp|x| - 1)."""
    return x.sign() * x.abs().expm1()


def cast(x: Tensor) -> Tensor:
    """`x` in the type that autocast uses for a matrix product. Cast once here, it is not cast again in every step."""
    device_type = x.device.type
    return x.to(torch.get_autocast_dtype(device_type)) if torch.is_autocast_enabled(device_type) else x


@contextmanager
def frozen_weights(*modules: nn.Module) -> Iterator[None]:
    """Gradients pass through what is computed inside, and do not reach the weights of `modules`."""
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


class _MixedSoftmax(torch.autograd.Function):
    """Softmax over a short last axis, mixed with a share of the uniform distribution.

    It is written out, because torch's kernel handles one row at a time: with 4 classes it takes seven times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: AutogradContext, logits: Tensor, unimix: float) -> Tensor:
        weights = (logits - logits.amax(-1, keepdim=True)).exp_()
        soft = weights.div_(weights.sum(-1, keepdim=True))
        ctx.save_for_backward(soft)
        ctx.softmax_share = 1 - unimix
        return soft * ctx.softmax_share + unimix / logits.shape[-1]

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> tuple[Tensor, None]:
        (soft,) = ctx.saved_tensors
        product = grad * soft
        return (product - soft * product.sum(-1, keepdim=True)).mul_(ctx.softmax_share), None


def mixed_softmax(logits: Tensor, unimix: float) -> Tensor:
    """(1 - unimix) softmax(logits) + unimix / C over the last axis."""
    return _MixedSoftmax.apply(logits, unimix)


class _RmsNorm(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) * scale, with a backward pass of six operators. Torch's has fifteen on a CPU."""

    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        inverse = square.mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, scale)
        return unit * scale

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, scale = ctx.saved_tensors
        product = grad * unit
        projection = torch.matmul(product, scale).unsqueeze(-1)  # (..., 1)
        x_grad = torch.addcmul(grad * scale, unit, projection, value=-1 / unit.shape[-1]).mul_(inverse)
        return x_grad, product.flatten(0, -2).sum(0), None


def rms_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * scale over the last axis, float32."""
    if torch.compiler.is_compiling():  # a compiler fuses it with its neighbours, in both directions
        return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * scale
    return _RmsNorm.apply(x, scale, eps)


class _Linear(torch.autograd.Function):
    """x W^T + b on a CPU in float32 by oneDNN. Torch asks another library, which takes up to twice as long with many rows."""

    @staticmethod
    def forward(ctx: AutogradContext, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn_linear(x, weight, bias)

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows, grads = x.reshape(-1, x.shape[-1]), grad.reshape(-1, grad.shape[-1])
        x_grad = _onednn_linear(grad, weight.t()) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return x_grad, None, None
        # The weight's gradient as that of a 1x1 convolution: the transposed matrix product takes a third longer.
        options = [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, True]
        image, slope = (y.reshape(1, -1, 1, y.shape[-1]).permute(0, 3, 1, 2) for y in (rows, grads))  # (1, I, N, 1)
        _, weight_grad, bias_grad = torch.ops.aten.convolution_backward(
            slope, image, weight[..., None, None], [len(weight)], *options
        )
        return x_grad, weight_grad[..., 0, 0], bias_grad


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., I), (O, I), (O,) -> (..., O)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W^T + b."""
    float32_on_cpu = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    # A compiler uses oneDNN only for weights that never change.
    use_onednn = x.shape[:-1].numel() >= ONEDNN_MIN_ROWS and float32_on_cpu and ONEDNN and not torch.compiler.is_compiling()
    return _Linear.apply(x, weight, bias) if use_onednn else F.linear(x, weight, bias)


def compile_for_learning(function: Callable[P, R], **options: bool) -> Callable[P, R]:
    """Compile `function` for learning alone. Acting sees other numbers of rows, and each would need its own compilation.

    `options` are those of `torch.compile`.
    """
    # Torch would test the compiler with every instruction set, which takes seconds. A compiler that reads torch's headers
    # knows these sets.
    trusted = {} if "TORCHINDUCTOR_VEC_ISA_OK" in os.environ else {"cpp.vec_isa_ok": True}
    fast = torch.compile(function, dynamic=False, options={**trusted, **options})

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        plain = torch.compiler.is_compiling() or torch.is_inference_mode_enabled()
        return function(*args, **kwargs) if plain else fast(*args, **kwargs)

    return call
