"""What one step of learning does to an agent, in named arrays: how two configurations are told apart.

Weights are a function of their own name and shape, and the batch and the draws are fixed, so that two agents differ in
what is switched and in nothing else. Two occasions, because some switches act on small KL and returns only, others on large.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from agents.dreamer.agent import Dreamer, Outcome
from agents.dreamer.build import learned
from agents.nn.sampler import GeneratorSampler
from agents.protocol import Arrays, Space, Spec

B, T, E = 2, 6, 3  # sequences, trained steps, environments
# Scale of the latents' logits; width of what reward and value predict / number of bins.
OCCASIONS = {"early": (0.6, 0.01), "late": (1.0, 0.3)}
LATENTS = ("world.rssm.posterior.output", "world.rssm.prior.1")
SCALARS = ("world.reward.output", "behavior.critic.output", "behavior.slow_critic.output")


def measure(agent: Dreamer, spec: Spec) -> dict[str, tuple[Arrays, dict[str, float]]]:
    """{occasion: (arrays, metrics)}: initial weights, actions, loss maps, gradient of every loss, weights after a step.

    The agent is left as it was.
    """
    state = agent.state()
    initial = {"weights": _flat(p for _, p in _named(agent))}
    measured = {}
    for occasion, (sharpness, width) in OCCASIONS.items():
        wear(agent, sharpness, width)
        arrays, metrics = _one_step(agent, spec)
        measured[occasion] = ({name: x.detach().numpy() for name, x in (initial | arrays).items()}, metrics)
        agent.load(state)
    return measured


@torch.no_grad()
def wear(agent: Dreamer, sharpness: float, width: float) -> None:
    """Weights as after some training: none is zero, and KL and predicted numbers have a certain size."""
    for name, p in _named(agent):
        noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(crc32(name.encode())))
        if p.ndim > 1:
            p.copy_(noise / p[0].numel() ** 0.5)
        else:
            p.add_(0.1 * noise)
    for name, p in _named(agent):
        if name.startswith(LATENTS):
            p.mul_(sharpness)
        if name.endswith(".bias") and name.startswith(SCALARS) and p.numel() > 1:
            place = torch.linspace(-0.5, 0.5, p.numel())
            p.copy_(-((place / width) ** 2) / 2)


def _one_step(agent: Dreamer, spec: Spec) -> tuple[dict[str, Tensor], dict[str, float]]:
    rng = np.random.default_rng(0)
    carry, action, _ = agent.act(agent.initial(E), _observed(spec, (E,), rng), _uniforms(E, agent.num_uniforms))
    start, data = agent.unpack(batch(agent, spec))
    outcome = agent.judge(start, data, _sampler())
    arrays = {"act": torch.cat([torch.from_numpy(x).flatten().float() for x in (action, carry["deter"])])}
    arrays |= {f"loss/{name}": loss for name, loss in outcome.losses.items()} | {"loss/total": outcome.total}
    arrays |= {f"grad/{name}": x for name, x in gradients(agent, outcome).items()}
    before = _flat(p for _, p in _named(agent))
    for _ in range(2):  # the first update of a warm-up has learning rate zero
        _, _, counts = agent.improve(start, data, _sampler())
    arrays["step"] = _flat(p for _, p in _named(agent)) - before
    norms = {f"norm/{name}": x.norm() for name, x in arrays.items() if name.startswith("grad/")}
    return arrays, {name: float(x) for name, x in (outcome.metrics | counts | norms).items()}


def gradients(agent: Dreamer, outcome: Outcome) -> dict[str, Tensor]:
    """Every loss's own gradient to all weights, flat, weighted as in the total."""
    params = list(learned(agent.world, agent.behavior).values())
    flat = {}
    for name, loss in outcome.losses.items():
        weighted = agent.weighted({name: loss})
        if not weighted.requires_grad:  # reaches nothing that learns
            flat[name] = _flat(torch.zeros_like(p) for p in params)
            continue
        found = torch.autograd.grad(weighted, params, retain_graph=True, allow_unused=True)
        flat[name] = _flat(torch.zeros_like(p) if g is None else g for p, g in zip(params, found, strict=True))
    return flat


def batch(agent: Dreamer, spec: Spec) -> Arrays:
    """A replayed batch (B, 1 + T, ...) with ends, beginnings, rewards of several sizes and stored latents."""
    shape, rng = (B, 1 + T), np.random.default_rng(1)
    made = _observed(spec, shape, rng) | {"action": _values(spec.action, shape, rng)}
    made["reward"] = (rng.normal(size=shape) * 3).astype(np.float32)
    for key, at in (("is_last", 2), ("is_terminal", 2), ("is_first", 3)):
        made[key] = np.zeros(shape, bool)
        made[key][0, at] = True
    latents = np.random.default_rng(2)  # of their own, so that the rest does not depend on what an agent stores
    return made | {key: _values(space, shape, latents) for key, space in agent.extra_spaces.items()}


def _observed(spec: Spec, shape: tuple[int, ...], rng: np.random.Generator) -> Arrays:
    made = {key: _values(space, shape, rng) for key, space in spec.obs.items()}
    return made | {"is_first": np.zeros(shape, bool)}


def _values(space: Space, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    full = (*shape, *space.shape)
    if space.discrete:
        return rng.integers(0, space.classes, full).astype(space.dtype)
    if space.image:
        return rng.integers(0, 256, full, dtype=np.uint8)
    if space.dtype == "uint8":
        return rng.integers(0, 2, full, dtype=np.uint8)  # stored classes: every categorical has at least two
    if space.dtype == "uint16":
        return torch.from_numpy(rng.normal(size=full)).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    return np.clip(rng.normal(size=full) * 3, -10, 10).astype(space.dtype)


def _uniforms(rows: int, count: int) -> np.ndarray:
    return np.random.default_rng(3).random((rows, count))  # float64, as the harness gives them


def _sampler() -> GeneratorSampler:
    return GeneratorSampler(torch.Generator().manual_seed(0))


def _named(agent: Dreamer) -> list[tuple[str, nn.Parameter]]:
    """Every weight, the slow critic's included."""
    return list(nn.ModuleDict({"world": agent.world, "behavior": agent.behavior}).named_parameters())


def _flat(tensors) -> Tensor:
    return torch.cat([x.detach().flatten() for x in tensors])
