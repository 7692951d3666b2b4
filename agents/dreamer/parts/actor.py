"""What the policy's distribution is, and how its gradient is estimated."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from agents.dreamer.parts.part import SLOT, Part
from agents.lazy import Lazy

torch = Lazy("torch")
functional = Lazy("agents.nn.functional")


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
    through: ClassVar[bool] = False  # whether a gradient passes the imagined dynamics

    def imagining(self, *modules: Any) -> Any:
        """The context in which states are imagined and judged by `modules`, which it must not train."""
        return torch.no_grad()

    def choose(self, dist: Any, sampler: Any) -> Any:
        """An action of the policy, with the gradient this estimator needs."""
        return dist.sample(sampler)

    def values(self, critic: Any, feat: Any, known: Any) -> Any:
        """Predictions for feat (H+1, N, F); those for all but the last are `known` already, without a path to feat."""
        return torch.cat([known.mean, critic(feat[-1:]).mean])

    def objective(self, logp: Any, advantage: Any) -> Any:
        """Log-probabilities of the actions taken and their advantages, (H, N) each -> what to maximise, (H, N)."""
        return logp * advantage.detach()


class DynamicsBackprop(Part):
    """The advantage is differentiated through the imagined dynamics, down to the actions (DreamerV1; 2023 for continuous)."""

    kind: Literal["dynamics"] = "dynamics"
    through: ClassVar[bool] = True

    def imagining(self, *modules: Any) -> Any:
        return functional.frozen(*modules)

    def choose(self, dist: Any, sampler: Any) -> Any:
        return dist.rsample(sampler)

    def values(self, critic: Any, feat: Any, known: Any) -> Any:
        return critic(feat).mean

    def objective(self, logp: Any, advantage: Any) -> Any:
        return advantage


class MixedGradient(DynamicsBackprop):
    """A weighted sum of both estimators (DreamerV2)."""

    kind: Literal["mix"] = "mix"
    share: float = Field(0.5, ge=0, le=1, description="weight of the score-function gradient; the dynamics have the rest")

    def objective(self, logp: Any, advantage: Any) -> Any:
        return self.share * logp * advantage.detach() + (1 - self.share) * advantage


ActorSlot = Actor
ActorGradSlot = Annotated[Reinforce | DynamicsBackprop | MixedGradient, SLOT]
