"""What the returns are divided by before they move the actor."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.normalize import RunningMoments
from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

torch = Lazy("torch")


class PercentileScale(Part):
    """Range between two percentiles of the imagined returns, averaged over updates, never scaling up small returns.

    Source: Hafner et al. 2025, eqs. 7, 8. The average starts at zero and is not debiased; it is updated before use.
    """

    kind: Literal["percentiles"] = "percentiles"
    low: float = Field(5.0, ge=0, le=100, description="lower percentile")
    high: float = Field(95.0, ge=0, le=100, description="upper percentile")
    rate: float = Field(0.01, gt=0, le=1, description="share of the newest batch in the average")
    limit: float = Field(1.0, gt=0, description="smallest scale, in units of return")

    def state(self) -> dict[str, Any]:
        return {"low": torch.zeros(()), "high": torch.zeros(())}

    def update(self, state: dict[str, Any], returns: Any) -> dict[str, Any]:
        """The state after seeing `returns` (any shape); pure."""
        at = torch.linspace(self.low / 100, self.high / 100, 2, device=returns.device)
        low, high = torch.quantile(returns.detach().float().flatten(), at)
        return {"low": state["low"].lerp(low, self.rate), "high": state["high"].lerp(high, self.rate)}

    def scale(self, state: dict[str, Any]) -> Any:
        return (state["high"] - state["low"]).clamp(min=self.limit)


class StdScale(RunningMoments):
    """Running standard deviation of the imagined returns, debiased."""

    kind: Literal["std"] = "std"

    def scale(self, state: dict[str, Any]) -> Any:
        return self.moments(state)[1]


class UnitScale(Part):
    """Returns as they are: the scale is exactly 1."""

    kind: Literal["none"] = "none"

    def update(self, state: dict[str, Any], returns: Any) -> dict[str, Any]:
        return state

    def scale(self, state: dict[str, Any]) -> Any:
        return torch.ones(())


ReturnScaleSlot = Annotated[PercentileScale | StdScale | UnitScale, SLOT]
