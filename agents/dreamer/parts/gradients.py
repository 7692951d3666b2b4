"""Whether a head's gradient reaches the representation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part

if TYPE_CHECKING:
    from torch import Tensor


class GradientGate(Protocol):
    """Stands between the features and a head. It changes gradients, never values."""

    def __call__(self, feat: Tensor) -> Tensor: ...


class FullGradient(Part):
    """The gradient flows: the head shapes the features that it reads."""

    kind: Literal["through"] = "through"

    def __call__(self, feat: Tensor) -> Tensor:
        return feat


class StopGradient(Part):
    """The gradient ends at the features: the head learns from them and does not shape them."""

    kind: Literal["stop"] = "stop"

    def __call__(self, feat: Tensor) -> Tensor:
        return feat.detach()


class PartialGradient(Part):
    """A share of the gradient flows."""

    kind: Literal["share"] = "share"
    share: float = Field(0.1, gt=0, le=1, description="factor on the gradient that reaches the features")

    def __call__(self, feat: Tensor) -> Tensor:
        return feat.detach() + self.share * (feat - feat.detach())


GradientGateSlot = Annotated[FullGradient | StopGradient | PartialGradient, SLOT]
