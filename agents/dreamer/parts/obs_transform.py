"""How vector observations of any magnitude become network inputs and reconstruction targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    from torch import Tensor

    from agents.nn import functional
else:
    functional = Lazy("agents.nn.functional")


class ObsTransform(Protocol):
    """Applied to a vector observation before the encoder reads it and before the decoder's output is compared with it."""

    def __call__(self, x: Tensor) -> Tensor:
        """Elementwise: (...) float32 -> (...)."""
        ...


class SymlogTransform(Part):
    """sign(x) ln(1 + |x|): near the identity around zero, logarithmic far out (Hafner et al. 2025, eq. 9)."""

    kind: Literal["symlog"] = "symlog"

    def __call__(self, x: Tensor) -> Tensor:
        return functional.symlog(x)


class IdentityTransform(Part):
    """Vectors as they are: the encoder reads raw values, and the decoder's squared error is in their units."""

    kind: Literal["identity"] = "identity"

    def __call__(self, x: Tensor) -> Tensor:
        return x


ObsTransformSlot = Annotated[SymlogTransform | IdentityTransform, SLOT]
