"""How advantages and value targets are normalised before use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part, PartState
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")


class Normalizer(Protocol):
    """An elementwise map with running statistics, and its inverse. The methods are pure: the state comes in and goes out."""

    def state(self) -> PartState:
        """The initial running statistics."""
        ...

    def update(self, state: PartState, x: Tensor) -> PartState:
        """The state that includes `x` (any shape); no gradient reaches it."""
        ...

    def normalize(self, state: PartState, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        ...

    def denormalize(self, state: PartState, x: Tensor) -> Tensor:
        """Inverse of `normalize`."""
        ...


class IdentityNormalizer(Part):
    """Changes nothing: the default for both."""

    kind: Literal["as_is"] = "as_is"

    def update(self, state: PartState, x: Tensor) -> PartState:
        return state

    def normalize(self, state: PartState, x: Tensor) -> Tensor:
        return x

    def denormalize(self, state: PartState, x: Tensor) -> Tensor:
        return x


class RunningMoments(Part):
    """Running mean and standard deviation, debiased. Before the first update both averages are zero."""

    rate: float = Field(0.01, gt=0, le=1, description="share of the newest batch in the averages")
    limit: float = Field(1e-8, gt=0, description="smallest standard deviation")

    def state(self) -> PartState:
        """The two averages, and in `seen` the weight of all batches in them (debiasing)."""
        return {"mean": torch.zeros(()), "square": torch.zeros(()), "seen": torch.zeros(())}

    def update(self, state: PartState, x: Tensor) -> PartState:
        """The state that includes `x` (any shape)."""
        x = x.detach().float()
        batch = {"mean": x.mean(), "square": x.square().mean(), "seen": torch.ones_like(state["seen"])}
        return {name: average.lerp(batch[name], self.rate) for name, average in state.items()}

    def mean_and_std(self, state: PartState) -> tuple[Tensor, Tensor]:
        """Debiased; two scalars."""
        weight = state["seen"].clamp(min=self.rate)
        mean = state["mean"] / weight
        return mean, (state["square"] / weight - mean.square()).clamp(min=0).sqrt().clamp(min=self.limit)


class MeanStdNormalizer(RunningMoments):
    """(x - mean) / std with running statistics."""

    kind: Literal["meanstd"] = "meanstd"

    def normalize(self, state: PartState, x: Tensor) -> Tensor:
        mean, std = self.mean_and_std(state)
        return (x - mean) / std

    def denormalize(self, state: PartState, x: Tensor) -> Tensor:
        mean, std = self.mean_and_std(state)
        return x * std + mean


NormalizerSlot = Annotated[IdentityNormalizer | MeanStdNormalizer, SLOT]
