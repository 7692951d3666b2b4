"""What the returns are divided by before they move the actor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.normalize import RunningMoments
from agents.dreamer.parts.part import SLOT, Part, PartState
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")


class ReturnScale(Protocol):
    """A running scale of the imagined returns. The methods are pure: the state comes in and goes out."""

    def state(self) -> PartState:
        """The initial running statistics."""
        ...

    def update(self, state: PartState, returns: Tensor) -> PartState:
        """The state that includes `returns` (any shape); no gradient reaches it."""
        ...

    def scale(self, state: PartState) -> Tensor:
        """A positive scalar, in units of return."""
        ...


class PercentileScale(Part):
    """Range between two percentiles of the imagined returns, averaged over updates, never scaling up small returns.

    Source: Hafner et al. 2025, eqs. 7, 8. The average starts at zero and is not debiased; it is updated before use.
    """

    kind: Literal["percentiles"] = "percentiles"
    low: float = Field(5.0, ge=0, le=100, description="lower percentile")
    high: float = Field(95.0, ge=0, le=100, description="upper percentile")
    rate: float = Field(0.01, gt=0, le=1, description="share of the newest batch in the average")
    limit: float = Field(1.0, gt=0, description="smallest scale, in units of return")

    def state(self) -> PartState:
        return {"low": torch.zeros(()), "high": torch.zeros(())}

    def update(self, state: PartState, returns: Tensor) -> PartState:
        quantiles = torch.linspace(self.low / 100, self.high / 100, 2, device=returns.device)
        low, high = torch.quantile(returns.detach().float().flatten(), quantiles)
        return {"low": state["low"].lerp(low, self.rate), "high": state["high"].lerp(high, self.rate)}

    def scale(self, state: PartState) -> Tensor:
        return (state["high"] - state["low"]).clamp(min=self.limit)


class StdScale(RunningMoments):
    """Running standard deviation of the imagined returns, debiased."""

    kind: Literal["std"] = "std"

    def scale(self, state: PartState) -> Tensor:
        _, std = self.mean_and_std(state)
        return std


class UnitScale(Part):
    """Returns as they are: the scale is exactly 1."""

    kind: Literal["none"] = "none"

    def update(self, state: PartState, returns: Tensor) -> PartState:
        return state

    def scale(self, state: PartState) -> Tensor:
        return torch.ones(())


ReturnScaleSlot = Annotated[PercentileScale | StdScale | UnitScale, SLOT]
