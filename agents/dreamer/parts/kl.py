"""How the posterior and the prior are drawn together."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.part import Part, slot


class Kl(Protocol):
    """Named loss maps from two latent distributions with batch shape (B, T)."""

    @property
    def weights(self) -> dict[str, float]: ...

    def losses(self, post: Any, prior: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Distributions over (B, T) -> ({loss: (B, T)}, {metric: scalar})."""
        ...


class Balanced(Part):
    """Two KL terms with separate weights, each idle below `free_nats` per step (after summing over latents).

    Source: Hafner et al. 2025, eq. 3. `dyn` moves the prior to the posterior, `rep` the posterior to the prior.
    """

    kind: Literal["balanced"] = "balanced"
    dyn: float = Field(1.0, ge=0, description="weight of KL(sg post || prior)")
    rep: float = Field(0.1, ge=0, description="weight of KL(post || sg prior)")
    free_nats: float = Field(1.0, ge=0, description="nats per step below which a term gives no gradient; 0 is off")

    @property
    def weights(self) -> dict[str, float]:
        return {"dyn": self.dyn, "rep": self.rep}

    def losses(self, post: Any, prior: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        dyn, rep = post.detach().kl(prior), post.kl(prior.detach())
        raw = dyn.detach()
        metrics = {"kl/raw": raw.mean(), "kl/clipped_share": (raw < self.free_nats).float().mean()}
        return {"dyn": dyn.clamp(min=self.free_nats), "rep": rep.clamp(min=self.free_nats)}, metrics


KlSlot = slot(Balanced)
