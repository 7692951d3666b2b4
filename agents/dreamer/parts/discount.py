"""How the future is discounted. K imagined states, N starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part

if TYPE_CHECKING:
    from torch import Tensor


class Discount(Protocol):
    """Relates the discount factor gamma to the continue head's target and predictions."""

    @property
    def gamma(self) -> float:
        """Discount factor of one policy step."""
        ...

    def continue_target(self, is_terminal: Tensor) -> Tensor:
        """is_terminal (...) bool -> target of the continue head (...)."""
        ...

    def step_discount(self, continuation: Tensor) -> Tensor:
        """Predicted continuation of a state -> discount of reaching it, of the same shape."""
        ...

    def trajectory_weight(self, continuation: Tensor) -> Tensor:
        """Predicted continuation along imagination (K, N) -> weight of each state in the losses (K, N)."""
        ...


class _EffectiveHorizon(Part):
    """A discount factor, given as its effective horizon."""

    steps: float = Field(333.0, gt=1, description="effective horizon 1 / (1 - discount), policy steps")

    @property
    def gamma(self) -> float:
        return 1 - 1 / self.steps


class ContinuationDiscount(_EffectiveHorizon):
    """The discount is part of what the continue head learns: its target is (1 - terminal) (1 - 1/steps)."""

    kind: Literal["continuation"] = "continuation"

    def continue_target(self, is_terminal: Tensor) -> Tensor:
        return (~is_terminal).float() * self.gamma

    def step_discount(self, continuation: Tensor) -> Tensor:
        return continuation

    def trajectory_weight(self, continuation: Tensor) -> Tensor:
        return continuation.cumprod(0)


class ExplicitDiscount(_EffectiveHorizon):
    """The continue head learns whether the episode goes on (1 - terminal); the discount is multiplied on afterwards."""

    kind: Literal["explicit"] = "explicit"

    def continue_target(self, is_terminal: Tensor) -> Tensor:
        return (~is_terminal).float()

    def step_discount(self, continuation: Tensor) -> Tensor:
        return continuation * self.gamma

    def trajectory_weight(self, continuation: Tensor) -> Tensor:
        return (continuation * self.gamma).cumprod(0) / self.gamma


DiscountSlot = Annotated[ContinuationDiscount | ExplicitDiscount, SLOT]
