"""What the stochastic state is, and how a gradient passes its sampling. S latents, C classes."""

from __future__ import annotations

from math import inf, log
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

torch = Lazy("torch")
dists = Lazy("agents.nn.dists")


class StraightThrough(Part):
    """The sample forward, the probabilities backward (Bengio et al. 2013)."""

    kind: Literal["straight_through"] = "straight_through"

    def num_uniforms(self, latents: int, classes: int) -> int:
        """Uniform numbers that one sample takes."""
        return latents

    def sample(self, dist: Any, sampler: Any) -> Any:
        """-> one-hots (..., S, C), with this estimator's gradient."""
        return sampler.categorical(dist.probs.detach()) + (dist.probs - dist.probs.detach())


class GumbelSoftmax(Part):
    """The sample forward, the relaxed sample backward (Jang et al. 2017, straight-through)."""

    kind: Literal["gumbel"] = "gumbel"
    temperature: float = Field(1.0, gt=0, description="of the relaxation: small is sharp, with gradients of high variance")

    def num_uniforms(self, latents: int, classes: int) -> int:
        return latents * classes

    def sample(self, dist: Any, sampler: Any) -> Any:
        perturbed = dist.logs - (-sampler.uniform(dist.probs).log()).log()
        relaxed = (perturbed / self.temperature).softmax(-1)
        hard = dists.one_hot(perturbed.argmax(-1), perturbed.shape[-1])
        return hard + (relaxed - relaxed.detach())


class NoGradient(Part):
    """The sample forward, nothing backward: only the deterministic state carries gradients through time."""

    kind: Literal["none"] = "none"

    def num_uniforms(self, latents: int, classes: int) -> int:
        return latents

    def sample(self, dist: Any, sampler: Any) -> Any:
        return sampler.categorical(dist.probs.detach())


EstimatorSlot = Annotated[StraightThrough | GumbelSoftmax | NoGradient, SLOT]


class CategoricalLatent(Part):
    """S one-hot vectors of C classes; `unimix` of a uniform distribution is mixed into sampling, KL and entropy alike."""

    kind: Literal["categorical"] = "categorical"
    latents: int = Field(32, ge=1, description="S, number of categorical variables")
    classes: int = Field(16, ge=2, le=256, description="C, classes of each (stored as one byte)")
    unimix: float = Field(0.01, ge=0, le=1, description="share of the uniform distribution; 0 is off")
    estimator: EstimatorSlot = StraightThrough()
    packed: ClassVar[str] = "uint8"  # type that `pack` gives

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
    def num_uniforms(self) -> int:
        """Uniform numbers that one sample takes."""
        return self.estimator.num_uniforms(self.latents, self.classes)

    @property
    def kl_bound(self) -> float:
        """The largest KL between two of these distributions, nats; infinite without a uniform mixture."""
        floor = self.unimix / self.classes
        return self.latents * (1 - self.unimix) * log((1 - self.unimix + floor) / floor) if floor else inf

    @property
    def differentiable(self) -> bool:
        """Whether a gradient passes a sample."""
        return not isinstance(self.estimator, NoGradient)

    def distribution(self, logits: Any) -> Any:
        """(..., S*C) raw network outputs -> distribution with batch shape (...)."""
        return dists.IndependentOneHot(logits.unflatten(-1, self.shape), self.unimix)

    def sample(self, dist: Any, sampler: Any) -> Any:
        """-> (..., S, C), with the estimator's gradient."""
        return self.estimator.sample(dist, sampler)

    def pack(self, stoch: Any) -> Any:
        """(..., S, C) one-hot -> (..., S) class indices in a byte."""
        return stoch.argmax(-1).to(torch.uint8)

    def unpack(self, stored: Any) -> Any:
        """Inverse of `pack`, in float32."""
        return dists.one_hot(stored.long(), self.classes)


class GaussianLatent(Part):
    """S normal variables with mean and std = 2 sigmoid(s / 2) + 0.1, sampled with their own gradient (DreamerV1, RePo)."""

    kind: Literal["gaussian"] = "gaussian"
    latents: int = Field(32, ge=1, description="S, number of normal variables")
    min_std: float = Field(0.1, gt=0, description="smallest standard deviation")
    packed: ClassVar[str] = "uint16"  # the bits of a bfloat16
    differentiable: ClassVar[bool] = True
    kl_bound: ClassVar[float] = inf

    @property
    def shape(self) -> tuple[int, int]:
        return (self.latents, 1)

    @property
    def width(self) -> int:
        return self.latents

    @property
    def outputs(self) -> int:
        return 2 * self.latents

    @property
    def num_uniforms(self) -> int:
        return self.latents

    def distribution(self, raw: Any) -> Any:
        """(..., 2S) raw network outputs, means then spreads -> distribution with batch shape (...)."""
        return dists.DiagonalNormal(raw, self.min_std)

    def sample(self, dist: Any, sampler: Any) -> Any:
        return dist.rsample(sampler)

    def pack(self, stoch: Any) -> Any:
        """(..., S, 1) -> (..., S) bits of a bfloat16."""
        return stoch.squeeze(-1).to(torch.bfloat16).view(torch.int16)

    def unpack(self, stored: Any) -> Any:
        return stored.view(torch.bfloat16).float().unsqueeze(-1)


LatentSlot = Annotated[CategoricalLatent | GaussianLatent, SLOT]
