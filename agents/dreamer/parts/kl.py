"""The KL losses between posterior and prior. B batch, T time, S latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from agents.dreamer.parts.bottleneck import Repo
from agents.dreamer.parts.part import SLOT, Part, PartState

if TYPE_CHECKING:
    from torch import Tensor

    from agents.dreamer.parts.latent import LatentDistribution

KlTerms = tuple[
    dict[str, "Tensor"], dict[str, "Tensor"], PartState
]  # losses (B, T), metrics (scalars), the state after the batch
ClippedKl = tuple["Tensor", "Tensor", "Tensor"]  # loss (B, T), KL without any clipping (B, T), what was clipped (bool)


class Kl(Protocol):
    """Named losses of the distance between two latent distributions with batch shape (B, T)."""

    def state(self) -> PartState:
        """Tensors that change during training, with their initial values."""
        ...

    def losses(self, post: LatentDistribution, prior: LatentDistribution, is_first: Tensor, state: PartState) -> KlTerms:
        """Posterior and prior over (B, T), is_first (B, T) bool, state -> losses, metrics, the state after this batch."""
        ...


class KlConfig(Protocol):
    """What the slot holds: it knows the weights of its losses, and how to build their rule for one run."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each loss in the total, by the loss's name."""
        ...

    def build(self, updates: int, kl_bound: float) -> Kl:
        """The rule for a run of `updates` updates, on latents whose KL cannot exceed `kl_bound` nats."""
        ...


def _clip_per_step(post: LatentDistribution, prior: LatentDistribution, free_nats: float) -> ClippedKl:
    kl = post.kl(prior)
    return kl.clamp(min=free_nats), kl, kl < free_nats


def _clip_per_batch(post: LatentDistribution, prior: LatentDistribution, free_nats: float) -> ClippedKl:
    kl = post.kl(prior)
    mean = kl.mean()
    return mean.clamp(min=free_nats).expand_as(kl), kl, mean < free_nats


def _clip_per_latent(post: LatentDistribution, prior: LatentDistribution, free_nats: float) -> ClippedKl:
    kl = post.kl_per_latent(prior)  # (B, T, S)
    return kl.clamp(min=free_nats).sum(-1), kl.sum(-1), kl < free_nats


# Where the clip at the free nats comes.
STAGES: dict[str, Callable[[LatentDistribution, LatentDistribution, float], ClippedKl]] = {
    "step": _clip_per_step,
    "batch": _clip_per_batch,
    "latent": _clip_per_latent,
}
ClipStage = Literal["step", "batch", "latent"]
STAGE_DESCRIPTION = (
    "what is clipped: each step's KL after summing over latents; the batch's mean of them (DreamerV1, V2); "
    "each latent's own KL, before summing (the floor is then free_nats for every latent)"
)


class BalancedKl(Part):
    """Two KL terms with separate weights; each has no gradient below `free_nats` per step (after summing over latents).

    Source: Hafner et al. 2025, eq. 3. `dyn` moves the prior to the posterior, `rep` the posterior to the prior. DreamerV2's
    balance `alpha` at a scale is this with dyn = scale * alpha, rep = scale * (1 - alpha).
    """

    kind: Literal["balanced"] = "balanced"
    dyn: float = Field(1.0, ge=0, description="weight of KL(sg post || prior)")
    rep: float = Field(0.1, ge=0, description="weight of KL(post || sg prior)")
    free_nats: float = Field(1.0, ge=0, description="nats per step below which a term gives no gradient; 0 is off")
    stage: ClipStage = Field("step", description=STAGE_DESCRIPTION)

    @property
    def weights(self) -> dict[str, float]:
        return {"dyn": self.dyn, "rep": self.rep}

    def build(self, updates: int, kl_bound: float) -> Kl:
        return self  # its weights do not depend on the run

    def losses(self, post: LatentDistribution, prior: LatentDistribution, is_first: Tensor, state: PartState) -> KlTerms:
        clip = STAGES[self.stage]
        dyn, raw, clipped = clip(post.detach(), prior, self.free_nats)
        rep, _, _ = clip(post, prior.detach(), self.free_nats)
        return {"dyn": dyn, "rep": rep}, _metrics(raw.detach(), clipped), state


class PlainKl(Part):
    """One KL term that moves posterior and prior alike (DreamerV1; Hafner et al. 2020)."""

    kind: Literal["plain"] = "plain"
    scale: float = Field(1.0, ge=0, description="weight of KL(post || prior)")
    free_nats: float = Field(1.0, ge=0, description="nats per step below which there is no gradient; 0 is off")
    stage: ClipStage = Field("step", description=STAGE_DESCRIPTION)

    @property
    def weights(self) -> dict[str, float]:
        return {"kl": self.scale}

    def build(self, updates: int, kl_bound: float) -> Kl:
        return self  # its weight does not depend on the run

    def losses(self, post: LatentDistribution, prior: LatentDistribution, is_first: Tensor, state: PartState) -> KlTerms:
        loss, raw, clipped = STAGES[self.stage](post, prior, self.free_nats)
        return {"kl": loss}, _metrics(raw.detach(), clipped), state


def _metrics(raw: Tensor, clipped: Tensor) -> dict[str, Tensor]:
    """Of the KL before any clipping, nats per step; the share of it that the free nats clip."""
    return {"kl/raw": raw.mean(), "kl/max": raw.max(), "kl/clipped_share": clipped.float().mean()}


KlSlot = Annotated[BalancedKl | PlainKl | Repo, SLOT]
