"""What the stochastic state is, and how a gradient passes its sampling. S latents, C classes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import Part, slot
from agents.lazy import Lazy

torch = Lazy("torch")
dists = Lazy("agents.nn.dists")


class StraightThrough(Part):
    """The sample forward, the probabilities backward (Bengio et al. 2013)."""

    kind: Literal["straight_through"] = "straight_through"

    def __call__(self, sample: Any, dist: Any) -> Any:
        return sample + (dist.probs - dist.probs.detach())


Estimator = slot(StraightThrough)


class Categorical(Part):
    """S one-hot vectors of C classes; `unimix` of a uniform distribution is mixed into sampling, KL and entropy alike."""

    kind: Literal["categorical"] = "categorical"
    latents: int = Field(32, ge=1, description="S, number of categorical variables")
    classes: int = Field(16, ge=2, le=256, description="C, classes of each (stored as one byte)")
    unimix: float = Field(0.01, ge=0, le=1, description="share of the uniform distribution; 0 is off")
    estimator: Estimator = StraightThrough()

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one sample: (S, C)."""
        return (self.latents, self.classes)

    @property
    def width(self) -> int:
        """Size of one flattened sample."""
        return self.latents * self.classes

    @property
    def outputs(self) -> int:
        """Numbers a network has to give for one distribution."""
        return self.latents * self.classes

    @property
    def draws(self) -> int:
        """Uniform numbers that one sample takes."""
        return self.latents

    def distribution(self, logits: Any) -> Any:
        """(..., S*C) raw network outputs -> distribution with batch shape (...)."""
        return dists.OneHots(logits.unflatten(-1, self.shape), self.unimix)

    def sample(self, dist: Any, draw: Any) -> Any:
        """-> (..., S, C), with the estimator's gradient."""
        return self.estimator(draw.categorical(dist.probs.detach()), dist)

    def pack(self, stoch: Any) -> Any:
        """(..., S, C) one-hot -> (..., S) class indices in a byte."""
        return stoch.argmax(-1).to(torch.uint8)

    def unpack(self, stored: Any) -> Any:
        """Inverse of `pack`, in float32."""
        return dists.one_hot(stored.long(), self.classes)


LatentSlot = slot(Categorical)
