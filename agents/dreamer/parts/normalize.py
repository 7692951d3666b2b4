"""How advantages and value targets are normalised before use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

torch = Lazy("torch")


class IdentityNormalizer(Part):
    """Leaves them alone: the default for both."""

    kind: Literal["as_is"] = "as_is"

    def update(self, state: dict[str, Any], x: Any) -> dict[str, Any]:
        """The state after seeing `x`; pure."""
        return state

    def apply(self, state: dict[str, Any], x: Any) -> Any:
        return x

    def invert(self, state: dict[str, Any], x: Any) -> Any:
        return x


class RunningMoments(Part):
    """Running mean and standard deviation, debiased. What it has not seen yet counts as zero."""

    rate: float = Field(0.01, gt=0, le=1, description="share of the newest batch in the averages")
    limit: float = Field(1e-8, gt=0, description="smallest standard deviation")

    def state(self) -> dict[str, Any]:
        return {"mean": torch.zeros(()), "square": torch.zeros(()), "seen": torch.zeros(())}

    def update(self, state: dict[str, Any], x: Any) -> dict[str, Any]:
        """The state after seeing `x` (any shape); pure."""
        x = x.detach().float()
        new = {"mean": x.mean(), "square": x.square().mean(), "seen": torch.ones_like(state["seen"])}
        return {name: old.lerp(new[name], self.rate) for name, old in state.items()}

    def moments(self, state: dict[str, Any]) -> tuple[Any, Any]:
        """-> mean, standard deviation."""
        seen = state["seen"].clamp(min=self.rate)
        mean = state["mean"] / seen
        return mean, (state["square"] / seen - mean.square()).clamp(min=0).sqrt().clamp(min=self.limit)


class MeanStdNormalizer(RunningMoments):
    """(x - mean) / std with running statistics."""

    kind: Literal["meanstd"] = "meanstd"

    def apply(self, state: dict[str, Any], x: Any) -> Any:
        mean, std = self.moments(state)
        return (x - mean) / std

    def invert(self, state: dict[str, Any], x: Any) -> Any:
        mean, std = self.moments(state)
        return x * std + mean


NormalizerSlot = Annotated[IdentityNormalizer | MeanStdNormalizer, SLOT]
