"""How the future is discounted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part


class ContinuationDiscount(Part):
    """The discount is part of what the continue head learns: its target is (1 - terminal) (1 - 1/steps)."""

    kind: Literal["continuation"] = "continuation"
    steps: float = Field(333.0, gt=1, description="effective horizon 1 / (1 - discount), policy steps")

    @property
    def discount(self) -> float:
        return 1 - 1 / self.steps

    def target(self, terminal: Any) -> Any:
        """is_terminal (...) bool -> target of the continue head (...)."""
        return (~terminal).float() * self.discount

    def live(self, cont: Any) -> Any:
        """Predicted continuation -> discount of the next step."""
        return cont

    def weight(self, cont: Any) -> Any:
        """Predicted continuation along imagination (K, N) -> weight of each state in the losses (K, N)."""
        return cont.cumprod(0)


class ExplicitDiscount(Part):
    """The continue head learns whether the episode goes on (1 - terminal); the discount is multiplied on afterwards."""

    kind: Literal["explicit"] = "explicit"
    steps: float = Field(333.0, gt=1, description="effective horizon 1 / (1 - discount), policy steps")

    @property
    def discount(self) -> float:
        return 1 - 1 / self.steps

    def target(self, terminal: Any) -> Any:
        return (~terminal).float()

    def live(self, cont: Any) -> Any:
        return cont * self.discount

    def weight(self, cont: Any) -> Any:
        return (cont * self.discount).cumprod(0) / self.discount


DiscountSlot = Annotated[ContinuationDiscount | ExplicitDiscount, SLOT]
