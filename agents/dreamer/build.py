"""Config + Spec -> Dreamer: the one switchboard. Everything it builds receives objects by keyword."""

from __future__ import annotations

import copy
from functools import partial
from math import prod
from typing import Any

import torch
from torch import nn

from agents.device import check_compiler, resolve
from agents.dreamer.actions import Continuous, Discrete
from agents.dreamer.agent import Dreamer
from agents.dreamer.behavior import Behavior
from agents.dreamer.config import Config
from agents.dreamer.decoder import Decoder, ImageDecoder, VectorDecoder
from agents.dreamer.encoder import Encoder, ImageEncoder, OneHot, TransformedVector, VectorEncoder
from agents.dreamer.rssm import RSSM, Posterior
from agents.dreamer.world_model import WorldModel
from agents.lazy import Lazy
from agents.nn.dists import Bernoulli, BoundedNormal, Categorical, IndexCategorical, SquaredVector
from agents.nn.launch import Direct, Recorded
from agents.nn.layers import MLP, Dense, Head, Linear, TwinLinear
from agents.nn.memory import keep_blocks
from agents.protocol import Space, Spec

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


def dreamer(
    config: Config, spec: Spec, *, seed: int, device: str, precision: str, threads: int, compile: bool, updates: int
) -> Dreamer:
    """The agent, its weights drawn from `seed`; `updates` are those of the whole run."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    torch.set_num_threads(threads)
    keep_blocks()
    place, dtype = torch.device(resolve(device)), PRECISIONS[precision]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        world, behavior = (module.to(place) for module in modules(config, spec, updates))
        config.trained.freeze(world, behavior)
        if compile:
            check_compiler(place.type)
            Lazy.arrive()
            for part in world.modules():
                if hasattr(part, "compile_steps"):
                    part.compile_steps()
        noise = int(torch.randint(2**62, ()))  # the stream of sampling is not the stream of the weights
    generator = torch.Generator(place).manual_seed(noise)
    return Dreamer(
        world=world,
        behavior=behavior,
        optimizer=config.optimizer.build(learned(world, behavior)),
        weights=loss_weights(config, spec),
        action=action_of(spec),
        replay_context=config.replay_context,
        reward_transform=config.reward_transform,
        generator=generator,
        autocast=partial(torch.autocast, place.type, dtype=dtype, enabled=dtype is not None),
        launch=Recorded(place, generator) if place.type == "cuda" else Direct(),
        device=place,
        deter=config.deter,
        obs=tuple(sorted(spec.obs)),
    )


def modules(config: Config, spec: Spec, updates: int = 1) -> tuple[WorldModel, Behavior]:
    """The networks on the default device (`meta` to count them only)."""
    return _world_model(config, spec, updates), _behavior(config, spec)


def learned(world: nn.Module, behavior: nn.Module) -> dict[str, nn.Parameter]:
    """What the optimiser moves: everything but the slow critic."""
    named = nn.ModuleDict({"world": world, "behavior": behavior}).named_parameters()
    return {name: p for name, p in named if p.requires_grad}


def loss_weights(config: Config, spec: Spec) -> dict[str, float]:
    """Weight of every named loss."""
    weights = config.weights
    named = {"reward": weights.reward, "cont": weights.cont, "policy": weights.policy, "value": weights.value}
    recon = {f"recon_{key}": weights.recon for key in spec.obs}
    return named | recon | dict(config.kl.weights) | {"replay_value": config.replay_value.weight}


def action_of(spec: Spec) -> Discrete | Continuous:
    if spec.action.discrete:
        return Discrete(spec.action.classes)
    return Continuous(tuple(spec.action.shape))


def _size(space: Space) -> int:
    return prod(space.shape)


def _feat(config: Config) -> int:
    return config.deter + config.latent.width


def _layer(config: Config) -> dict[str, Any]:
    """What every hidden layer is made with."""
    return {"norm": config.norm.build, "act": config.act}


def _split(spec: Spec) -> tuple[dict[str, Space], dict[str, Space]]:
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
        cont=Head(MLP(_feat(config), config.units, config.layers.cont, **_layer(config)), Linear(config.units, 1), Bernoulli),
        kl=config.kl.build(updates, config.latent.kl_bound),
        horizon=config.discount,
        recon_grad=config.recon_grad,
        reward_grad=config.reward_grad,
    )


def _behavior(config: Config, spec: Spec) -> Behavior:
    critic = _scalar_head(config, config.value, config.layers.critic)
    return Behavior(
        actor=_actor(config, spec),
        critic=critic,
        slow_critic=copy.deepcopy(critic).requires_grad_(False),
        action_uniforms=action_of(spec).num_uniforms,
        steps=config.horizon,
        lam=config.lam,
        entropy=config.actor.entropy,
        horizon=config.discount,
        starts=config.starts,
        actor_grad=config.actor_grad,
        return_scale=config.return_scale,
        advantage=config.advantage,
        value_norm=config.value_norm,
        slow=config.slow_critic,
        repval_grad=config.repval_grad,
    )


def _encoder(config: Config, spec: Spec) -> Encoder:
    images, vectors = _split(spec)
    parts: dict[str, nn.Module] = {}
    if vectors:
        read = {k: OneHot(s.classes) if s.discrete else TransformedVector(config.squash) for k, s in vectors.items()}
        width = sum(space.classes or _size(space) for space in vectors.values())
        parts["vector"] = VectorEncoder(read, width, units=config.units, layers=config.layers.encoder, **_layer(config))
    if images:
        parts["image"] = ImageEncoder(images, depths=_depths(config), **_layer(config))
    return Encoder(parts)


def _depths(config: Config) -> list[int]:
    return [config.depth * multiplier for multiplier in config.multipliers]


def _rssm(config: Config, spec: Spec, *, embed: int) -> RSSM:
    latent, hidden, layer = config.latent, config.hidden, _layer(config)
    core = config.core.build(deter=config.deter, stoch=latent.width, actions=action_of(spec).width, hidden=hidden, **layer)
    prior = nn.Sequential(MLP(config.deter, hidden, config.layers.prior, **layer), Linear(hidden, latent.outputs))
    posterior = Posterior(config.deter, Dense(config.deter + embed, hidden, **layer), Linear(hidden, latent.outputs))
    return RSSM(core=core, prior=prior, posterior=posterior, latent=latent)


def _decoder(config: Config, spec: Spec) -> Decoder:
    images, vectors = _split(spec)
    parts: dict[str, nn.Module] = {}
    if vectors:
        heads = {key: _vector_head(config, space) for key, space in vectors.items()}
        parts["vector"] = VectorDecoder(
            _feat(config), heads, units=config.units, layers=config.layers.decoder, **_layer(config)
        )
    if images:
        parts["image"] = ImageDecoder(
            images,
            deter=config.deter,
            stoch=config.latent.width,
            units=config.units,
            depths=_depths(config),
            blocks=config.decoder_blocks,
            **_layer(config),
        )
    return Decoder(parts)


def _vector_head(config: Config, space: Space) -> Head:
    readout = IndexCategorical if space.discrete else partial(SquaredVector, transform=config.squash)
    return Head(nn.Identity(), Linear(config.units, space.classes or _size(space)), readout)


def _scalar_head(config: Config, target: Any, layers: int) -> Head:
    trunk = MLP(_feat(config), config.units, layers, **_layer(config))
    return Head(trunk, Linear(config.units, target.outputs, target.outscale), target.readout())


def _actor(config: Config, spec: Spec) -> Head:
    actor = config.actor
    trunk = MLP(_feat(config), config.units, actor.layers, **_layer(config))
    if spec.action.discrete:
        readout = partial(Categorical, unimix=actor.unimix)
        return Head(trunk, Linear(config.units, spec.action.classes, actor.outscale), readout)
    readout = partial(BoundedNormal, min_std=actor.min_std, max_std=actor.max_std)
    return Head(trunk, TwinLinear(config.units, _size(spec.action), actor.outscale), readout)
