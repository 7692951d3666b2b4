"""How the posterior and the prior are drawn together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.bottleneck import Repo
from agents.dreamer.parts.part import SLOT, Part


class Kl(Protocol):
    """Named loss maps from two latent distributions with batch shape (B, T)."""

    @property
    def weights(self) -> dict[str, float]: ...

    def state(self) -> dict[str, Any]:
        """Tensors that move during training, at their start."""
        ...

    def losses(self, post: Any, prior: Any, first: Any, state: dict[str, Any]) -> Judged:
        """Distributions over (B, T), is_first (B, T), state -> ({loss: (B, T)}, {metric: scalar}, the state after this)."""
        ...


Judged = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


Clipped = tuple[Any, Any, Any]  # loss (B, T), KL without any clipping (B, T), what was clipped (bool)


def _per_step(post: Any, prior: Any, free: float) -> Clipped:
    kl = post.kl(prior)
    return kl.clamp(min=free), kl, kl < free


def _per_batch(post: Any, prior: Any, free: float) -> Clipped:
    kl = post.kl(prior)
    mean = kl.mean()
    return mean.clamp(min=free).expand_as(kl), kl, mean < free


def _per_latent(post: Any, prior: Any, free: float) -> Clipped:
    kls = post.kls(prior)
    return kls.clamp(min=free).sum(-1), kls.sum(-1), kls < free


# Where the clip at the free nats comes.
STAGES: dict[str, Callable[[Any, Any, float], Clipped]] = {
    "step": _per_step,
    "batch": _per_batch,
    "latent": _per_latent,
}
Stage = Literal["step", "batch", "latent"]
STAGE = (
    "what is clipped: each step's KL after summing over latents; the batch's mean of them (DreamerV1, V2); "
    "each latent's own KL, before summing (the floor is then free_nats for every latent)"
)


class _ConstantWeights(Part):
    """Weights that do not move."""

    def over(self, updates: int, bound: float) -> Any:
        """This rule in a run of so many updates, on latents whose KL cannot exceed `bound` nats: itself."""
        return self


class BalancedKl(_ConstantWeights):
    """Two KL terms with separate weights, each idle below `free_nats` per step (after summing over latents).

    Source: Hafner et al. 2025, eq. 3. `dyn` moves the prior to the posterior, `rep` the posterior to the prior. DreamerV2's
    balance `alpha` at a scale is this with dyn = scale * alpha, rep = scale * (1 - alpha).
    """

    kind: Literal["balanced"] = "balanced"
    dyn: float = Field(1.0, ge=0, description="weight of KL(sg post || prior)")
    rep: float = Field(0.1, ge=0, description="weight of KL(post || sg prior)")
    free_nats: float = Field(1.0, ge=0, description="nats per step below which a term gives no gradient; 0 is off")
    stage: Stage = Field("step", description=STAGE)

    @property
    def weights(self) -> dict[str, float]:
        return {"dyn": self.dyn, "rep": self.rep}

    def losses(self, post: Any, prior: Any, first: Any, state: dict[str, Any]) -> Judged:
        clip = STAGES[self.stage]
        dyn, raw, clipped = clip(post.detach(), prior, self.free_nats)
        rep, _, _ = clip(post, prior.detach(), self.free_nats)
        return {"dyn": dyn, "rep": rep}, _metrics(raw.detach(), clipped), state


class PlainKl(_ConstantWeights):
    """One KL term that moves posterior and prior alike (DreamerV1; Hafner et al. 2020)."""

    kind: Literal["plain"] = "plain"
    scale: float = Field(1.0, ge=0, description="weight of KL(post || prior)")
    free_nats: float = Field(1.0, ge=0, description="nats per step below which there is no gradient; 0 is off")
    stage: Stage = Field("step", description=STAGE)

    @property
    def weights(self) -> dict[str, float]:
        return {"kl": self.scale}

    def losses(self, post: Any, prior: Any, first: Any, state: dict[str, Any]) -> Judged:
        loss, raw, clipped = STAGES[self.stage](post, prior, self.free_nats)
        return {"kl": loss}, _metrics(raw.detach(), clipped), state


def _metrics(raw: Any, clipped: Any) -> dict[str, Any]:
    """Of the KL before any clipping, nats per step; the share of it that the free nats clip."""
    return {"kl/raw": raw.mean(), "kl/max": raw.max(), "kl/clipped_share": clipped.float().mean()}


KlSlot = Annotated[BalancedKl | PlainKl | Repo, SLOT]
