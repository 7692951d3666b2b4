"""Pure functions of tensors that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor


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
