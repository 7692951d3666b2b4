"""How a scalar (reward or value) is predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    from torch import Tensor

    from agents.nn import dists
else:
    dists = Lazy("agents.nn.dists")


class ScalarDistribution(Protocol):
    """A prediction of scalars with batch shape (...)."""

    @property
    def mean(self) -> Tensor:
        """The prediction as numbers (...), on the raw scale."""
        ...

    def nll(self, target: Tensor) -> Tensor:
        """Loss of each prediction: targets (...) on the raw scale -> (...)."""
        ...

    def constant_loss(self, target: Tensor) -> Tensor:
        """Mean loss of the best prediction that is the same everywhere: a scalar to compare with."""
        ...


class Target(Protocol):
    """The scalar's output layer, and the distribution that its outputs parametrise."""

    @property
    def outputs(self) -> int:
        """Width K of the output layer."""
        ...

    @property
    def outscale(self) -> float:
        """Factor on the output layer's initial weights."""
        ...

    def readout(self) -> Callable[[Tensor], ScalarDistribution]:
        """A function of the outputs (..., K): a module where it holds tensors."""
        ...


class SymexpTwoHotTarget(Part):
    """A categorical over exponentially spaced bins, fitted to two-hot targets (Hafner et al. 2025, eqs. 10, 11)."""

    kind: Literal["symexp_twohot"] = "symexp_twohot"
    bins: int = Field(255, ge=2, description="number of bins, from symexp(-20) to symexp(20)")
    outscale: float = Field(0.0, ge=0, description="factor on the initial weights of the output layer; 0 predicts 0")

    @property
    def outputs(self) -> int:
        return self.bins

    def readout(self) -> Callable[[Tensor], ScalarDistribution]:
        return dists.TwoHotReadout(self.bins)


class SymlogTwoHotTarget(Part):
    """Evenly spaced bins for the symlog of the scalar; the mean is taken before symexp (the first version, 2023)."""

    kind: Literal["symlog_twohot"] = "symlog_twohot"
    bins: int = Field(255, ge=2, description="number of bins, from -20 to 20 in symlog space")
    outscale: float = Field(0.0, ge=0, description="factor on the initial weights of the output layer; 0 predicts 0")

    @property
    def outputs(self) -> int:
        return self.bins

    def readout(self) -> Callable[[Tensor], ScalarDistribution]:
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

    def readout(self) -> Callable[[Tensor], ScalarDistribution]:
        return dists.SquaredScalar


class SymlogMseTarget(_SingleOutput):
    """Squared error of the symlog of the scalar, no factor 1/2; the prediction is the symexp of the output."""

    kind: Literal["symlog_mse"] = "symlog_mse"

    def readout(self) -> Callable[[Tensor], ScalarDistribution]:
        return dists.SymlogScalar


class HuberTarget(_SingleOutput):
    """sqrt(error^2 + 1) - 1 on the raw scale (Charbonnier): quadratic near zero, linear far out."""

    kind: Literal["huber"] = "huber"

    def readout(self) -> Callable[[Tensor], ScalarDistribution]:
        return dists.HuberScalar


TargetSlot = Annotated[SymexpTwoHotTarget | SymlogTwoHotTarget | SymlogMseTarget | MseTarget | HuberTarget, SLOT]
