"""The policy's distribution, and how its gradient is estimated. H imagined steps, N starts, F features, A action dimensions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from agents.dreamer.parts.target import ScalarDistribution
    from agents.nn import functional
    from agents.nn.sampler import Sampler
else:
    torch, functional = Lazy("torch"), Lazy("agents.nn.functional")


class ActionDistribution(Protocol):
    """The policy in a batch of states (...), over actions (..., A)."""

    @property
    def mode(self) -> Tensor: ...

    def sample(self, sampler: Sampler) -> Tensor:
        """An action without gradient: (..., A)."""
        ...

    def rsample(self, sampler: Sampler) -> Tensor:
        """An action with a gradient to the policy's outputs: (..., A)."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """(..., A) -> (...)."""
        ...

    def entropy(self) -> Tensor:
        """Nats, (...)."""
        ...

    def diagnostics(self) -> dict[str, Tensor]:
        """Scalars worth logging."""
        ...


class ActorGradient(Protocol):
    """An estimator of the policy's gradient from imagined trajectories."""

    @property
    def differentiates_dynamics(self) -> bool:
        """Whether a gradient passes through the imagined dynamics."""
        ...

    def gradient_context(self, *modules: nn.Module) -> AbstractContextManager[None]:
        """The context in which states are imagined and evaluated by `modules`; their weights get no gradient."""
        ...

    def sample_action(self, policy: ActionDistribution, sampler: Sampler) -> Tensor:
        """An action of the policy, with the gradient that this estimator needs."""
        ...

    def predict_values(
        self, critic: Callable[[Tensor], ScalarDistribution], feat: Tensor, value_dist: ScalarDistribution
    ) -> Tensor:
        """The critic's predictions for feat (H+1, N, F): (H+1, N).

        `value_dist` holds those for all states but the last, computed without a gradient to feat.
        """
        ...

    def objective(self, log_prob: Tensor, advantage: Tensor) -> Tensor:
        """Log-probabilities of the imagined actions and their advantages, (H, N) each -> what to maximise, (H, N)."""
        ...


class Actor(Part):
    """Categorical for discrete actions, bounded normal for continuous ones.

    The official code since 2024 mixes no uniform into the discrete policy (`unimix=0`); the paper mixes 1 %.
    """

    kind: Literal["actor"] = "actor"
    layers: int = Field(3, ge=1, le=8, description="hidden layers")
    outscale: float = Field(0.01, ge=0, description="factor on the initial weights of the output layer")
    unimix: float = Field(0.01, ge=0, le=1, description="share of the uniform distribution, discrete actions; 0 is off")
    min_std: float = Field(0.1, gt=0, description="smallest standard deviation, continuous actions")
    max_std: float = Field(1.0, gt=0, description="largest standard deviation, continuous actions")
    entropy: float = Field(3e-4, ge=0, description="weight of the policy's entropy, nats")


class Reinforce(Part):
    """Score-function gradient for discrete and continuous actions (Hafner et al. 2025, eq. 6)."""

    kind: Literal["reinforce"] = "reinforce"
    differentiates_dynamics: ClassVar[bool] = False

    def gradient_context(self, *modules: nn.Module) -> AbstractContextManager[None]:
        return torch.no_grad()

    def sample_action(self, policy: ActionDistribution, sampler: Sampler) -> Tensor:
        return policy.sample(sampler)

    def predict_values(
        self, critic: Callable[[Tensor], ScalarDistribution], feat: Tensor, value_dist: ScalarDistribution
    ) -> Tensor:
        return torch.cat([value_dist.mean, critic(feat[-1:]).mean])

    def objective(self, log_prob: Tensor, advantage: Tensor) -> Tensor:
        return log_prob * advantage.detach()


class _Backprop(Part):
    """Imagination with a gradient from the returns through the dynamics to the actions."""

    differentiates_dynamics: ClassVar[bool] = True

    def gradient_context(self, *modules: nn.Module) -> AbstractContextManager[None]:
        return functional.frozen_weights(*modules)

    def sample_action(self, policy: ActionDistribution, sampler: Sampler) -> Tensor:
        return policy.rsample(sampler)

    def predict_values(
        self, critic: Callable[[Tensor], ScalarDistribution], feat: Tensor, value_dist: ScalarDistribution
    ) -> Tensor:
        return critic(feat).mean


class DynamicsBackprop(_Backprop):
    """The advantage is differentiated through the imagined dynamics, down to the actions (DreamerV1; 2023 for continuous)."""

    kind: Literal["dynamics"] = "dynamics"

    def objective(self, log_prob: Tensor, advantage: Tensor) -> Tensor:
        return advantage


class MixedGradient(_Backprop):
    """A weighted sum of both estimators (DreamerV2)."""

    kind: Literal["mix"] = "mix"
    share: float = Field(0.5, ge=0, le=1, description="weight of the score-function gradient; the dynamics have the rest")

    def objective(self, log_prob: Tensor, advantage: Tensor) -> Tensor:
        return self.share * log_prob * advantage.detach() + (1 - self.share) * advantage


ActorSlot = Actor
ActorGradientSlot = Annotated[Reinforce | DynamicsBackprop | MixedGradient, SLOT]
