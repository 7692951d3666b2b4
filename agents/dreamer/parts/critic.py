"""How a slow copy of the critic stabilises it, and how the critic learns from replayed rewards as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from agents.dreamer.parts.target import ScalarDistribution
else:
    torch = Lazy("torch")


class SlowCritic(Protocol):
    """What the slow copy of the critic is used for, and how fast it moves."""

    def baseline(self, value: Tensor, slow_value: Tensor) -> Tensor:
        """The values that returns bootstrap from and advantages subtract."""
        ...

    def loss(self, value_dist: ScalarDistribution, returns: Tensor, slow_value: Tensor) -> Tensor:
        """The critic's distribution, returns and the slow copy's values, with batch shape (...) -> loss (...)."""
        ...

    def update_slow_weights(self, slow: list[Tensor], online: list[Tensor], accepted: Tensor) -> None:
        """Move the slow weights towards the online ones, in place; nothing where `accepted` (0-d bool) is false."""
        ...


class _MovingAverage(Part):
    """The slow weights are an exponential moving average of the critic's."""

    rate: float = Field(0.02, gt=0, le=1, description="share of the critic that moves into the slow copy per update")

    def update_slow_weights(self, slow: list[Tensor], online: list[Tensor], accepted: Tensor) -> None:
        rate = accepted * self.rate
        torch._foreach_mul_(slow, 1 - rate)
        torch._foreach_add_(slow, torch._foreach_mul(online, rate))


class SlowRegularizer(_MovingAverage):
    """The critic also fits the expectation of its slow copy; returns bootstrap from the critic itself."""

    kind: Literal["regularizer"] = "regularizer"
    weight: float = Field(1.0, ge=0, description="weight of the slow copy's prediction as a second target; 0 is off")

    def baseline(self, value: Tensor, slow_value: Tensor) -> Tensor:
        return value

    def loss(self, value_dist: ScalarDistribution, returns: Tensor, slow_value: Tensor) -> Tensor:
        return value_dist.nll(returns.detach()) + self.weight * value_dist.nll(slow_value.detach())


class SlowTarget(_MovingAverage):
    """Returns bootstrap from the slow copy, which is also the baseline; the critic fits the returns alone (DreamerV2)."""

    kind: Literal["target"] = "target"

    def baseline(self, value: Tensor, slow_value: Tensor) -> Tensor:
        return slow_value

    def loss(self, value_dist: ScalarDistribution, returns: Tensor, slow_value: Tensor) -> Tensor:
        return value_dist.nll(returns.detach())


class ReplayValue(Part):
    """Critic loss on the replayed sequence, bootstrapped from the imagined returns (absent in the first version)."""

    kind: Literal["replay_value"] = "replay_value"
    weight: float = Field(0.3, ge=0, description="weight of the loss; 0 is off")


SlowCriticSlot = Annotated[SlowRegularizer | SlowTarget, SLOT]
ReplayValueSlot = ReplayValue
