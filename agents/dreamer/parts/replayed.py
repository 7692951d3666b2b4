"""What is taken from a replayed sequence: its first state, its rewards, the starts of imagination."""

from __future__ import annotations

from typing import Any, Literal

from agents.dreamer.parts.part import Part, slot


class Stored(Part):
    """Sequences continue from the latent state that was stored with the step before them."""

    kind: Literal["stored"] = "stored"

    def start(self, deter: Any, stoch: Any) -> tuple[Any, Any]:
        return deter, stoch


class Raw(Part):
    """Rewards as the environment gives them."""

    kind: Literal["raw"] = "raw"

    def __call__(self, reward: Any) -> Any:
        return reward


class AllStarts(Part):
    """Imagination starts from every state of the batch."""

    kind: Literal["all"] = "all"

    def select(self, x: Any) -> Any:
        """(B, T, ...) -> (B, K, ...), the last K of each sequence."""
        return x


ContextSlot = slot(Stored)
RewardSlot = slot(Raw)
StartsSlot = slot(AllStarts)
