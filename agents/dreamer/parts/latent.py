"""What the stochastic state is, and how a gradient passes through its sampling. S latents, C classes (1 if Gaussian)."""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, Self

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from agents.nn import dists
    from agents.nn.sampler import Sampler
else:
    torch, dists = Lazy("torch"), Lazy("agents.nn.dists")


class LatentDistribution(Protocol):
    """Posterior or prior of the stochastic state, with batch shape (...): S independent variables."""

    def detach(self) -> Self:
        """The same distribution without gradient."""
        ...

    def entropy(self) -> Tensor:
        """Nats, summed over the S variables: (...)."""
        ...

    def kl(self, other: Self) -> Tensor:
        """KL(self || other), nats, summed over the S variables: (...)."""
        ...

    def kl_per_latent(self, other: Self) -> Tensor:
        """KL of each variable, nats: (..., S)."""
        ...

    def diagnostics(self) -> dict[str, Tensor]:
        """Scalars worth logging."""
        ...


class Latent(Protocol):
    """The stochastic state: its shape, its distribution, how a sample is drawn and how it is stored in the replay."""

    @property
    def latents(self) -> int:
        """S."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one sample: (S, C)."""
        ...

    @property
    def width(self) -> int:
        """Size of one flattened sample: S * C."""
        ...

    @property
    def outputs(self) -> int:
        """Network outputs that parametrise one distribution."""
        ...

    @property
    def num_uniforms(self) -> int:
        """Uniform numbers that one sample takes."""
        ...

    @property
    def kl_bound(self) -> float:
        """The largest KL between two of these distributions, nats."""
        ...

    @property
    def packed_dtype(self) -> str:
        """Type of what `pack` returns, as the replay stores it."""
        ...

    def distribution(self, raw: Tensor) -> LatentDistribution:
        """(..., outputs) raw network outputs -> distribution with batch shape (...)."""
        ...

    def sample(self, raw: Tensor, sampler: Sampler) -> Tensor:
        """A sample of `distribution(raw)`: (..., S, C). The part chooses how a gradient passes through it."""
        ...

    def pack(self, stoch: Tensor) -> Tensor:
        """(..., S, C) float32 -> (..., S), as the replay stores it."""
        ...

    def unpack(self, packed: Tensor) -> Tensor:
        """Inverse of `pack`, in float32."""
        ...


class GradientEstimator(Protocol):
    """How a gradient passes through the sampling of one-hot vectors."""

    def num_uniforms(self, latents: int, classes: int) -> int:
        """Uniform numbers that one sample takes."""
        ...

    def sample(self, dist: dists.Categorical, sampler: Sampler) -> Tensor:
        """One-hot vectors (..., S, C), with this estimator's gradient."""
        ...


class StraightThrough(Part):
    """The sample forward, the probabilities backward (Bengio et al. 2013)."""

    kind: Literal["straight_through"] = "straight_through"

    def num_uniforms(self, latents: int, classes: int) -> int:
        return latents

    def sample(self, dist: dists.Categorical, sampler: Sampler) -> Tensor:
        return sampler.categorical(dist.probs.detach()) + (dist.probs - dist.probs.detach())


class GumbelSoftmax(Part):
    """The sample forward, the relaxed sample backward (Jang et al. 2017, straight-through)."""

    kind: Literal["gumbel"] = "gumbel"
    temperature: float = Field(1.0, gt=0, description="of the relaxation: small is sharp, with gradients of high variance")

    def num_uniforms(self, latents: int, classes: int) -> int:
        return latents * classes

    def sample(self, dist: dists.Categorical, sampler: Sampler) -> Tensor:
        perturbed = dist.log_probs - (-sampler.uniform(dist.probs).log()).log()
        relaxed = (perturbed / self.temperature).softmax(-1)
        hard = dists.one_hot(perturbed.argmax(-1), perturbed.shape[-1])
        return hard + (relaxed - relaxed.detach())


class NoGradient(Part):
    """The sample forward, nothing backward: only the deterministic state carries gradients through time."""

    kind: Literal["none"] = "none"

    def num_uniforms(self, latents: int, classes: int) -> int:
        return latents

    def sample(self, dist: dists.Categorical, sampler: Sampler) -> Tensor:
        return sampler.categorical(dist.probs.detach())


EstimatorSlot = Annotated[StraightThrough | GumbelSoftmax | NoGradient, SLOT]


class CategoricalLatent(Part):
    """S one-hot vectors of C classes; `unimix` of a uniform distribution is mixed into sampling, KL and entropy alike."""

    kind: Literal["categorical"] = "categorical"
    latents: int = Field(32, ge=1, description="S, number of categorical variables")
    classes: int = Field(16, ge=2, le=256, description="C, classes of each (stored as one byte)")
    unimix: float = Field(0.01, ge=0, le=1, description="share of the uniform distribution; 0 is off")
    estimator: EstimatorSlot = StraightThrough()
    packed_dtype: ClassVar[str] = "uint8"

    @property
    def shape(self) -> tuple[int, int]:
        return (self.latents, self.classes)

    @property
    def width(self) -> int:
        return self.latents * self.classes

    @property
    def outputs(self) -> int:
        return self.latents * self.classes

    @property
    def num_uniforms(self) -> int:
        return self.estimator.num_uniforms(self.latents, self.classes)

    @property
    def kl_bound(self) -> float:
        """Infinite without a uniform mixture."""
        floor = self.unimix / self.classes
        return self.latents * (1 - self.unimix) * log((1 - self.unimix + floor) / floor) if floor else inf

    @property
    def differentiable(self) -> bool:
        """Whether a gradient passes through a sample."""
        return not isinstance(self.estimator, NoGradient)

    def distribution(self, raw: Tensor) -> dists.IndependentOneHot:
        """`raw` (..., S*C) are logits."""
        return dists.IndependentOneHot(raw.unflatten(-1, self.shape), self.unimix)

    def sample(self, raw: Tensor, sampler: Sampler) -> Tensor:
        return self.estimator.sample(self.distribution(raw), sampler)

    def pack(self, stoch: Tensor) -> Tensor:
        """One-hot vectors -> class indices in a byte."""
        return stoch.argmax(-1).to(torch.uint8)

    def unpack(self, packed: Tensor) -> Tensor:
        return dists.one_hot(packed.long(), self.classes)


class GaussianLatent(Part):
    """S normal variables with mean and std = 2 sigmoid(s / 2) + 0.1, sampled with their own gradient (DreamerV1, RePo)."""

    kind: Literal["gaussian"] = "gaussian"
    latents: int = Field(32, ge=1, description="S, number of normal variables")
    min_std: float = Field(0.1, gt=0, description="smallest standard deviation")
    packed_dtype: ClassVar[str] = "uint16"  # the bits of a bfloat16
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

    def distribution(self, raw: Tensor) -> dists.DiagonalNormal:
        """`raw` (..., 2S) are means, then unscaled standard deviations."""
        return dists.DiagonalNormal(raw, self.min_std)

    def sample(self, raw: Tensor, sampler: Sampler) -> Tensor:
        return self.distribution(raw).rsample(sampler)

    def pack(self, stoch: Tensor) -> Tensor:
        """(..., S, 1) -> (..., S) bits of a bfloat16."""
        return stoch.squeeze(-1).to(torch.bfloat16).view(torch.int16)

    def unpack(self, packed: Tensor) -> Tensor:
        return packed.view(torch.bfloat16).float().unsqueeze(-1)


LatentSlot = Annotated[CategoricalLatent | GaussianLatent, SLOT]
