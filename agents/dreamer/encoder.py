"""Observations -> embed: vectors through an MLP, images through convolutions.

B batch, T time, E embed, H W C of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from agents.dreamer.parts.obs_transform import ObsTransform
from agents.nn.conv import DownConv
from agents.nn.dists import one_hot
from agents.nn.functional import cast
from agents.nn.layers import MLP, Act, Norm
from agents.protocol import Space


class TransformedVector(nn.Module):
    """A vector observation (B, T, ...) -> network input (B, T, n)."""

    def __init__(self, transform: ObsTransform) -> None:
        super().__init__()
        self._transform = transform

    def forward(self, x: Tensor) -> Tensor:
        return self._transform(x.float()).reshape(*x.shape[:2], -1)


class OneHot(nn.Module):
    """A discrete observation (B, T) -> (B, T, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self._classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return one_hot(x, self._classes)


class VectorEncoder(nn.Module):
    """Vectors and discrete values, concatenated in the order of their names, through an MLP."""

    def __init__(self, readers: Mapping[str, nn.Module], width: int, *, units: int, layers: int, norm: Norm, act: Act):
        super().__init__()
        self._readers = dict(readers)
        self.mlp = MLP(width, units, layers, norm=norm, act=act)
        self.width = units

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        return self.mlp(torch.cat([reader(obs[key]) for key, reader in self._readers.items()], -1))


class ImageEncoder(nn.Module):
    """Images, their channels concatenated in the order of their names. Each stage halves the resolution. Flat as (H, W, C)."""

    def __init__(self, spaces: Mapping[str, Space], *, depths: Sequence[int], norm: Norm, act: Act) -> None:
        super().__init__()
        self._keys = list(spaces)
        height, width, _ = next(iter(spaces.values())).shape
        channels = [sum(space.shape[-1] for space in spaces.values()), *depths]
        self.stages = nn.Sequential(*(DownConv(i, o, norm=norm, act=act) for i, o in pairwise(channels)))
        self.width = (height >> len(depths)) * (width >> len(depths)) * depths[-1]

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        image = torch.cat([obs[key] for key in self._keys], -1)
        x = cast(image.flatten(0, 1).float().div_(255).sub_(0.5))
        return self.stages(x).flatten(1).unflatten(0, image.shape[:2])


class Encoder(nn.Module):
    """{key: (B, T, ...)} -> (B, T, E): the vectors' part, then the images'."""

    def __init__(self, parts: Mapping[str, VectorEncoder | ImageEncoder]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.width = sum(part.width for part in parts.values())

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([part(obs) for part in self.parts.values()], -1)
