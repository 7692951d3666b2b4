"""DreamerV3: every setting with its default, one field per switchable part; sizes; presets.

Defaults are those of the official code (e3f0224), except that the discrete policy mixes in 1 % of a uniform distribution,
as in the paper (`actor.unimix: 0.0` is the official code). Sizes scale widths only; the default is 12m.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from agents.dreamer.parts.actor import Actor, ActorGradientSlot, ActorSlot, Reinforce
from agents.dreamer.parts.bottleneck import Repo
from agents.dreamer.parts.critic import ReplayValue, ReplayValueSlot, SlowCriticSlot, SlowRegularizer
from agents.dreamer.parts.discount import ContinuationDiscount, DiscountSlot
from agents.dreamer.parts.freeze import FreezeNothing, FreezeSlot
from agents.dreamer.parts.gradients import FullGradient, GradientGateSlot, StopGradient
from agents.dreamer.parts.kl import BalancedKl, KlSlot
from agents.dreamer.parts.latent import CategoricalLatent, LatentSlot
from agents.dreamer.parts.layers import ActivationSlot, BlockGruConfig, CoreSlot, NormSlot, RmsNormConfig, Silu
from agents.dreamer.parts.normalize import IdentityNormalizer, NormalizerSlot
from agents.dreamer.parts.obs_transform import ObsTransformSlot, SymlogTransform
from agents.dreamer.parts.optimizer import LaPropConfig, OptimizerSlot
from agents.dreamer.parts.part import Part
from agents.dreamer.parts.reconstruction import DecoderFree, ReconstructAll, ReconstructionSlot
from agents.dreamer.parts.replay import AllStarts, RawReward, ReplayContextSlot, RewardTransformSlot, StartsSlot, StoredContext
from agents.dreamer.parts.return_scale import PercentileScale, ReturnScaleSlot
from agents.dreamer.parts.target import SymexpTwoHotTarget, TargetSlot
from agents.dreamer.presets import NOTES, PRESETS
from agents.lazy import Lazy
from agents.protocol import Agent, AgentConfig, Spec

if TYPE_CHECKING:
    from agents.dreamer import build as builder
else:
    builder = Lazy("agents.dreamer.build")

__all__ = ["NOTES", "PRESETS", "SIZES", "Config"]


class LayerCounts(Part):
    """Hidden layers of each network."""

    kind: Literal["layers"] = "layers"
    encoder: int = Field(3, ge=1, le=8, description="vector encoder, layers")
    decoder: int = Field(3, ge=1, le=8, description="vector decoder, layers")
    prior: int = Field(2, ge=1, le=8, description="prior, layers")
    reward: int = Field(1, ge=1, le=8, description="reward head, layers")
    cont: int = Field(1, ge=1, le=8, description="continue head, layers")
    critic: int = Field(3, ge=1, le=8, description="critic, layers")


class LossWeights(Part):
    """Weights of the losses that no other part has a weight for."""

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
    layers: LayerCounts = LayerCounts()

    # World model.
    core: CoreSlot = BlockGruConfig()
    norm: NormSlot = RmsNormConfig()
    act: ActivationSlot = Silu()
    latent: LatentSlot = CategoricalLatent()
    kl: KlSlot = BalancedKl()
    squash: ObsTransformSlot = SymlogTransform()
    reward: TargetSlot = SymexpTwoHotTarget()
    reconstruction: ReconstructionSlot = ReconstructAll()
    recon_grad: GradientGateSlot = FullGradient()
    reward_grad: GradientGateSlot = FullGradient()

    # Behaviour.
    horizon: int = Field(15, ge=1, description="imagined steps")
    lam: float = Field(0.95, ge=0, le=1, description="lambda of the returns")
    discount: DiscountSlot = ContinuationDiscount()
    starts: StartsSlot = AllStarts()
    actor: ActorSlot = Actor()
    actor_grad: ActorGradientSlot = Reinforce()
    value: TargetSlot = SymexpTwoHotTarget()
    return_scale: ReturnScaleSlot = PercentileScale()
    advantage: NormalizerSlot = IdentityNormalizer()
    value_norm: NormalizerSlot = IdentityNormalizer()
    slow_critic: SlowCriticSlot = SlowRegularizer()
    replay_value: ReplayValueSlot = ReplayValue()
    repval_grad: GradientGateSlot = FullGradient()

    # Learning.
    weights: LossWeights = LossWeights()
    optimizer: OptimizerSlot = LaPropConfig()
    replay_context: ReplayContextSlot = StoredContext()
    reward_transform: RewardTransformSlot = RawReward()
    trained: FreezeSlot = FreezeNothing()

    @model_validator(mode="after")
    def _check_blocks(self) -> Config:
        core_blocks = self.core.blocks if isinstance(self.core, BlockGruConfig) else 1
        for name, blocks in (("core.blocks", core_blocks), ("decoder_blocks", self.decoder_blocks)):
            if self.deter % blocks:
                raise ValueError(f"deter={self.deter} is not a multiple of {name}={blocks}")
        return self

    @model_validator(mode="after")
    def _check_combinations(self) -> Config:
        latent, kl = self.latent, self.kl
        if isinstance(latent, CategoricalLatent):  # Gaussian latents have neither limit
            if self.actor_grad.differentiates_dynamics and not latent.differentiable:
                raise ValueError(
                    f"actor_grad '{self.actor_grad.kind}' differentiates through imagined states, but latent.estimator "
                    f"'{latent.estimator.kind}' stops every gradient at a sample; use straight_through or gumbel"
                )
            if isinstance(kl, Repo) and kl.target >= latent.kl_bound:
                raise ValueError(
                    f"kl.target={kl.target} can never be reached: the KL of {latent.latents} latents of "
                    f"{latent.classes} classes is at most {latent.kl_bound:.1f} nats"
                )
        if isinstance(self.reconstruction, DecoderFree) and isinstance(self.recon_grad, StopGradient):
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
        return builder.build_dreamer(
            self,
            spec,
            seed=seed,
            updates=updates,
            device=device,
            precision=precision,
            threads=threads,
            compile=compile,
        )


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
    """The sizes of the older versions: the number of layers varies too, and latents stay at 32 with 32 classes."""
    counts = {f"agent.layers.{net}": layers for net in ("encoder", "decoder", "reward", "cont", "critic")}
    widths = {"agent.deter": deter, "agent.hidden": units, "agent.units": units, "agent.depth": depth}
    return widths | counts | {"agent.actor.layers": layers, "agent.latent.latents": 32, "agent.latent.classes": 32}


# Changes of a run by dotted path.
SIZES: dict[str, dict[str, Any]] = {
    # Not an official size: it learns small tasks in minutes on one core. So few weights bear a higher learning rate. Bins are
    # fewer, because at this width the 255 outputs of reward and critic would take half of an update.
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
