"""Every choice of DreamerV3 with its default, one field per switchable part; sizes; presets.

Defaults are those of the official code (e3f0224), except that the discrete policy mixes in 1 % of a uniform distribution,
as in the paper (`actor.unimix: 0.0` is the official code). Sizes scale widths only; the default is 12m.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from agents.dreamer.parts.actor import Actor, ActorGradSlot, ActorSlot, Reinforce
from agents.dreamer.parts.bottleneck import Repo
from agents.dreamer.parts.critic import Regularizer, ReplayValue, ReplayValueSlot, SlowCriticSlot
from agents.dreamer.parts.gradients import GradientSlot, Stop, Through
from agents.dreamer.parts.horizon import Continuation, DiscountSlot
from agents.dreamer.parts.kl import Balanced, KlSlot
from agents.dreamer.parts.latent import Categorical, LatentSlot
from agents.dreamer.parts.layers import ActSlot, BlockGru, CoreSlot, NormSlot, Rms, Silu
from agents.dreamer.parts.normalize import AsIs, NormalizeSlot
from agents.dreamer.parts.optimizer import LaProp, OptimizerSlot
from agents.dreamer.parts.part import Part
from agents.dreamer.parts.reconstruction import DecoderFree, Reconstruct, ReconstructionSlot
from agents.dreamer.parts.replayed import AllStarts, ContextSlot, Raw, RewardSlot, StartsSlot, Stored
from agents.dreamer.parts.return_scale import Percentiles, ReturnScaleSlot
from agents.dreamer.parts.squash import SquashSlot, Symlog
from agents.dreamer.parts.target import SymexpTwoHot, TargetSlot
from agents.dreamer.parts.trained import Everything, TrainedSlot
from agents.dreamer.presets import NOTES, PRESETS
from agents.lazy import Lazy
from agents.protocol import Agent, AgentConfig, Spec

builder = Lazy("agents.dreamer.build")
__all__ = ["NOTES", "PRESETS", "SIZES", "Config"]


class Layers(Part):
    """Hidden layers of each network."""

    kind: Literal["layers"] = "layers"
    encoder: int = Field(3, ge=1, le=8, description="vector encoder, layers")
    decoder: int = Field(3, ge=1, le=8, description="vector decoder, layers")
    prior: int = Field(2, ge=1, le=8, description="prior, layers")
    reward: int = Field(1, ge=1, le=8, description="reward head, layers")
    cont: int = Field(1, ge=1, le=8, description="continue head, layers")
    critic: int = Field(3, ge=1, le=8, description="critic, layers")


class Weights(Part):
    """Weights of the losses that no other part weighs."""

    kind: Literal["weights"] = "weights"
    recon: float = Field(1.0, ge=0, description="each observation's reconstruction")
    reward: float = Field(1.0, ge=0, description="reward prediction")
    cont: float = Field(1.0, ge=0, description="continuation prediction")
    policy: float = Field(1.0, ge=0, description="actor")
    value: float = Field(1.0, ge=0, description="critic, on imagined states")


class Config(AgentConfig):
    """DreamerV3 (Hafner et al. 2025)."""

    kind: Literal["dreamer"] = "dreamer"

    # Sizes.
    deter: int = Field(2048, ge=1, description="width of the deterministic state")
    hidden: int = Field(256, ge=1, description="width inside the recurrent model")
    units: int = Field(256, ge=1, description="width of the MLPs")
    depth: int = Field(16, ge=1, description="channels of the convolutions, before multiplication")
    multipliers: tuple[int, ...] = Field((2, 3, 4, 4), min_length=1, description="channels of each stage / depth")
    decoder_blocks: int = Field(8, ge=1, description="blocks of the image decoder's view of the deterministic state")
    layers: Layers = Layers()

    # World model.
    core: CoreSlot = BlockGru()
    norm: NormSlot = Rms()
    act: ActSlot = Silu()
    latent: LatentSlot = Categorical()
    kl: KlSlot = Balanced()
    squash: SquashSlot = Symlog()
    reward: TargetSlot = SymexpTwoHot()
    reconstruction: ReconstructionSlot = Reconstruct()
    recon_grad: GradientSlot = Through()
    reward_grad: GradientSlot = Through()

    # Behaviour.
    horizon: int = Field(15, ge=1, description="imagined steps")
    lam: float = Field(0.95, ge=0, le=1, description="lambda of the returns")
    discount: DiscountSlot = Continuation()
    starts: StartsSlot = AllStarts()
    actor: ActorSlot = Actor()
    actor_grad: ActorGradSlot = Reinforce()
    value: TargetSlot = SymexpTwoHot()
    return_scale: ReturnScaleSlot = Percentiles()
    advantage: NormalizeSlot = AsIs()
    value_norm: NormalizeSlot = AsIs()
    slow_critic: SlowCriticSlot = Regularizer()
    replay_value: ReplayValueSlot = ReplayValue()
    repval_grad: GradientSlot = Through()

    # Learning.
    weights: Weights = Weights()
    optimizer: OptimizerSlot = LaProp()
    replay_context: ContextSlot = Stored()
    reward_transform: RewardSlot = Raw()
    trained: TrainedSlot = Everything()

    @model_validator(mode="after")
    def _divisible(self) -> Config:
        for name, blocks in (("core.blocks", getattr(self.core, "blocks", 1)), ("decoder_blocks", self.decoder_blocks)):
            if self.deter % blocks:
                raise ValueError(f"deter={self.deter} is not a multiple of {name}={blocks}")
        return self

    @model_validator(mode="after")
    def _compatible(self) -> Config:
        if self.actor_grad.through and not self.latent.differentiable:
            raise ValueError(
                f"actor_grad '{self.actor_grad.kind}' differentiates through imagined states, but latent.estimator "
                f"'{self.latent.estimator.kind}' stops every gradient at a sample; use straight_through or gumbel"
            )
        if isinstance(self.kl, Repo) and self.kl.target >= self.latent.kl_bound:
            raise ValueError(
                f"kl.target={self.kl.target} can never be reached: the KL of {self.latent.latents} latents of "
                f"{self.latent.classes} classes is at most {self.latent.kl_bound:.1f} nats"
            )
        if isinstance(self.reconstruction, DecoderFree) and isinstance(self.recon_grad, Stop):
            raise ValueError("recon_grad 'stop' holds back the decoder's gradient, but reconstruction 'none' has no decoder")
        return self

    def build(
        self,
        spec: Spec,
        *,
        seed: int,
        updates: int = 100_000,
        device: str = "auto",
        precision: str = "float32",
        threads: int = 1,
        compile: bool = False,
    ) -> Agent:
        how = {"device": device, "precision": precision, "threads": threads, "compile": compile}
        return builder.dreamer(self, spec, seed=seed, updates=updates, **how)


def _size(width: int) -> dict[str, Any]:
    """The rule of all official sizes: everything in proportion to one width."""
    return {
        "agent.deter": 8 * width,
        "agent.hidden": width,
        "agent.units": width,
        "agent.depth": width // 16,
        "agent.latent.classes": width // 16,
    }


def _size_2023(deter: int, *, units: int, depth: int, layers: int) -> dict[str, Any]:
    """The sizes of the older versions, which vary the number of layers too and keep 32 latents of 32 classes."""
    counts = {f"agent.layers.{net}": layers for net in ("encoder", "decoder", "reward", "cont", "critic")}
    widths = {"agent.deter": deter, "agent.hidden": units, "agent.units": units, "agent.depth": depth}
    return widths | counts | {"agent.actor.layers": layers, "agent.latent.latents": 32, "agent.latent.classes": 32}


# Dotted changes relative to a run.
SIZES: dict[str, dict[str, Any]] = {
    # Ours: learns small tasks in minutes on one core, with the learning rate that so few weights bear. Fewer bins, because
    # at this width half of an update would go into the 255 outputs of reward and critic.
    "nano": {
        "agent.deter": 128,
        "agent.hidden": 32,
        "agent.units": 32,
        "agent.depth": 4,
        "agent.latent.latents": 8,
        "agent.latent.classes": 8,
        "agent.core.blocks": 4,
        "agent.reward.bins": 63,
        "agent.value.bins": 63,
        "agent.optimizer.lr": 2e-3,
        "agent.optimizer.warmup": 100,
    },
    "1m": _size(64),
    "12m": _size(256),
    "25m": _size(384),
    "50m": _size(512),
    "100m": _size(768),
    "200m": _size(1024),
    "400m": _size(1536),
    "2023-xs": _size_2023(256, units=256, depth=24, layers=1),
    "2023-s": _size_2023(512, units=512, depth=32, layers=2),
    "2023-m": _size_2023(1024, units=640, depth=48, layers=3),
    "2023-l": _size_2023(2048, units=768, depth=64, layers=4),
    "2023-xl": _size_2023(4096, units=1024, depth=96, layers=5),
    "v2-atari": _size_2023(600, units=400, depth=48, layers=4) | {"agent.hidden": 600},
    "v2-dmc": _size_2023(200, units=400, depth=48, layers=4) | {"agent.hidden": 200},
    "repo-faithful": _size_2023(200, units=200, depth=32, layers=3) | {"agent.hidden": 200, "agent.latent.latents": 30},
}
