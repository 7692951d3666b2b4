"""LaProp and Adam with clipping, over all weights as one flat tensor; a bad gradient skips the step on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class _FlatOptimizer:
    """Momentum and mean square of all gradients; `_update_weights` makes steps of them.

    The weights are moved into one flat buffer at birth and the gradients accumulate in another, so that a step is a dozen
    operators whatever the number of tensors. A step whose loss or gradient is not finite is a step with zero gradient, unit
    decays and rate zero: it changes nothing, and nobody waits for the device to know.
    """

    def __init__(
        self,
        params: dict[str, nn.Parameter],
        *,
        lr: float,
        warmup: int,
        beta1: float,
        beta2: float,
        eps: float,
        clip: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        self._lr, self._warmup, self._beta1, self._beta2, self._eps = lr, warmup, beta1, beta2, eps
        self._clip = clip
        self._weights, self._grads = flatten(params)
        self._mean, self._square = torch.zeros_like(self._weights), torch.zeros_like(self._weights)
        self._params = params
        device = self._weights.device
        self.steps = torch.zeros((), dtype=torch.float64, device=device)  # steps taken, skipped ones excluded
        self.skipped = torch.zeros((), dtype=torch.float64, device=device)
        self.skipped_in_a_row = torch.zeros((), dtype=torch.float64, device=device)

    def zero_grad(self) -> None:
        self._grads.zero_()

    @torch.no_grad()
    def step(self, loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Apply the accumulated gradients -> (0-d bool: the step counted, metrics)."""
        grads = [p.grad for p in self._params.values()]
        grad_norms = torch.stack(torch._foreach_norm(grads))
        grad_norm = grad_norms.norm()
        ok = torch.isfinite(loss) & torch.isfinite(grad_norm)

        # Clip each tensor; a bad step is then a zero gradient.
        norms = torch.stack(torch._foreach_norm(list(self._params.values())))
        factors = self._clip(grad_norms, norms)
        torch._foreach_mul_(grads, list(factors.unbind()))
        grad = torch.where(ok, self._grads, 0.0)

        # Decays, corrections and rate of this step: in float64, because 1 - 0.999 in float32 is off by 1e-5 of itself.
        self.steps += ok
        t, counts = self.steps.clamp(min=1), ok.double()
        fresh1, fresh2 = counts * (1 - self._beta1), counts * (1 - self._beta2)
        fix1, fix2 = 1 / (1 - self._beta1**t), 1 / (1 - self._beta2**t)
        rate = counts * self._lr * ((t - float(self._warmup > 0)) / max(1, self._warmup)).clamp(max=1)

        # Moments and weights.
        self._update_weights(grad, (fresh1, fresh2), (fix1, fix2), rate)
        return ok, self._count(ok, grad_norm, factors)

    def _update_weights(self, grad: Tensor, fresh: tuple[Tensor, Tensor], fix: tuple[Tensor, Tensor], rate: Tensor) -> None:
        """Update the moments and the weights: shares of the newest gradient, debiasing factors, learning rate."""
        raise NotImplementedError

    def _count(self, ok: Tensor, grad_norm: Tensor, factors: Tensor) -> dict[str, Tensor]:
        self.skipped += ~ok
        self.skipped_in_a_row += 1
        self.skipped_in_a_row *= ~ok
        return {
            "optimizer/grad_norm": grad_norm,
            "optimizer/clipped_share": (factors < 1).float().mean(),
            "optimizer/skipped": self.skipped.clone(),
            "optimizer/skipped_in_a_row": self.skipped_in_a_row.clone(),
        }

    def state(self) -> dict[str, Tensor]:
        """Everything that moves, as live tensors: moments by weight, counters."""
        moments = {}
        for name, view in views(self._mean, self._params).items():
            moments[f"mean/{name}"] = view
        for name, view in views(self._square, self._params).items():
            moments[f"square/{name}"] = view
        return moments | {"steps": self.steps, "skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}


class LaProp(_FlatOptimizer):
    """Divide by the root mean square first, then take momentum (Ziyin et al. 2020)."""

    def _update_weights(self, grad: Tensor, fresh: tuple[Tensor, Tensor], fix: tuple[Tensor, Tensor], rate: Tensor) -> None:
        self._square.mul_((1 - fresh[1]).float()).add_(grad.square() * fresh[1].float())
        scaled = grad / ((self._square * fix[1].float()).sqrt_().add_(self._eps))
        self._mean.mul_((1 - fresh[0]).float()).add_(scaled * fresh[0].float())
        self._weights.sub_(self._mean * (fix[0] * rate).float())


class Adam(_FlatOptimizer):
    """Take momentum first, then divide by the root mean square (Kingma and Ba 2015).

    `lr_factors` on the learning rate, by the beginning of a weight's name.
    """

    def __init__(self, params: dict[str, nn.Parameter], *, lr_factors: dict[str, float], **options: Any) -> None:
        super().__init__(params, **options)
        self._factors = torch.ones_like(self._weights)
        for name, view in views(self._factors, params).items():
            for beginning, factor in lr_factors.items():
                view.mul_(factor if name.startswith(beginning) else 1)

    def _update_weights(self, grad: Tensor, fresh: tuple[Tensor, Tensor], fix: tuple[Tensor, Tensor], rate: Tensor) -> None:
        self._square.mul_((1 - fresh[1]).float()).add_(grad.square() * fresh[1].float())
        self._mean.mul_((1 - fresh[0]).float()).add_(grad * fresh[0].float())
        root = (self._square * fix[1].float()).sqrt_().add_(self._eps)
        self._weights.sub_(self._mean / root * self._factors * (fix[0] * rate).float())


def views(flat: Tensor, params: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """`flat` cut into tensors shaped like `params`, in their order."""
    pieces = flat.split([p.numel() for p in params.values()])
    return {name: piece.view(p.shape) for (name, p), piece in zip(params.items(), pieces, strict=True)}


def flatten(params: dict[str, nn.Parameter]) -> tuple[Tensor, Tensor]:
    """Move `params` into one flat tensor and their gradients into another -> (weights, gradients)."""
    weights = torch.cat([p.detach().flatten() for p in params.values()])
    grads = torch.zeros_like(weights)
    for p, w, g in zip(params.values(), views(weights, params).values(), views(grads, params).values(), strict=True):
        p.data, p.grad = w, g
    return weights, grads
