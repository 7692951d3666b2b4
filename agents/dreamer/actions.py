"""Actions as the networks see them, and as the environment does. E environments, A action dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.nn.dists import one_hot


@dataclass(frozen=True)
class Discrete:
    """Class indices outside, one-hot inside."""

    width: int  # classes
    draws: int = 1

    def enter(self, action: Tensor) -> Tensor:
        return one_hot(action, self.width)

    def leave(self, action: Tensor) -> Tensor:
        return action.argmax(-1).to(torch.int32)


@dataclass(frozen=True)
class Continuous:
    """Vectors (..., A). Samples are not clipped inside; the recurrent model scales them to [-1, 1] as it reads them."""

    width: int

    @property
    def draws(self) -> int:
        return self.width

    def enter(self, action: Tensor) -> Tensor:
        return action.float()

    def leave(self, action: Tensor) -> Tensor:
        # Clipping here changes nothing for the model (it sees a / max(1, |a|)), and the environment gets what it allows.
        return action.clamp(-1, 1)
