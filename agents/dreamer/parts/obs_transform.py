"""How vectors of any magnitude become network inputs and targets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

functional = Lazy("agents.nn.functional")


class SymlogTransform(Part):
    """sign(x) ln(1 + |x|): near the identity around zero, logarithmic far out (Hafner et al. 2025, eq. 9)."""

    kind: Literal["symlog"] = "symlog"

    def squash(self, x: Any) -> Any:
        return functional.symlog(x)

    def unsquash(self, x: Any) -> Any:
        return functional.symexp(x)


class IdentityTransform(Part):
    """Vectors as they are: the encoder reads raw values and the decoder's squared error is in their units."""

    kind: Literal["identity"] = "identity"

    def squash(self, x: Any) -> Any:
        return x

    def unsquash(self, x: Any) -> Any:
        return x


ObsTransformSlot = Annotated[SymlogTransform | IdentityTransform, SLOT]
