"""Measures one update of an agent as named arrays, so that two configurations can be compared.

Weights are a function of their own name and shape, and the batch and the random numbers are fixed, so that two agents
differ in what is switched and in nothing else. Two regimes, because some switches act on small KL and returns only, others
on large.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from agents.dreamer.agent import Dreamer, StepResult
from agents.dreamer.build import trainable_parameters
from agents.nn.launch import to_tensors
from agents.nn.sampler import GeneratorSampler
from agents.protocol import Arrays, JointSpace, Space, Spec

B, T, E = 2, 6, 3  # sequences, trained steps, environments
# Scale of the latents' logits; width of what reward and value predict / number of bins.
REGIMES = {"early": (0.6, 0.01), "late": (1.0, 0.3)}
LATENT_OUTPUTS = ("world.rssm.posterior.output", "world.rssm.prior.1")
SCALAR_OUTPUTS = ("world.reward.output", "behavior.critic.output", "behavior.slow_critic.output")


def measure(agent: Dreamer, spec: Spec) -> dict[str, tuple[Arrays, dict[str, float]]]:
    """{regime: (arrays, metrics)}: initial weights, actions, loss maps, gradient of every loss, weights after a step.

    The agent is left as it was.
    """
    state = agent.state()
    initial = {"weights": _flatten(p for _, p in named_weights(agent))}
    measures = {}
    for regime, (logit_scale, width) in REGIMES.items():
        set_test_weights(agent, logit_scale, width)
        arrays, metrics = _measure_step(agent, spec)
        measures[regime] = ({name: x.detach().numpy() for name, x in (initial | arrays).items()}, metrics)
        agent.load(state)
    return measures


@torch.no_grad()
def set_test_weights(agent: Dreamer, logit_scale: float, width: float) -> None:
    """Weights as after some training: none is zero, and KL and predicted numbers have a certain size."""
    for name, p in named_weights(agent):
        noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(crc32(name.encode())))
        if p.ndim > 1:
            p.copy_(noise / p[0].numel() ** 0.5)
        else:
            p.add_(0.1 * noise)
    for name, p in named_weights(agent):
        if name.startswith(LATENT_OUTPUTS):
            p.mul_(logit_scale)
        if name.endswith(".bias") and name.startswith(SCALAR_OUTPUTS) and p.numel() > 1:
            bin_place = torch.linspace(-0.5, 0.5, p.numel())
            p.copy_(-((bin_place / width) ** 2) / 2)


def _measure_step(agent: Dreamer, spec: Spec) -> tuple[dict[str, Tensor], dict[str, float]]:
    rng = np.random.default_rng(0)
    carry, action, _ = agent.act(agent.initial(E), _observations(spec, (E,), rng), _uniforms(E, agent.num_uniforms))
    start, batch = agent.prepare_batch(to_tensors(replayed_batch(agent, spec)))
    result = agent.loss(start, batch, _sampler())
    arrays = {"act": torch.cat([torch.from_numpy(x).flatten().float() for x in (action, carry["deter"])])}
    arrays |= {f"loss/{name}": loss for name, loss in result.losses.items()} | {"loss/total": result.total}
    arrays |= {f"grad/{name}": x for name, x in loss_gradients(agent, result).items()}
    before = _flatten(p for _, p in named_weights(agent))
    for _ in range(2):  # the first update of a warm-up has learning rate zero
        _, _, optimizer_metrics = agent.update(start, batch, _sampler())
    arrays["step"] = _flatten(p for _, p in named_weights(agent)) - before
    norms = {f"norm/{name}": x.norm() for name, x in arrays.items() if name.startswith("grad/")}
    return arrays, {name: float(x) for name, x in (result.metrics | optimizer_metrics | norms).items()}


def loss_gradients(agent: Dreamer, result: StepResult) -> dict[str, Tensor]:
    """Every loss's own gradient to all weights, flat, weighted as in the total."""
    params = list(trainable_parameters(agent.world, agent.behavior).values())
    gradients = {}
    for name, loss in result.losses.items():
        weighted = agent.weighted_sum({name: loss})
        grads: Sequence[Tensor | None] = [None] * len(params)
        if weighted.requires_grad:  # otherwise the loss reaches nothing that learns
            grads = torch.autograd.grad(weighted, params, retain_graph=True, allow_unused=True)
        gradients[name] = _flatten(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads, strict=True))
    return gradients


def replayed_batch(agent: Dreamer, spec: Spec) -> Arrays:
    """A replayed batch (B, 1 + T, ...) with ends, beginnings, rewards of several sizes and stored latents."""
    shape, rng = (B, 1 + T), np.random.default_rng(1)
    batch = _observations(spec, shape, rng) | {"action": _values(spec.action, shape, rng)}
    batch["reward"] = (rng.normal(size=shape) * 3).astype(np.float32)
    for key, step in (("is_last", 2), ("is_terminal", 2), ("is_first", 3)):
        batch[key] = np.zeros(shape, bool)
        batch[key][0, step] = True
    latent_rng = np.random.default_rng(2)  # apart, so that the rest does not depend on what an agent stores
    return batch | {key: _values(space, shape, latent_rng) for key, space in agent.extra_spaces.items()}


def _observations(spec: Spec, shape: tuple[int, ...], rng: np.random.Generator) -> Arrays:
    return {key: _values(space, shape, rng) for key, space in spec.entries.items()} | {"is_first": np.zeros(shape, bool)}


def _values(space: Space, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    full_shape = (*shape, *space.shape)
    if isinstance(space, JointSpace):
        return space.join({name: _values(part, shape, rng) for name, part in space.parts.items()})
    if space.discrete:
        return rng.integers(0, space.classes, full_shape).astype(space.dtype)
    if space.image:
        return rng.integers(0, 256, full_shape, dtype=np.uint8)
    if space.dtype == "uint8":
        return rng.integers(0, 2, full_shape, dtype=np.uint8)  # stored classes: every categorical has at least two
    if space.dtype == "uint16":
        return torch.from_numpy(rng.normal(size=full_shape)).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    return np.clip(rng.normal(size=full_shape) * 3, -10, 10).astype(space.dtype)


def _uniforms(rows: int, count: int) -> np.ndarray:
    return np.random.default_rng(3).random((rows, count))  # float64, as the harness gives them


def _sampler() -> GeneratorSampler:
    return GeneratorSampler(torch.Generator().manual_seed(0))


def named_weights(agent: Dreamer) -> list[tuple[str, nn.Parameter]]:
    """Every weight, the slow critic's included."""
    return list(nn.ModuleDict({"world": agent.world, "behavior": agent.behavior}).named_parameters())


def _flatten(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([x.detach().flatten() for x in tensors])
