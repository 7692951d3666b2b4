"""How advantages and value targets are normalised before use."""

from __future__ import annotations

from typing import Any, Literal

from agents.dreamer.parts.part import Part, slot


class AsIs(Part):
    """Leaves them alone: the default for both."""

    kind: Literal["as_is"] = "as_is"

    def update(self, state: dict[str, Any], x: Any) -> dict[str, Any]:
        """The state after seeing `x`; pure."""
        return state

    def apply(self, state: dict[str, Any], x: Any) -> Any:
        return x

    def invert(self, state: dict[str, Any], x: Any) -> Any:
        return x


NormalizeSlot = slot(AsIs)
