"""The policy over several actions at once: one head each on the same hidden layers. A columns of an action, F features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from agents.dreamer.parts.actor import ActionDistribution
from agents.nn.layers import Head, module_name
from agents.nn.sampler import Sampler


class JointDistribution:
    """Several actions at once, independent of each other in a state: log-probabilities and entropies add up.

    An action (..., A) is the concatenation of `parts`, which take `widths` columns each.
    """

    def __init__(self, parts: Mapping[str, ActionDistribution], widths: Sequence[int]) -> None:
        self._parts, self._widths = parts, list(widths)

    @property
    def mode(self) -> Tensor:
        return torch.cat([part.mode for part in self._parts.values()], -1)

    def sample(self, sampler: Sampler) -> Tensor:
        return torch.cat([part.sample(sampler) for part in self._parts.values()], -1)

    def rsample(self, sampler: Sampler) -> Tensor:
        return torch.cat([part.rsample(sampler) for part in self._parts.values()], -1)

    def log_prob(self, x: Tensor) -> Tensor:
        pairs = zip(self._parts.values(), x.split(self._widths, -1), strict=True)
        return reduce(torch.add, (part.log_prob(action) for part, action in pairs))

    def entropy(self) -> Tensor:
        return reduce(torch.add, (part.entropy() for part in self._parts.values()))

    def diagnostics(self) -> dict[str, Tensor]:
        parts = {name: part.diagnostics() | {"entropy": part.entropy().mean()} for name, part in self._parts.items()}
        return {f"{name}/{key}": x for name, diagnostics in parts.items() for key, x in diagnostics.items()}


class JointActor(nn.Module):
    """A policy over several actions: one trunk, and a head for each action."""

    def __init__(self, trunk: nn.Module, heads: Mapping[str, Head], widths: Sequence[int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({module_name(name): head for name, head in heads.items()})
        self._names, self._widths = list(heads), widths

    def forward(self, feat: Tensor) -> JointDistribution:
        x = self.trunk(feat)
        parts = {name: head(x) for name, head in zip(self._names, self.heads.values(), strict=True)}
        return JointDistribution(parts, self._widths)
