"""Config + Spec -> Dreamer. Only this file reads the configuration; everything it builds receives objects by keyword."""

from __future__ import annotations

import copy
from functools import partial
from math import prod
from typing import Protocol, TypedDict, runtime_checkable

import torch
from torch import nn

from agents.device import check_compiler, resolve_device
from agents.dreamer.actions import ActionCodec, ContinuousActionCodec, DiscreteActionCodec, JointActionCodec
from agents.dreamer.agent import Dreamer, Runtime
from agents.dreamer.behavior import Behavior, BehaviorRules
from agents.dreamer.config import Config
from agents.dreamer.decoder import Decoder, ImageDecoder, VectorDecoder
from agents.dreamer.encoder import Encoder, ImageEncoder, OneHot, TransformedVector, VectorEncoder
from agents.dreamer.joint_actor import JointActor
from agents.dreamer.parts.target import Target
from agents.dreamer.rssm import RSSM, Posterior
from agents.dreamer.world_model import WorldModel
from agents.lazy import Lazy
from agents.nn.dists import Bernoulli, BoundedNormal, Categorical, FlatOneHot, IndexCategorical, SquaredVector
from agents.nn.launch import DirectLaunch, GraphLaunch
from agents.nn.layers import MLP, Act, Dense, Head, Linear, Norm, TwinLinear
from agents.nn.memory import keep_freed_memory
from agents.protocol import JointSpace, Space, Spec, entry_name

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


def build_dreamer(
    config: Config, spec: Spec, *, seed: int, device: str, precision: str, threads: int, compile: bool, updates: int
) -> Dreamer:
    """The agent, its weights drawn from `seed`; `updates` are those of the whole run."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    torch.set_num_threads(threads)
    keep_freed_memory()
    torch_device, dtype = torch.device(resolve_device(device)), PRECISIONS[precision]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        world, behavior = build_modules(config, spec, updates)
        world, behavior = world.to(torch_device), behavior.to(torch_device)
        config.trained.freeze(world, behavior)
        if compile:
            _compile_steps(world, torch_device)
        sampler_seed = int(torch.randint(2**62, ()))  # the stream of sampling is not the stream of the weights
    generator = torch.Generator(torch_device).manual_seed(sampler_seed)
    runtime = Runtime(
        device=torch_device,
        generator=generator,
        autocast=partial(torch.autocast, torch_device.type, dtype=dtype, enabled=dtype is not None),
        launch=GraphLaunch(torch_device, generator) if torch_device.type == "cuda" else DirectLaunch(),
    )
    return Dreamer(
        world=world,
        behavior=behavior,
        optimizer=config.optimizer.build(trainable_parameters(world, behavior)),
        loss_weights=loss_weights(config, spec),
        action_codec=action_codec(spec),
        replay_context=config.replay_context,
        reward_transform=config.reward_transform,
        runtime=runtime,
        deter=config.deter,
        obs_entries={key: entry_name(key) for key in sorted(spec.obs)},
    )


@runtime_checkable
class _Compilable(Protocol):
    def compile_steps(self) -> None: ...


def _compile_steps(world: WorldModel, device: torch.device) -> None:
    check_compiler(device.type)
    Lazy.import_all()
    for module in world.modules():
        if isinstance(module, _Compilable):
            module.compile_steps()


def build_modules(config: Config, spec: Spec, updates: int = 1) -> tuple[WorldModel, Behavior]:
    """The networks on the default device (`meta` to count them only)."""
    return _world_model(config, spec, updates), _behavior(config, spec)


def trainable_parameters(world: nn.Module, behavior: nn.Module) -> dict[str, nn.Parameter]:
    """What the optimiser moves, by name: everything but the slow critic and what is frozen."""
    modules = nn.ModuleDict({"world": world, "behavior": behavior})
    return {name: p for name, p in modules.named_parameters() if p.requires_grad}


def loss_weights(config: Config, spec: Spec) -> dict[str, float]:
    """Weight of every named loss."""
    weights = config.weights
    heads = {"reward": weights.reward, "cont": weights.cont, "policy": weights.policy, "value": weights.value}
    recon = {f"recon_{key}": weights.recon for key in spec.obs}
    return heads | recon | dict(config.kl.weights) | {"replay_value": config.replay_value.weight}


def action_codec(spec: Spec) -> ActionCodec:
    if isinstance(spec.action, JointSpace):
        return JointActionCodec(spec.action, {name: _codec(space) for name, space in spec.heads.items()})
    return _codec(spec.action)


def _codec(space: Space) -> ActionCodec:
    if space.discrete:
        return DiscreteActionCodec(space.classes, tuple(space.shape))
    return ContinuousActionCodec(tuple(space.shape))


def _num_values(space: Space) -> int:
    return prod(space.shape)


def _feat_width(config: Config) -> int:
    return config.deter + config.latent.width


class _LayerOptions(TypedDict):
    """Of every hidden layer."""

    norm: Norm
    act: Act


def _layer_options(config: Config) -> _LayerOptions:
    return {"norm": config.norm.build, "act": config.act}


def _trunk(config: Config, layers: int) -> MLP:
    """The hidden layers of a head on the latent state."""
    return MLP(_feat_width(config), config.units, layers, **_layer_options(config))


def _split_spaces(spec: Spec) -> tuple[dict[str, Space], dict[str, Space]]:
    """Images and everything else, each in the order of the names."""
    keys = sorted(spec.obs)
    images = {key: spec.obs[key] for key in keys if spec.obs[key].image}
    return images, {key: spec.obs[key] for key in keys if key not in images}


def _world_model(config: Config, spec: Spec, updates: int) -> WorldModel:
    encoder = _encoder(config, spec)
    return WorldModel(
        encoder=encoder,
        rssm=_rssm(config, spec, embed=encoder.width),
        decoder=config.reconstruction.build(partial(_decoder, config, spec)),
        reward=_scalar_head(config, config.reward, config.layers.reward),
        cont=_continue_head(config),
        kl=config.kl.build(updates, config.latent.kl_bound),
        discount=config.discount,
        recon_grad=config.recon_grad,
        reward_grad=config.reward_grad,
    )


def _behavior(config: Config, spec: Spec) -> Behavior:
    critic = _scalar_head(config, config.value, config.layers.critic)
    return Behavior(
        actor=_actor(config, spec),
        critic=critic,
        slow_critic=copy.deepcopy(critic).requires_grad_(False),
        action_uniforms=action_codec(spec).num_uniforms,
        rules=_behavior_rules(config),
    )


def _behavior_rules(config: Config) -> BehaviorRules:
    return BehaviorRules(
        imagination_horizon=config.horizon,
        lam=config.lam,
        entropy_weight=config.actor.entropy,
        discount=config.discount,
        starts=config.starts,
        actor_grad=config.actor_grad,
        return_scale=config.return_scale,
        advantage_norm=config.advantage,
        value_norm=config.value_norm,
        slow_critic=config.slow_critic,
        repval_grad=config.repval_grad,
    )


def _encoder(config: Config, spec: Spec) -> Encoder:
    images, vectors = _split_spaces(spec)
    parts: dict[str, VectorEncoder | ImageEncoder] = {}
    if vectors:
        readers = {k: OneHot(s.classes) if s.discrete else TransformedVector(config.squash) for k, s in vectors.items()}
        width = sum(space.classes or _num_values(space) for space in vectors.values())
        parts["vector"] = VectorEncoder(
            readers, width, units=config.units, layers=config.layers.encoder, **_layer_options(config)
        )
    if images:
        parts["image"] = ImageEncoder(images, depths=_depths(config), **_layer_options(config))
    return Encoder(parts)


def _depths(config: Config) -> list[int]:
    return [config.depth * multiplier for multiplier in config.multipliers]


def _rssm(config: Config, spec: Spec, *, embed: int) -> RSSM:
    latent, hidden, layer = config.latent, config.hidden, _layer_options(config)
    core = config.core.build(deter=config.deter, stoch=latent.width, actions=action_codec(spec).width, hidden=hidden, **layer)
    prior = nn.Sequential(MLP(config.deter, hidden, config.layers.prior, **layer), Linear(hidden, latent.outputs))
    posterior = Posterior(config.deter, Dense(config.deter + embed, hidden, **layer), Linear(hidden, latent.outputs))
    return RSSM(core=core, prior=prior, posterior=posterior, latent=latent)


def _decoder(config: Config, spec: Spec) -> Decoder:
    images, vectors = _split_spaces(spec)
    parts: dict[str, nn.Module] = {}
    if vectors:
        heads = {key: _vector_head(config, space) for key, space in vectors.items()}
        parts["vector"] = VectorDecoder(
            _feat_width(config), heads, units=config.units, layers=config.layers.decoder, **_layer_options(config)
        )
    if images:
        parts["image"] = ImageDecoder(
            images,
            deter=config.deter,
            stoch=config.latent.width,
            units=config.units,
            depths=_depths(config),
            blocks=config.decoder_blocks,
            **_layer_options(config),
        )
    return Decoder(parts)


def _vector_head(config: Config, space: Space) -> Head:
    readout = IndexCategorical if space.discrete else partial(SquaredVector, transform=config.squash)
    return Head(nn.Identity(), Linear(config.units, space.classes or _num_values(space)), readout)


def _continue_head(config: Config) -> Head:
    return Head(_trunk(config, config.layers.cont), Linear(config.units, 1), Bernoulli)


def _scalar_head(config: Config, target: Target, layers: int) -> Head:
    return Head(_trunk(config, layers), Linear(config.units, target.outputs, target.outscale), target.readout())


def _actor(config: Config, spec: Spec) -> nn.Module:
    trunk = _trunk(config, config.actor.layers)
    if isinstance(spec.action, JointSpace):
        heads = {name: _action_head(config, space, nn.Identity()) for name, space in spec.heads.items()}
        return JointActor(trunk, heads, [_codec(space).width for space in spec.heads.values()])
    return _action_head(config, spec.action, trunk)


def _action_head(config: Config, space: Space, trunk: nn.Module) -> Head:
    actor = config.actor
    if space.discrete and space.shape:
        output = Linear(config.units, _num_values(space) * space.classes, actor.outscale)
        return Head(trunk, output, partial(FlatOneHot, count=_num_values(space), unimix=actor.unimix))
    if space.discrete:
        output = Linear(config.units, space.classes, actor.outscale)
        return Head(trunk, output, partial(Categorical, unimix=actor.unimix))
    mean_and_std = TwinLinear(config.units, _num_values(space), actor.outscale)
    return Head(trunk, mean_and_std, partial(BoundedNormal, min_std=actor.min_std, max_std=actor.max_std))
