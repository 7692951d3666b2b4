"""LaProp and Adam with clipping, over all weights as one flat tensor. A gradient that is not finite skips the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MomentPair = tuple[Tensor, Tensor]  # for the momentum, for the mean square


@dataclass(frozen=True)
class OptimizerSettings:
    """What LaProp and Adam have in common."""

    lr: float  # after warm-up
    warmup: int  # updates; the first then has rate 0
    beta1: float  # decay of the momentum
    beta2: float  # decay of the mean square
    eps: float  # added to the root mean square
    clip: Callable[[Tensor, Tensor], Tensor]  # norms of gradients and weights (P,) -> factors on the gradients (P,)


class _FlatOptimizer:
    """Momentum and mean square of all gradients; a subclass makes steps of them in `_update_weights`.

    The constructor moves the weights into one flat buffer, and the gradients accumulate in another: a step is a dozen
    operators whatever the number of tensors. A step whose loss or gradient is not finite is taken with zero gradient, unit
    decays and rate zero. It changes nothing, and the host does not wait for the device to know.
    """

    def __init__(self, params: dict[str, nn.Parameter], settings: OptimizerSettings) -> None:
        self._settings = settings
        self._weights, self._grads = flatten_parameters(params)
        self._mean, self._square = torch.zeros_like(self._weights), torch.zeros_like(self._weights)
        self._params, self._grad_views = params, list(split_flat(self._grads, params).values())
        device = self._weights.device
        self.steps = torch.zeros((), dtype=torch.float64, device=device)  # steps taken, skipped ones excluded
        self.skipped = torch.zeros((), dtype=torch.float64, device=device)
        self.skipped_in_a_row = torch.zeros((), dtype=torch.float64, device=device)

    def zero_grad(self) -> None:
        self._grads.zero_()

    @torch.no_grad()
    def step(self, loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Apply the accumulated gradients -> whether the step was accepted (0-d bool), metrics."""
        settings = self._settings
        grad_norms = torch.stack(torch._foreach_norm(self._grad_views))
        grad_norm = grad_norms.norm()
        accepted = torch.isfinite(loss) & torch.isfinite(grad_norm)

        # Clip each tensor; a refused step has a zero gradient.
        weight_norms = torch.stack(torch._foreach_norm(list(self._params.values())))
        factors = settings.clip(grad_norms, weight_norms)
        torch._foreach_mul_(self._grad_views, factors.unbind())
        grad = torch.where(accepted, self._grads, 0.0)

        # Shares 1 - beta of the new gradient, debiasing 1 / (1 - beta^t) and learning rate of this step. In float64, because
        # 1 - 0.999 in float32 is off by 1e-5 of itself.
        self.steps += accepted
        t, counts = self.steps.clamp(min=1), accepted.double()
        shares = counts * (1 - settings.beta1), counts * (1 - settings.beta2)
        debiasing = 1 / (1 - settings.beta1**t), 1 / (1 - settings.beta2**t)
        rate = counts * settings.lr * ((t - float(settings.warmup > 0)) / max(1, settings.warmup)).clamp(max=1)

        # Moments and weights.
        self._update_weights(grad, shares, debiasing, rate)
        return accepted, self._count_step(accepted, grad_norm, factors)

    def _update_weights(self, grad: Tensor, shares: MomentPair, debiasing: MomentPair, rate: Tensor) -> None:
        """Move the moments, then the weights.

        `shares` of the new gradient in momentum and mean square, `debiasing` factors of the two, learning `rate`.
        """
        raise NotImplementedError

    def _count_step(self, accepted: Tensor, grad_norm: Tensor, factors: Tensor) -> dict[str, Tensor]:
        self.skipped += ~accepted
        self.skipped_in_a_row += 1
        self.skipped_in_a_row *= ~accepted
        return {
            "optimizer/grad_norm": grad_norm,
            "optimizer/clipped_share": (factors < 1).float().mean(),
            "optimizer/skipped": self.skipped.clone(),
            "optimizer/skipped_in_a_row": self.skipped_in_a_row.clone(),
        }

    def state(self) -> dict[str, Tensor]:
        """Live tensors: momentum and mean square by the weights' names, counters."""
        mean = {f"mean/{name}": view for name, view in split_flat(self._mean, self._params).items()}
        square = {f"square/{name}": view for name, view in split_flat(self._square, self._params).items()}
        return mean | square | {"steps": self.steps, "skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}


class LaProp(_FlatOptimizer):
    """Divide by the root mean square first, then take momentum (Ziyin et al. 2020)."""

    def _update_weights(self, grad: Tensor, shares: MomentPair, debiasing: MomentPair, rate: Tensor) -> None:
        self._square.mul_((1 - shares[1]).float()).add_(grad.square() * shares[1].float())
        scaled = grad / ((self._square * debiasing[1].float()).sqrt_().add_(self._settings.eps))
        self._mean.mul_((1 - shares[0]).float()).add_(scaled * shares[0].float())
        self._weights.sub_(self._mean * (debiasing[0] * rate).float())


class Adam(_FlatOptimizer):
    """Take momentum first, then divide by the root mean square (Kingma and Ba 2015).

    `lr_factors` multiply the learning rate of the weights whose name starts with the key.
    """

    def __init__(self, params: dict[str, nn.Parameter], settings: OptimizerSettings, lr_factors: dict[str, float]) -> None:
        super().__init__(params, settings)
        self._lr_factors = torch.ones_like(self._weights)
        for name, view in split_flat(self._lr_factors, params).items():
            for prefix, factor in lr_factors.items():
                view.mul_(factor if name.startswith(prefix) else 1)

    def _update_weights(self, grad: Tensor, shares: MomentPair, debiasing: MomentPair, rate: Tensor) -> None:
        self._square.mul_((1 - shares[1]).float()).add_(grad.square() * shares[1].float())
        self._mean.mul_((1 - shares[0]).float()).add_(grad * shares[0].float())
        root = (self._square * debiasing[1].float()).sqrt_().add_(self._settings.eps)
        self._weights.sub_(self._mean / root * self._lr_factors * (debiasing[0] * rate).float())


def split_flat(flat: Tensor, params: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """`flat` cut into tensors shaped like `params`, in their order."""
    pieces = flat.split([p.numel() for p in params.values()])
    return {name: piece.view(p.shape) for (name, p), piece in zip(params.items(), pieces, strict=True)}


def flatten_parameters(params: dict[str, nn.Parameter]) -> tuple[Tensor, Tensor]:
    """Move `params` into one flat tensor and their gradients into another -> (weights, gradients)."""
    weights = torch.cat([p.detach().flatten() for p in params.values()])
    grads = torch.zeros_like(weights)
    for p, w, g in zip(params.values(), split_flat(weights, params).values(), split_flat(grads, params).values(), strict=True):
        p.data, p.grad = w, g
    return weights, grads
