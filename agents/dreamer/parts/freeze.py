"""Which weights learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from agents.dreamer.parts.part import SLOT, Part

if TYPE_CHECKING:
    from agents.dreamer.behavior import Behavior
    from agents.dreamer.world_model import WorldModel


class Freeze(Protocol):
    """Chooses the weights that the optimiser moves."""

    def freeze(self, world: WorldModel, behavior: Behavior) -> None:
        """Switch off the gradient of all weights that do not learn."""
        ...


class FreezeNothing(Part):
    """All weights learn."""

    kind: Literal["everything"] = "everything"

    def freeze(self, world: WorldModel, behavior: Behavior) -> None:
        pass


class FreezeAllButEncoder(Part):
    """The encoder alone learns, to adapt to other observations: dynamics, heads, actor and critic stay as they were.

    Source: Zhu et al., RePo (arXiv:2309.00082), test-time adaptation with rewards.
    """

    kind: Literal["encoder"] = "encoder"

    def freeze(self, world: WorldModel, behavior: Behavior) -> None:
        world.requires_grad_(False)
        behavior.requires_grad_(False)
        world.encoder.requires_grad_(True)


FreezeSlot = Annotated[FreezeNothing | FreezeAllButEncoder, SLOT]
