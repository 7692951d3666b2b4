"""Whether a head's gradient reaches the representation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part


class FullGradient(Part):
    """The gradient flows: the head shapes the features it reads."""

    kind: Literal["through"] = "through"

    def __call__(self, feat: Any) -> Any:
        return feat


class StopGradient(Part):
    """The gradient ends at the features: the head is trained on them and does not shape them."""

    kind: Literal["stop"] = "stop"

    def __call__(self, feat: Any) -> Any:
        return feat.detach()


class PartialGradient(Part):
    """A part of the gradient flows."""

    kind: Literal["share"] = "share"
    share: float = Field(0.1, gt=0, le=1, description="factor on the gradient that reaches the features")

    def __call__(self, feat: Any) -> Any:
        return feat.detach() + self.share * (feat - feat.detach())


GradientSlot = Annotated[FullGradient | StopGradient | PartialGradient, SLOT]
