"""How a scalar (reward or value) is predicted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import Part, slot
from agents.lazy import Lazy

dists = Lazy("agents.nn.dists")


class SymexpTwoHot(Part):
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


TargetSlot = slot(SymexpTwoHot)
