"""Which weights learn."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from agents.dreamer.parts.part import SLOT, Part


class FreezeNothing(Part):
    """All of them."""

    kind: Literal["everything"] = "everything"

    def freeze(self, world: Any, behavior: Any) -> None:
        """Take from the networks (torch modules) the gradient of what does not learn."""


class FreezeAllButEncoder(Part):
    """The encoder alone, for adapting to other observations: dynamics, heads, actor and critic stay as they were.

    Source: Zhu et al., RePo (arXiv:2309.00082), test-time adaptation with rewards.
    """

    kind: Literal["encoder"] = "encoder"

    def freeze(self, world: Any, behavior: Any) -> None:
        world.requires_grad_(False)
        behavior.requires_grad_(False)
        world.encoder.requires_grad_(True)


FreezeSlot = Annotated[FreezeNothing | FreezeAllButEncoder, SLOT]
