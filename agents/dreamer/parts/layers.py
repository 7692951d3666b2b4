"""Norm, activation and recurrent core of the networks. N rows, D deter, A action dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from agents.nn import gru
    from agents.nn import layers as nn_layers
else:
    torch, gru, nn_layers = Lazy("torch"), Lazy("agents.nn.gru"), Lazy("agents.nn.layers")


class NormConfig(Protocol):
    """A norm over the last axis."""

    def build(self, width: int) -> nn.Module:
        """A fresh module for a last axis of `width`."""
        ...


class Activation(Protocol):
    """An elementwise function."""

    def __call__(self, x: Tensor) -> Tensor: ...


class CoreConfig(Protocol):
    """The deterministic part of the recurrent model."""

    def build(
        self, *, deter: int, stoch: int, actions: int, hidden: int, norm: nn_layers.Norm, act: nn_layers.Act
    ) -> gru.SequenceModel:
        """A fresh core, from the widths of the deterministic state, the flat sample, the action and the hidden layer."""
        ...


class RmsNormConfig(Part):
    """Root-mean-square norm with a learned scale."""

    kind: Literal["rms"] = "rms"
    eps: float = Field(1e-4, gt=0, description="added to the mean square, inside the root")

    def build(self, width: int) -> nn.Module:
        return nn_layers.RMSNorm(width, self.eps)


class LayerNormConfig(Part):
    """Layer norm with learned scale and shift (the first version, 2023)."""

    kind: Literal["layer"] = "layer"
    eps: float = Field(1e-3, gt=0, description="added to the variance, inside the root")

    def build(self, width: int) -> nn.Module:
        return nn_layers.LayerNorm(width, self.eps)


class NoNorm(Part):
    """No norm."""

    kind: Literal["none"] = "none"

    def build(self, width: int) -> nn.Module:
        return torch.nn.Identity()


class Silu(Part):
    """x sigmoid(x)."""

    kind: Literal["silu"] = "silu"

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.silu(x)


class Elu(Part):
    """x above zero, exp(x) - 1 below (DreamerV1, V2)."""

    kind: Literal["elu"] = "elu"

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.elu(x)


class Gelu(Part):
    """x times the normal distribution function of x."""

    kind: Literal["gelu"] = "gelu"

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.gelu(x)


class BlockGruConfig(Part):
    """GRU whose recurrent weights are block-diagonal, mixed by a dense input (Hafner et al. 2025, Methods)."""

    kind: Literal["block_gru"] = "block_gru"
    blocks: int = Field(8, ge=1, description="independent blocks of the recurrent state")

    def build(
        self, *, deter: int, stoch: int, actions: int, hidden: int, norm: nn_layers.Norm, act: nn_layers.Act
    ) -> gru.SequenceModel:
        widths = {"deter": deter, "stoch": stoch, "actions": actions, "hidden": hidden}
        return gru.BlockGRU(**widths, blocks=self.blocks, norm=norm, act=act)


class LayerNormGruConfig(Part):
    """One dense GRU with layer norm before its gates, on an embedding of sample and action (the first version, 2023)."""

    kind: Literal["layer_norm_gru"] = "layer_norm_gru"
    eps: float = Field(1e-3, gt=0, description="added to the variance, inside the root")

    def build(
        self, *, deter: int, stoch: int, actions: int, hidden: int, norm: nn_layers.Norm, act: nn_layers.Act
    ) -> gru.SequenceModel:
        widths = {"deter": deter, "stoch": stoch, "actions": actions, "hidden": hidden}
        return gru.LayerNormGRU(**widths, eps=self.eps, norm=norm, act=act)


NormSlot = Annotated[RmsNormConfig | LayerNormConfig | NoNorm, SLOT]
ActivationSlot = Annotated[Silu | Elu | Gelu, SLOT]
CoreSlot = Annotated[BlockGruConfig | LayerNormGruConfig, SLOT]
