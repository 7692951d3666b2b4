"""Whether observations are reconstructed from the latent state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

decoder = Lazy("agents.dreamer.decoder")


class ReconstructAll(Part):
    """A decoder for every observation."""

    kind: Literal["reconstruct"] = "reconstruct"

    def build(self, make: Callable[[], Any]) -> Any:
        """`make` builds the whole decoder."""
        return make()


class DecoderFree(Part):
    """No decoder, no reconstruction loss: reward, continuation and critic alone say what is worth representing."""

    kind: Literal["none"] = "none"

    def build(self, make: Callable[[], Any]) -> Any:
        return decoder.Decoder({})


ReconstructionSlot = Annotated[ReconstructAll | DecoderFree, SLOT]
