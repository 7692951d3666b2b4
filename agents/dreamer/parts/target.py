"""How a scalar (reward or value) is predicted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

dists = Lazy("agents.nn.dists")


class SymexpTwoHotTarget(Part):
    """A categorical over exponentially spaced bins, fitted to two-hot targets (Hafner et al. 2025, eqs. 10, 11)."""

    kind: Literal["symexp_twohot"] = "symexp_twohot"
    bins: int = Field(255, ge=2, description="number of bins, from symexp(-20) to symexp(20)")
    outscale: float = Field(0.0, ge=0, description="factor on the initial weights of the output layer; 0 predicts 0")

    @property
    def outputs(self) -> int:
        return self.bins

    def readout(self) -> Any:
        """Module (..., bins) logits -> distribution with `mean` (...) and `nll(target)` (...)."""
        return dists.TwoHotReadout(self.bins)


class SymlogTwoHotTarget(SymexpTwoHotTarget):
    """Evenly spaced bins for the symlog of the scalar; the mean is taken before symexp (the first version, 2023)."""

    kind: Literal["symlog_twohot"] = "symlog_twohot"
    bins: int = Field(255, ge=2, description="number of bins, from -20 to 20 in symlog space")

    def readout(self) -> Any:
        return dists.SymlogTwoHotReadout(self.bins)


class _SingleOutput(Part):
    """One linear output per scalar."""

    outscale: float = Field(0.0, ge=0, description="factor on the initial weights of the output layer; 0 predicts 0")

    @property
    def outputs(self) -> int:
        return 1


class MseTarget(_SingleOutput):
    """Squared error on the raw scale, no factor 1/2."""

    kind: Literal["mse"] = "mse"

    def readout(self) -> Any:
        return dists.SquaredScalar


class SymlogMseTarget(_SingleOutput):
    """Squared error of the symlog of the scalar, no factor 1/2; the prediction is the symexp of the output."""

    kind: Literal["symlog_mse"] = "symlog_mse"

    def readout(self) -> Any:
        return dists.SymlogScalar


class HuberTarget(_SingleOutput):
    """sqrt(error^2 + 1) - 1 on the raw scale (Charbonnier): quadratic near zero, linear far out."""

    kind: Literal["huber"] = "huber"

    def readout(self) -> Any:
        return dists.HuberScalar


TargetSlot = Annotated[SymexpTwoHotTarget | SymlogTwoHotTarget | SymlogMseTarget | MseTarget | HuberTarget, SLOT]
