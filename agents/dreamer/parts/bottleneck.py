"""RePo: the KL as a constraint, held at a target by a dual variable beta that is learned beside the weights.

Source: Zhu et al., RePo: Resilient Model-Based Reinforcement Learning by Regularizing Posterior Predictability (2023), on
the DreamerV3 state space. Every number that changes is bounded: with a latent unimix the KL cannot exceed its bound, beta
lies between `floor` and `ceiling`, and its logarithm moves at most `e_folds` (times `limit`) over a whole run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field, model_validator

from agents.dreamer.parts.part import SLOT, Part, PartState
from agents.lazy import Lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from agents.dreamer.parts.kl import KlTerms
    from agents.dreamer.parts.latent import LatentDistribution
else:
    torch = Lazy("torch")

KL_AVERAGE_RATE = 0.01  # share of the newest batch in the average of the KL that the dual sees
ROUNDING_FACTOR = 1.001  # how far a KL in float32 may lie above its bound


class Dual(Protocol):
    """How ln beta moves."""

    def state(self) -> PartState:
        """Tensors of this rule that change during training, with their initial values."""
        ...

    def step(self, state: PartState, kl: Tensor, mean_kl: Tensor, target: float) -> tuple[Tensor, PartState]:
        """KL of this batch and its average (nats) -> change of ln beta in units of e_folds / updates; the new state."""
        ...


class ProportionalDual(Part):
    """ln beta moves in proportion to the averaged violation, clipped: it comes to rest where the constraint holds."""

    kind: Literal["proportional"] = "proportional"
    e_folds: float = Field(10.0, gt=0, description="e-folds of beta over a whole run at a violation of one target")
    limit: float = Field(1.0, gt=0, description="largest violation that counts, in targets")

    def step(self, state: PartState, kl: Tensor, mean_kl: Tensor, target: float) -> tuple[Tensor, PartState]:
        return ((mean_kl - target) / target).clamp(-self.limit, self.limit), state


class AdamDual(Part):
    """ln beta moves by Adam on -ln beta * (KL - target), as published: by about its rate whatever the violation's size."""

    kind: Literal["adam"] = "adam"
    e_folds: float = Field(10.0, gt=0, description="rate times updates of the run; 1e-4 over 100k updates is 10")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the momentum")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean square")
    eps: float = Field(1e-8, gt=0, description="added to the root mean square")

    def state(self) -> PartState:
        return {name: torch.zeros((), dtype=torch.float64) for name in ("momentum", "square", "steps")}

    def step(self, state: PartState, kl: Tensor, mean_kl: Tensor, target: float) -> tuple[Tensor, PartState]:
        violation, steps = kl - target, state["steps"] + 1
        momentum = self.beta1 * state["momentum"] + (1 - self.beta1) * violation
        square = self.beta2 * state["square"] + (1 - self.beta2) * violation**2
        root = (square / (1 - self.beta2**steps)).sqrt() + self.eps
        return momentum / (1 - self.beta1**steps) / root, {"momentum": momentum, "square": square, "steps": steps}


DualSlot = Annotated[ProportionalDual | AdamDual, SLOT]


def _faithful_loss(
    post: LatentDistribution, prior: LatentDistribution, balance: float, beta: Tensor, free_nats: float
) -> Tensor:
    dyn, rep = post.detach().kl(prior).clamp(min=free_nats), post.kl(prior.detach()).clamp(min=free_nats)
    return beta * (balance * dyn + (1 - balance) * rep)


def _decoupled_loss(
    post: LatentDistribution, prior: LatentDistribution, balance: float, beta: Tensor, free_nats: float
) -> Tensor:
    return post.detach().kl(prior).clamp(min=free_nats) + beta * post.kl(prior.detach()).clamp(min=free_nats)


def _plain_loss(post: LatentDistribution, prior: LatentDistribution, balance: float, beta: Tensor, free_nats: float) -> Tensor:
    return beta * post.kl(prior).clamp(min=free_nats)


# How beta is split between the KL's two gradients: posterior, prior, balance, beta, free nats -> loss (B, T).
SPLITS: dict[str, Callable[[LatentDistribution, LatentDistribution, float, Tensor, float], Tensor]] = {
    "faithful": _faithful_loss,
    "decoupled": _decoupled_loss,
    "plain": _plain_loss,
}
SPLIT_DESCRIPTION = (
    "faithful: beta on both terms, `balance` of it on the prior's; decoupled: the prior always follows with weight 1, beta "
    "is on the posterior's term only; plain: beta on one undivided KL"
)


class Repo(Part):
    """The KL is held at `target` nats per step by a learned weight beta."""

    kind: Literal["repo"] = "repo"
    target: float = Field(3.0, gt=0, description="KL to hold, nats per step (summed over latents, mean over the batch)")
    init: float = Field(1e-3, gt=0, description="beta at the start")
    floor: float = Field(1e-6, gt=0, description="smallest beta")
    ceiling: float = Field(10.0, gt=0, description="largest beta")
    balance: float = Field(5 / 6, ge=0, le=1, description="share of beta on KL(sg post || prior) under `faithful`")
    split: Literal["faithful", "decoupled", "plain"] = Field("faithful", description=SPLIT_DESCRIPTION)
    warmup: int = Field(1000, ge=0, description="updates with beta as at the start; at most a tenth of the run")
    mask_first: bool = Field(True, description="leave the first steps of episodes out of the constrained KL")
    idle_below: float = Field(
        0.0, ge=0, description="nats per step below which the loss has no gradient; the constrained KL is never clipped"
    )
    guarded: bool = Field(True, description="refuse a target that idle_below keeps out of reach; false only to watch it fail")
    dual: DualSlot = ProportionalDual()

    @model_validator(mode="after")
    def _check_order(self) -> Repo:
        if not self.floor <= self.init <= self.ceiling:
            raise ValueError(f"init={self.init} lies outside floor={self.floor} to ceiling={self.ceiling}")
        if self.guarded and self.idle_below >= self.target:
            raise ValueError(f"idle_below={self.idle_below} keeps target={self.target} out of reach: beta would only grow")
        return self

    @property
    def weights(self) -> dict[str, float]:
        return {"bottleneck": 1.0}  # beta is in the loss already

    def build(self, updates: int, kl_bound: float) -> KlConstraint:
        """The constraint for a run of `updates` updates, on latents whose KL cannot exceed `kl_bound` nats."""
        rate, warmup = self.dual.e_folds / updates, min(self.warmup, updates // 10)
        return KlConstraint(self, rate=rate, warmup=warmup, kl_bound=kl_bound)


@dataclass(frozen=True)
class KlConstraint:
    """A `Repo` whose rates are known. Its state is float64, so that small steps add up."""

    repo: Repo
    rate: float  # of ln beta per update, at a step of one
    warmup: int
    kl_bound: float  # nats

    def state(self) -> PartState:
        """ln beta; the average KL and the weight in it (debiasing); updates so far; the dual rule's own state."""
        start = {"log_beta": log(self.repo.init), "mean": 0.0, "seen": 0.0, "updates": 0.0}
        return {name: torch.tensor(x, dtype=torch.float64) for name, x in start.items()} | self.repo.dual.state()

    def losses(self, post: LatentDistribution, prior: LatentDistribution, is_first: Tensor, state: PartState) -> KlTerms:
        """Weighted by beta, which gets no gradient. A KL above its bound makes the loss NaN: that update is refused."""
        repo, beta = self.repo, state["log_beta"].exp().float()
        free_nats = repo.idle_below or -inf  # a KL that rounding has made negative keeps its gradient
        loss = SPLITS[repo.split](post, prior, repo.balance, beta, free_nats)
        with torch.no_grad():
            raw = post.kl(prior)
            mask = ~is_first | (not repo.mask_first)
            kl = (raw * mask).sum() / mask.sum().clamp(min=1)
            bound_share = raw.max() / self.kl_bound
            state, flags = self._step_dual(state, kl.double(), mask.any())
        metrics = {
            "kl/raw": raw.mean(),
            "kl/max": raw.max(),
            "repo/kl": kl,
            "repo/kl_p95": raw.flatten().quantile(0.95),
            "repo/kl_of_bound": bound_share,
            "repo/beta": beta,
            "repo/violation": kl - repo.target,
            "repo/loss": beta * (kl - repo.target),
        }
        return {"bottleneck": torch.where(bound_share <= ROUNDING_FACTOR, loss, torch.nan)}, metrics | flags, state

    def _step_dual(self, state: PartState, kl: Tensor, has_steps: Tensor) -> tuple[PartState, dict[str, Tensor]]:
        """One step of the dual on the KL of a batch -> the new state, flags to log.

        `has_steps` (0-d bool): whether any step of the batch counts; the state stays as it was where none does.
        """
        repo = self.repo
        mean = state["mean"].lerp(kl, KL_AVERAGE_RATE)
        weight = state["seen"] + KL_AVERAGE_RATE * (1 - state["seen"])
        dual_state = {name: state[name] for name in repo.dual.state()}
        step, dual_state = repo.dual.step(dual_state, kl, mean / weight, repo.target)
        unbounded = state["log_beta"] + self.rate * step
        log_beta = unbounded.clamp(log(repo.floor), log(repo.ceiling))
        # Anti-windup: momentum that pushes against a bound is forgotten.
        dual_state = {name: torch.where(unbounded == log_beta, x, 0.0) for name, x in dual_state.items()}
        after_warmup = state["updates"] >= self.warmup
        moving = dual_state | {"log_beta": log_beta}
        new_state = {name: torch.where(after_warmup, x, state[name]) for name, x in moving.items()}
        new_state |= {"mean": mean, "seen": weight, "updates": state["updates"] + 1}
        new_state = {name: torch.where(has_steps, x, state[name]) for name, x in new_state.items()}
        flags = {
            "repo/beta_at_cap": log_beta >= log(repo.ceiling),
            "repo/beta_at_floor": log_beta <= log(repo.floor),
            "repo/low_kl": mean / weight < 0.1 * repo.target,
        }
        return new_state, flags
