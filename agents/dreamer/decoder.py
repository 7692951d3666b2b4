"""Features -> distributions over observations: vectors from an MLP, images from convolutions.

B batch, T time, D deter, Z flat stoch, N = B*T images, H W C of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from agents.nn.conv import UpConv
from agents.nn.dists import SquaredPixels
from agents.nn.layers import MLP, Act, BlockLinear, Dense, Head, Linear, Norm, module_name
from agents.protocol import Space


class ObsDistribution(Protocol):
    """A distribution over one observation, with batch shape (B, T)."""

    def nll(self, target: Tensor) -> Tensor:
        """Loss of the observation (B, T, ...): (B, T)."""
        ...


ObsDistributions = dict[str, ObsDistribution]  # by the observation's key


class VectorDecoder(nn.Module):
    """An MLP on (stoch, deter), then one output layer per key."""

    def __init__(self, inputs: int, heads: Mapping[str, Head], *, units: int, layers: int, norm: Norm, act: Act) -> None:
        super().__init__()
        self.mlp = MLP(inputs, units, layers, norm=norm, act=act)
        self.heads = nn.ModuleDict({module_name(key): head for key, head in heads.items()})
        self._keys = list(heads)

    def forward(self, deter: Tensor, stoch: Tensor) -> ObsDistributions:
        x = self.mlp(torch.cat([stoch, deter], -1))
        return {key: head(x) for key, head in zip(self._keys, self.heads.values(), strict=True)}


class ImageDecoder(nn.Module):
    """Spatial features from deter (block-wise) and stoch (dense). Each stage doubles their resolution. All images share it."""

    def __init__(
        self,
        spaces: Mapping[str, Space],
        *,
        deter: int,
        stoch: int,
        units: int,
        depths: Sequence[int],
        blocks: int,
        norm: Norm,
        act: Act,
    ) -> None:
        super().__init__()
        self._channels = {key: space.shape[-1] for key, space in spaces.items()}
        height, width, _ = next(iter(spaces.values())).shape
        self._shape = (height >> len(depths), width >> len(depths), depths[-1])
        size = self._shape[0] * self._shape[1] * self._shape[2]
        self.from_deter = BlockLinear(deter, size, blocks)
        self.from_stoch = nn.Sequential(Dense(stoch, 2 * units, norm=norm, act=act), Linear(2 * units, size))
        self.norm = norm(depths[-1])
        self._act = act
        stage_depths = list(reversed(depths))
        self.stages = nn.Sequential(*(UpConv(i, o, norm=norm, act=act) for i, o in pairwise(stage_depths)))
        self.output = UpConv(depths[0], sum(self._channels.values()))

    def forward(self, deter: Tensor, stoch: Tensor) -> ObsDistributions:
        height, width, _ = self._shape
        # Each block of deter writes one share of the channels at every place: (N, G, H, W, C/G) -> (N, H, W, C).
        deter_map = self.from_deter(deter.flatten(0, 1)).unflatten(-1, (self.from_deter.blocks, height, width, -1))
        deter_map = deter_map.permute(0, 2, 3, 1, 4).flatten(-2)
        stoch_map = self.from_stoch(stoch.flatten(0, 1)).unflatten(-1, self._shape)
        x = self.output(self.stages(self._act(self.norm(deter_map + stoch_map))))
        images = x.unflatten(0, deter.shape[:2]).split(list(self._channels.values()), -1)
        return {key: SquaredPixels(image) for key, image in zip(self._channels, images, strict=True)}


class Decoder(nn.Module):
    """deter (B, T, D), flat stoch (B, T, Z) -> {key: distribution}."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)

    def forward(self, deter: Tensor, stoch: Tensor) -> ObsDistributions:
        return {key: dist for part in self.parts.values() for key, dist in part(deter, stoch).items()}
