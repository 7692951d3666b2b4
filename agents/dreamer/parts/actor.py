"""What the policy's distribution is, and how its gradient is estimated."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agents.dreamer.parts.part import Part, slot


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

    def objective(self, logp: Any, advantage: Any) -> Any:
        """Log-probabilities of the actions taken and their advantages, (H, N) each -> what to maximise, (H, N)."""
        return logp * advantage.detach()


ActorSlot = slot(Actor)
ActorGradSlot = slot(Reinforce)
