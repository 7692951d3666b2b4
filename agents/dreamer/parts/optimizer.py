"""How gradients become steps. P tensors of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part, PartState
from agents.lazy import Lazy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from agents.nn import optim
else:
    optim = Lazy("agents.nn.optim")


class Optimizer(Protocol):
    """What a part of this slot builds: it owns the gradients of its weights."""

    def zero_grad(self) -> None: ...

    def step(self, loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Apply the accumulated gradients -> whether the step was accepted (0-d bool), metrics.

        A step whose loss or gradient is not finite is refused: it changes only the counts of skipped steps.
        """
        ...

    def state(self) -> PartState:
        """The live tensors of the optimiser's state, by name."""
        ...


class OptimizerConfig(Protocol):
    """What the slot holds."""

    def build(self, params: dict[str, nn.Parameter]) -> Optimizer:
        """A fresh optimiser of `params`, by the weights' names."""
        ...


class Clip(Protocol):
    """How gradients are clipped."""

    def gradient_factors(self, grad_norms: Tensor, weight_norms: Tensor) -> Tensor:
        """Norms of each tensor's gradient and weights (P,) -> factors on the gradients (P,)."""
        ...


class AdaptiveClip(Part):
    """Each tensor's gradient is clipped to a share of that tensor's norm (Brock et al. 2021, whole tensors)."""

    kind: Literal["agc"] = "agc"
    share: float = Field(0.3, gt=0, description="largest ||gradient|| / ||weights||")
    min_norm: float = Field(1e-3, gt=0, description="norm that weights are taken to have at least")

    def gradient_factors(self, grad_norms: Tensor, weight_norms: Tensor) -> Tensor:
        return 1 / (grad_norms / (self.share * weight_norms.clamp(min=self.min_norm))).clamp(min=1.0)


class GlobalNormClip(Part):
    """All gradients together are clipped to one norm."""

    kind: Literal["global_norm"] = "global_norm"
    limit: float = Field(1000.0, gt=0, description="largest norm of all gradients together")

    def gradient_factors(self, grad_norms: Tensor, weight_norms: Tensor) -> Tensor:
        return (self.limit / grad_norms.norm().clamp(min=self.limit)).expand_as(grad_norms)


ClipSlot = Annotated[AdaptiveClip | GlobalNormClip, SLOT]


class LaPropConfig(Part):
    """Momentum over gradients that are already divided by their root mean square (Ziyin et al. 2020)."""

    kind: Literal["laprop"] = "laprop"
    lr: float = Field(4e-5, ge=0, description="learning rate after warm-up")
    warmup: int = Field(1000, ge=0, description="updates of linear warm-up; the first update then has rate 0")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the momentum")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean square")
    eps: float = Field(1e-20, gt=0, description="added to the root mean square")
    clip: ClipSlot = AdaptiveClip()

    def build(self, params: dict[str, nn.Parameter]) -> Optimizer:
        return optim.LaProp(params, _settings(self))


class AdamConfig(Part):
    """Momentum of the gradients over their root mean square (Kingma and Ba 2015), with rates of their own for two networks."""

    kind: Literal["adam"] = "adam"
    lr: float = Field(1e-4, ge=0, description="learning rate of the world model after warm-up")
    actor: float = Field(1.0, ge=0, description="the actor's learning rate / lr")
    critic: float = Field(1.0, ge=0, description="the critic's learning rate / lr")
    warmup: int = Field(0, ge=0, description="updates of linear warm-up; the first update then has rate 0")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the momentum")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean square")
    eps: float = Field(1e-8, gt=0, description="added to the root mean square")
    clip: ClipSlot = GlobalNormClip()

    def build(self, params: dict[str, nn.Parameter]) -> Optimizer:
        lr_factors = {"behavior.actor.": self.actor, "behavior.critic.": self.critic}
        return optim.Adam(params, _settings(self), lr_factors)


def _settings(config: LaPropConfig | AdamConfig) -> optim.OptimizerSettings:
    return optim.OptimizerSettings(
        config.lr, config.warmup, config.beta1, config.beta2, config.eps, config.clip.gradient_factors
    )


OptimizerSlot = Annotated[LaPropConfig | AdamConfig, SLOT]
