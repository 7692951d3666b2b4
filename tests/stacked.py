"""What several seeds cost as one stacked model, beside separate updates:

python tests/stacked.py [--size nano] [--obs vector] [--seeds 4] [--threads 1] [--rounds 7]

The stack is a prototype: the weights of all seeds are rows of one tensor, `loss` runs once under `torch.vmap`, one backward
pass serves all, and each agent's own optimiser and statistics finish its update. Three updates are compared with separate
agents' first. Then, in turn: K updates, the stacked one, and one agent on K batches at once, whose weights are shared:
the same elementwise work and fewer, larger products. Last, the stack beside two processes that share the K updates.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from agents.dreamer.agent import Dreamer
from agents.dreamer.rssm import Latents
from agents.nn import conv, dists, layers
from agents.nn.launch import to_tensors
from agents.nn.optim import split_flat
from agents.nn.sampler import BELOW_ONE, TINY, UniformSampler, categorical_from_uniform
from agents.protocol import Arrays
from harness import build, study
from harness.bench.train import BATCH, SPECS, random_batch


def per_seed(stacked):
    """A function for use inside `vmap`: `stacked` computes all seeds' results, their axis in front."""

    class Rule(torch.autograd.Function):
        forward = setup_context = staticmethod(lambda *_: None)

        @staticmethod
        def vmap(info, in_dims, *args):
            return stacked(*(x if d is None else x.movedim(d, 0) for x, d in zip(args, in_dims, strict=True))), 0

    return Rule.apply


class RmsNorm(torch.autograd.Function):
    """`functional.rms_norm` of x (K, ..., n) with scale (K, n)."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        rows, scale = x.flatten(1, -2), scale.unsqueeze(1)
        inverse = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
        unit = rows * inverse
        ctx.save_for_backward(unit, inverse, scale)
        return (unit * scale).view(x.shape)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, scale = ctx.saved_tensors
        rows = grad.reshape(unit.shape)
        product = rows * unit
        along = torch.bmm(product, scale.mT)
        inner = torch.addcmul(rows * scale, unit, along, value=-1 / unit.shape[-1]).mul_(inverse)
        return inner.view(grad.shape), product.sum(1), None


class PrefetchedSampler:
    """One step's numbers, drawn when the first tensor comes that all seeds have."""

    def __init__(self, fill: Callable[[Tensor], Tensor]) -> None:
        self._fill, self._uniform_sampler = fill, None

    def _from(self, like: Tensor) -> UniformSampler:
        self._uniform_sampler = self._uniform_sampler or UniformSampler(self._fill(like))
        return self._uniform_sampler

    def categorical(self, probs: Tensor) -> Tensor:
        return self._from(probs).categorical(probs)

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return self._from(mean).normal(mean, std)

    def uniform(self, like: Tensor) -> Tensor:
        return self._from(like).uniform(like)


class StackedSampler:
    """Every seed's numbers from its own generator, in the order of its own run."""

    def __init__(self, generators: list[torch.Generator]) -> None:
        def from_every_generator(fill):
            return per_seed(lambda x: torch.stack([fill(torch.empty(x.shape[1:]), generator=g) for g in generators]))

        self._uniform, self._normal = from_every_generator(Tensor.uniform_), from_every_generator(Tensor.normal_)

    def prefetch(self, rows: int, count: int) -> PrefetchedSampler:
        return PrefetchedSampler(lambda like: self._uniform(like.new_empty(rows, count)))

    def categorical(self, probs: Tensor) -> Tensor:
        return categorical_from_uniform(probs, self._uniform(probs[..., 0]))

    def normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + std * self._normal(mean)

    def uniform(self, like: Tensor) -> Tensor:
        return self._uniform(like).clamp(TINY, BELOW_ONE)


class Stack(nn.Module):
    """K agents of one configuration, updated as one. Their weights and gradients become rows of shared tensors."""

    def __init__(self, agents: list[Dreamer]) -> None:
        super().__init__()
        self.agents, self.sampler = agents, StackedSampler([agent._runtime.generator for agent in agents])
        self.world, self.behavior = agents[0].world, agents[0].behavior
        self.leaves, self.grads = {}, torch.stack([agent.optimizer._grads for agent in agents])
        weights = torch.stack([agent.optimizer._weights for agent in agents])
        weights_by_agent = [dict(nn.ModuleDict({"world": a.world, "behavior": a.behavior}).named_parameters()) for a in agents]
        offset = 0
        for name in agents[0].optimizer._params:
            shape, size = weights_by_agent[0][name].shape, weights_by_agent[0][name].numel()
            leaf, grad = (x[:, offset : offset + size].view(-1, *shape) for x in (weights, self.grads))
            for by_name, w, g in zip(weights_by_agent, leaf, grad, strict=True):
                by_name[name].data, by_name[name].grad = w, g
            self.leaves[name] = leaf.requires_grad_()
            leaf.grad, offset = grad, offset + size
        for name in weights_by_agent[0].keys() - self.leaves.keys():
            self.leaves[name] = torch.stack([by_name[name].data for by_name in weights_by_agent])
            for by_name, w in zip(weights_by_agent, self.leaves[name], strict=True):
                by_name[name].data = w
        for agent, w, g in zip(agents, weights, self.grads, strict=True):
            agent.optimizer._weights, agent.optimizer._grads = w, g
            agent.optimizer._grad_views = list(split_flat(g, agent.optimizer._params).values())

    def forward(self, start: tuple[Tensor, Tensor], data: dict[str, Any], statistics: dict[str, Any]) -> tuple[Any, ...]:
        first = self.agents[0]
        own_statistics, first._statistics = first._statistics, statistics
        result = first.loss(Latents(*start), data, self.sampler)
        first._statistics = own_statistics
        return result.total, result.metrics, result.statistics, (result.latents.deter, result.latents.stoch)

    def learn(self, batches: list[Arrays]) -> list[dict[str, Tensor]]:
        """One update of every agent -> its metrics."""
        tensors = [to_tensors(batch) for batch in batches]
        prepared = [agent.prepare_batch(replayed) for agent, replayed in zip(self.agents, tensors, strict=True)]
        inputs = [
            ((start.deter, start.stoch), data, agent._statistics)
            for (start, data), agent in zip(prepared, self.agents, strict=True)
        ]
        self.grads.zero_()
        stacked = tree_map(lambda *x: torch.stack(x), *inputs)
        results = vmap(lambda leaves, *x: functional_call(self, leaves, x))(self.leaves, *stacked)
        results[0].sum().backward()
        metrics = []
        for k, agent in enumerate(self.agents):
            total, loss_metrics, statistics, latents = tree_map(lambda x, k=k: x[k].detach(), results)
            accepted, optimizer_metrics = agent.optimizer.step(total)
            agent._apply_statistics(accepted, statistics)
            agent._refresh_latents(Latents(*latents), accepted, tensors[k])
            metrics.append(loss_metrics | optimizer_metrics)
        return metrics


def allow_stacks() -> None:
    """Give the agent's own functions a rule for `vmap`; outside of it they stay what they are."""
    inside = torch._C._functorch.is_batchedtensor

    def either(plain, stacked):
        rule = per_seed(stacked)
        return lambda x, *rest: rule(x, *rest) if inside(x) else plain(x, *rest)

    layers.rms_norm = either(layers.rms_norm, RmsNorm.apply)
    linear = layers.linear
    layers.linear = lambda x, *rest: (F.linear if inside(x) else linear)(x, *rest)
    dists.mixed_softmax = either(dists.mixed_softmax, dists.mixed_softmax)
    dists._TwoHotNll.apply = either(dists._TwoHotNll.apply, dists._TwoHotNll.apply)
    dists._PixelError.apply = either(dists._PixelError.apply, dists._PixelError.apply)
    pool = conv._MaxPool.apply
    conv._MaxPool.apply = either(pool, lambda x: pool(x.flatten(0, 1)).unflatten(0, (len(x), -1)))


def agent_of(options: argparse.Namespace, seed: int, threads: int) -> Dreamer:
    run = study.single("counter/vector", size=options.size, seed=seed, compile=False, changes={"env.envs": 1})
    return build.agent(run, SPECS[options.obs], device="cpu", threads=threads)


def batches_of(options: argparse.Namespace, agent: Dreamer, count: int, size: int = BATCH) -> list[Arrays]:
    return [random_batch(agent, SPECS[options.obs], np.random.default_rng(seed), size=size) for seed in range(count)]


def compare(options: argparse.Namespace) -> None:
    """Three updates, separate and stacked: relative differences of loss, gradients and weights, median and largest."""
    alone, other = ([agent_of(options, seed, options.threads) for seed in range(options.seeds)] for _ in range(2))
    stack, data = Stack(other), batches_of(options, alone[0], options.seeds)
    for update in range(1, 4):
        stack_metrics, differences = stack.learn(data), {"loss": [], "gradients": [], "weights": []}
        for one, two, replayed, metrics in zip(alone, other, data, stack_metrics, strict=True):
            differences["loss"].append(abs(float(metrics["loss/total"]) / one.learn(replayed)[0]["loss/total"] - 1))
            for name, key in (("gradients", "_grads"), ("weights", "_weights")):
                x, y = (getattr(agent.optimizer, key) for agent in (one, two))
                differences[name].append(float((x - y).norm() / x.norm()))
        texts = (f"{name} {statistics.median(values):.1e} (max {max(values):.1e})" for name, values in differences.items())
        print(f"update {update}, relative difference: {', '.join(texts)}")


_worker_state: list[Any] = []  # what a process of the pack updates


def _start(options: argparse.Namespace) -> None:
    agent = agent_of(options, 0, 1)
    _worker_state.extend([agent, batches_of(options, agent, 1)[0]])
    _update(1)


def _update(count: int) -> None:
    for _ in range(count):
        _worker_state[0].learn(_worker_state[1])


def measure(options: argparse.Namespace) -> None:
    """Median seconds per round, all in turn."""
    alone, other = ([agent_of(options, seed, options.threads) for seed in range(options.seeds)] for _ in range(2))
    large, stack, data = agent_of(options, 0, options.threads), Stack(other), batches_of(options, alone[0], options.seeds)
    larger = batches_of(options, large, 1, size=BATCH * options.seeds)[0]
    jobs = {
        "separate": lambda: [agent.learn(replayed) for agent, replayed in zip(alone, data, strict=True)],
        "stacked": lambda: stack.learn(data),
        "one on all batches": lambda: large.learn(larger),
    }
    with get_context("spawn").Pool(2, _start, (options,)) as pool:
        jobs["two processes"] = lambda: pool.map(_update, [options.seeds // 2] * 2, 1)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        for _ in range(options.rounds + 1):
            for name, job in jobs.items():
                wall, cpu = time.perf_counter(), time.process_time()
                job()
                seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = ({name: statistics.median(x[i] for x in times[1:]) for name, times in seconds.items()} for i in range(2))
    for name in jobs:
        line = f"{name}: {wall[name]:.2f} s ({wall[name] / wall['separate']:.2f} of separate)"
        here = f", processor time {cpu[name]:.2f} s ({cpu[name] / cpu['separate']:.2f})"
        print(line + here * (name != "two processes"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="nano")
    parser.add_argument("--obs", choices=SPECS, default="vector")
    for flag, default in (("--seeds", 4), ("--threads", 1), ("--rounds", 7)):
        parser.add_argument(flag, type=int, default=default)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # operators that vmap runs seed by seed: two small ones
    allow_stacks()
    compare(options)
    measure(options)
