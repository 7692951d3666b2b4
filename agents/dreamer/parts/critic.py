"""How the critic is steadied by its own slow copy, and trained on replayed rewards as well."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

torch = Lazy("torch")


class SlowRegularizer(Part):
    """The critic also fits the expectation of its slow copy; returns bootstrap from the critic itself."""

    kind: Literal["regularizer"] = "regularizer"
    rate: float = Field(0.02, gt=0, le=1, description="share of the critic that moves into the slow copy per update")
    weight: float = Field(1.0, ge=0, description="weight of the slow copy's prediction as a second target; 0 is off")

    def baseline(self, value: Any, slow: Any) -> Any:
        """The values that returns and advantages are computed from."""
        return value

    def loss(self, dist: Any, target: Any, slow: Any) -> Any:
        """Critic's distribution, return, slow copy's expectation, all (...) -> (...)."""
        return dist.nll(target.detach()) + self.weight * dist.nll(slow.detach())

    def follow(self, slow: list[Any], online: list[Any], ok: Any) -> None:
        """Move the slow weights in place, where `ok` (a 0-d bool tensor) says the update counted."""
        _approach(slow, online, ok * self.rate)


class SlowTarget(Part):
    """Returns bootstrap from the slow copy, which is also the baseline; the critic fits the returns alone (DreamerV2)."""

    kind: Literal["target"] = "target"
    rate: float = Field(0.02, gt=0, le=1, description="share of the critic that moves into the slow copy per update")

    def baseline(self, value: Any, slow: Any) -> Any:
        return slow

    def loss(self, dist: Any, target: Any, slow: Any) -> Any:
        return dist.nll(target.detach())

    def follow(self, slow: list[Any], online: list[Any], ok: Any) -> None:
        _approach(slow, online, ok * self.rate)


def _approach(slow: list[Any], online: list[Any], rate: Any) -> None:
    torch._foreach_mul_(slow, 1 - rate)
    torch._foreach_add_(slow, torch._foreach_mul(online, rate))


class ReplayValue(Part):
    """Critic loss on the replayed sequence, bootstrapped from the imagined returns (absent in the first version)."""

    kind: Literal["replay_value"] = "replay_value"
    weight: float = Field(0.3, ge=0, description="weight of the loss; 0 is off")


SlowCriticSlot = Annotated[SlowRegularizer | SlowTarget, SLOT]
ReplayValueSlot = ReplayValue
