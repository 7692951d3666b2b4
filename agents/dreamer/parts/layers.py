"""What stands between two linear layers, and the recurrent core."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import Part, slot
from agents.lazy import Lazy

torch = Lazy("torch")
nn_layers = Lazy("agents.nn.layers")
gru = Lazy("agents.nn.gru")


class Rms(Part):
    """Root-mean-square norm with a learned scale."""

    kind: Literal["rms"] = "rms"
    eps: float = Field(1e-4, gt=0, description="added to the mean square, inside the root")

    def build(self, width: int) -> Any:
        return nn_layers.RMSNorm(width, self.eps)


class Silu(Part):
    """x sigmoid(x)."""

    kind: Literal["silu"] = "silu"

    def __call__(self, x: Any) -> Any:
        return torch.nn.functional.silu(x)


class BlockGru(Part):
    """GRU whose recurrent weights are block-diagonal, mixed by a dense input (Hafner et al. 2025, Methods)."""

    kind: Literal["block_gru"] = "block_gru"
    blocks: int = Field(8, ge=1, description="independent blocks of the recurrent state")

    def build(self, **sizes: Any) -> Any:
        return gru.BlockGRU(blocks=self.blocks, **sizes)


NormSlot = slot(Rms)
ActSlot = slot(Silu)
CoreSlot = slot(BlockGru)
