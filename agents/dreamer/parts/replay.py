"""How a replayed sequence is used: the state before it, its rewards, the starts of imagination.

B batch, T time, K starts of each sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part

if TYPE_CHECKING:
    from torch import Tensor


class ReplayContext(Protocol):
    """The latent state in which a replayed sequence begins."""

    def reset_mask(self, is_first: Tensor) -> Tensor:
        """is_first (B, T) bool -> steps (B, T) bool that begin from zeros, without the state and the action before them."""
        ...


class StoredContext(Part):
    """Sequences continue from the latent state that was stored with the step before them."""

    kind: Literal["stored"] = "stored"

    def reset_mask(self, is_first: Tensor) -> Tensor:
        return is_first


class ZeroContext(Part):
    """Every sequence begins from zeros, as if its first step were the first of an episode (2023; danijar/dreamerv3 #164)."""

    kind: Literal["zeros"] = "zeros"

    def reset_mask(self, is_first: Tensor) -> Tensor:
        mask = is_first.clone()
        mask[:, 0].fill_(True)
        return mask


class RewardTransform(Protocol):
    """Applied to rewards before the agent learns from them; reported returns stay raw."""

    def __call__(self, reward: Tensor) -> Tensor:
        """Elementwise: (...) -> (...)."""
        ...


class RawReward(Part):
    """Rewards as the environment gives them."""

    kind: Literal["raw"] = "raw"

    def __call__(self, reward: Tensor) -> Tensor:
        return reward


class TanhReward(Part):
    """tanh of the reward (DreamerV2 on Atari)."""

    kind: Literal["tanh"] = "tanh"

    def __call__(self, reward: Tensor) -> Tensor:
        return reward.tanh()


class SignReward(Part):
    """Sign of the reward: -1, 0 or 1 (Mnih et al. 2015)."""

    kind: Literal["sign"] = "sign"

    def __call__(self, reward: Tensor) -> Tensor:
        return reward.sign()


class Starts(Protocol):
    """The states of a replayed sequence from which imagination starts."""

    def select(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (B, K, ...), the last K of each sequence."""
        ...


class AllStarts(Part):
    """Imagination starts from every state of the batch."""

    kind: Literal["all"] = "all"

    def select(self, x: Tensor) -> Tensor:
        return x


class LastStarts(Part):
    """Imagination, and the critic's loss on the replay, start from the last states of each sequence only."""

    kind: Literal["last"] = "last"
    count: int = Field(4, ge=2, description="states of each sequence; the critic's loss on the replay needs two")

    def select(self, x: Tensor) -> Tensor:
        return x[:, -self.count :]


ReplayContextSlot = Annotated[StoredContext | ZeroContext, SLOT]
RewardTransformSlot = Annotated[RawReward | TanhReward | SignReward, SLOT]
StartsSlot = Annotated[AllStarts | LastStarts, SLOT]
