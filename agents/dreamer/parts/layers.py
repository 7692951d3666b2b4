"""What stands between two linear layers, and the recurrent core."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

torch = Lazy("torch")
nn_layers = Lazy("agents.nn.layers")
gru = Lazy("agents.nn.gru")


class RmsNormConfig(Part):
    """Root-mean-square norm with a learned scale."""

    kind: Literal["rms"] = "rms"
    eps: float = Field(1e-4, gt=0, description="added to the mean square, inside the root")

    def build(self, width: int) -> Any:
        return nn_layers.RMSNorm(width, self.eps)


class LayerNormConfig(Part):
    """Layer norm with learned scale and shift (the first version, 2023)."""

    kind: Literal["layer"] = "layer"
    eps: float = Field(1e-3, gt=0, description="added to the variance, inside the root")

    def build(self, width: int) -> Any:
        return nn_layers.LayerNorm(width, self.eps)


class NoNorm(Part):
    """No norm."""

    kind: Literal["none"] = "none"

    def build(self, width: int) -> Any:
        return torch.nn.Identity()


class Silu(Part):
    """x sigmoid(x)."""

    kind: Literal["silu"] = "silu"

    def __call__(self, x: Any) -> Any:
        return torch.nn.functional.silu(x)


class Elu(Part):
    """x above zero, exp(x) - 1 below (DreamerV1, V2)."""

    kind: Literal["elu"] = "elu"

    def __call__(self, x: Any) -> Any:
        return torch.nn.functional.elu(x)


class Gelu(Part):
    """x times the normal distribution function of x."""

    kind: Literal["gelu"] = "gelu"

    def __call__(self, x: Any) -> Any:
        return torch.nn.functional.gelu(x)


class BlockGruConfig(Part):
    """GRU whose recurrent weights are block-diagonal, mixed by a dense input (Hafner et al. 2025, Methods)."""

    kind: Literal["block_gru"] = "block_gru"
    blocks: int = Field(8, ge=1, description="independent blocks of the recurrent state")

    def build(self, **sizes: Any) -> Any:
        return gru.BlockGRU(blocks=self.blocks, **sizes)


class LayerNormGruConfig(Part):
    """One dense GRU with layer norm before its gates, on an embedding of sample and action (the first version, 2023)."""

    kind: Literal["layer_norm_gru"] = "layer_norm_gru"
    eps: float = Field(1e-3, gt=0, description="added to the variance, inside the root")

    def build(self, **sizes: Any) -> Any:
        return gru.LayerNormGRU(eps=self.eps, **sizes)


NormSlot = Annotated[RmsNormConfig | LayerNormConfig | NoNorm, SLOT]
ActSlot = Annotated[Silu | Elu | Gelu, SLOT]
CoreSlot = Annotated[BlockGruConfig | LayerNormGruConfig, SLOT]
