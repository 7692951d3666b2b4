"""Whether observations are reconstructed from the latent state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    from agents.dreamer import decoder
else:
    decoder = Lazy("agents.dreamer.decoder")


class Reconstruction(Protocol):
    """Chooses the observations that get a decoder."""

    def build(self, build_decoder: Callable[[], decoder.Decoder]) -> decoder.Decoder:
        """The agent's decoder; `build_decoder` builds that of all observations."""
        ...


class ReconstructAll(Part):
    """A decoder for every observation."""

    kind: Literal["reconstruct"] = "reconstruct"

    def build(self, build_decoder: Callable[[], decoder.Decoder]) -> decoder.Decoder:
        return build_decoder()


class DecoderFree(Part):
    """No decoder, no reconstruction loss: reward, continuation and critic alone decide what is worth representing."""

    kind: Literal["none"] = "none"

    def build(self, build_decoder: Callable[[], decoder.Decoder]) -> decoder.Decoder:
        return decoder.Decoder({})


ReconstructionSlot = Annotated[ReconstructAll | DecoderFree, SLOT]
