"""What is taken from a replayed sequence: the state before it, its rewards, the starts of imagination."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part


class StoredContext(Part):
    """Sequences continue from the latent state that was stored with the step before them."""

    kind: Literal["stored"] = "stored"

    def first(self, is_first: Any) -> Any:
        """Steps (B, T) bool that forget the state and the action before them."""
        return is_first


class ZeroContext(Part):
    """Every sequence begins from nothing, as if its first step were the first of an episode (2023; danijar/dreamerv3 #164)."""

    kind: Literal["zeros"] = "zeros"

    def first(self, is_first: Any) -> Any:
        first = is_first.clone()
        first[:, 0].fill_(True)
        return first


class RawReward(Part):
    """Rewards as the environment gives them."""

    kind: Literal["raw"] = "raw"

    def __call__(self, reward: Any) -> Any:
        return reward


class TanhReward(Part):
    """tanh of the reward (DreamerV2 on Atari)."""

    kind: Literal["tanh"] = "tanh"

    def __call__(self, reward: Any) -> Any:
        return reward.tanh()


class SignReward(Part):
    """Sign of the reward: -1, 0 or 1 (Mnih et al. 2015)."""

    kind: Literal["sign"] = "sign"

    def __call__(self, reward: Any) -> Any:
        return reward.sign()


class AllStarts(Part):
    """Imagination starts from every state of the batch."""

    kind: Literal["all"] = "all"

    def select(self, x: Any) -> Any:
        """(B, T, ...) -> (B, K, ...), the last K of each sequence."""
        return x


class LastStarts(Part):
    """Imagination, and the critic's loss on the replay, start from the last states of each sequence only."""

    kind: Literal["last"] = "last"
    count: int = Field(4, ge=2, description="states of each sequence; the critic's loss on the replay needs two")

    def select(self, x: Any) -> Any:
        return x[:, -self.count :]


ReplayContextSlot = Annotated[StoredContext | ZeroContext, SLOT]
RewardTransformSlot = Annotated[RawReward | TanhReward | SignReward, SLOT]
StartsSlot = Annotated[AllStarts | LastStarts, SLOT]
