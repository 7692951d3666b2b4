"""Whether a head's gradient reaches the representation."""

from __future__ import annotations

from typing import Any, Literal

from agents.dreamer.parts.part import Part, slot


class Through(Part):
    """The gradient flows: the head shapes the features it reads."""

    kind: Literal["through"] = "through"

    def __call__(self, feat: Any) -> Any:
        return feat


class Stop(Part):
    """The gradient ends at the features: the head is trained on them and does not shape them."""

    kind: Literal["stop"] = "stop"

    def __call__(self, feat: Any) -> Any:
        return feat.detach()


GradientSlot = slot(Through, Stop)
