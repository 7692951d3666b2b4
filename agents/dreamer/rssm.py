"""The recurrent state-space model: one step, a scan over a sequence, a roll-out of imagination.

B batch, T time, N rows, D deter, S latents, C classes, E embed, A action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.nn.functional import cast, compiled
from agents.nn.layers import Dense, Linear

Step = Callable[..., tuple[Tensor, ...]]
Policy = Callable[[Tensor, Any], Tensor]
Followed = tuple[Tensor, Tensor, tuple[Tensor, ...]]
Rolled = tuple[Tensor, Tensor, list[Tensor], list[Tensor]]
# Steps of a sequence, and of imagination, in one compiled graph: more are fewer calls, and longer compilation.
FOLLOWED, IMAGINED = 2, 3


@dataclass(frozen=True)
class Latents:
    """States with any batch shape; logits of the posterior where there is one."""

    deter: Tensor  # (..., D)
    stoch: Tensor  # (..., S, C)
    post: Tensor | None = None  # (..., S*C) raw logits

    @property
    def feat(self) -> Tensor:
        """What every head reads: (..., D + S*C)."""
        return torch.cat([self.deter, self.stoch.flatten(-2)], -1)

    def flatten(self) -> Latents:
        """Batch and time as one axis, without gradient."""
        return Latents(self.deter.detach().flatten(0, 1), self.stoch.detach().flatten(0, 1))


class Posterior(nn.Module):
    """(deter, embed) -> logits: one hidden layer."""

    def __init__(self, deter: int, hidden: Dense, output: Linear) -> None:
        super().__init__()
        self._deter = deter
        self.hidden, self.output = hidden, output

    def drive(self, embed: Tensor) -> Tensor:
        """What the embeddings (..., E) add to the hidden layer: it does not depend on the state."""
        weight = self.hidden.linear.weight[:, self._deter :]
        return nn.functional.linear(embed, weight, self.hidden.linear.bias).float()

    def ready(self) -> Callable[[Tensor, Tensor], Tensor]:
        """One step, as a function of deter (N, D) and drive; the weight is split once (see BlockGRU.ready)."""
        weight = cast(self.hidden.linear.weight[:, : self._deter]).t()
        return lambda deter, drive: self.output(self.hidden.finish(torch.addmm(drive, cast(deter), weight))).float()


class RSSM(nn.Module):
    """deter' = core(deter, stoch, action); prior from deter alone, posterior from deter and embed."""

    def __init__(self, *, core: nn.Module, prior: nn.Sequential, posterior: Posterior, latent: Any) -> None:
        super().__init__()
        self.core, self.prior, self.posterior = core, prior, posterior
        self.latent = latent
        self._followed = self._imagined = 0  # steps in one call; 0: all

    def compile_steps(self) -> None:
        """From now on learning calls compiled steps: one graph per scan, made once, because a whole scan takes minutes."""
        self._followed, self._imagined = FOLLOWED, IMAGINED
        # On a CPU what calls the kernels is C++ too: in Python the calls of 16 rows take as long as what they call.
        options = {"cpp_wrapper": next(self.parameters()).is_cpu}
        self._follow, self._roll = compiled(self._follow, **options), compiled(self._roll, **options)

    def observe(self, start: Latents, embed: Tensor, action: Tensor, first: Tensor, sampler: Any) -> Latents:
        """Follow a sequence: embed (B, T, E), previous actions (B, T, A), is_first (B, T) -> latents (B, T, ...).

        Where a step is the first of its episode, the state before it and the action before it count as zero.
        """
        keep = (~first).float().unsqueeze(-1)  # (B, T, 1)
        inputs = keep, self.core.drive(action * keep), self.posterior.drive(embed)
        ready, made = (self.core.ready(), self.posterior.ready()), [start.deter, start.stoch]
        if self._followed and torch.is_grad_enabled():  # as in all later states, so that one graph serves all
            made = [x.requires_grad_() for x in made]
        chunks = []
        for chunk in zip(*(x.split(self._followed or first.shape[1], 1) for x in inputs), strict=True):
            samplers = [sampler.prefetch(len(first), self.latent.num_uniforms) for _ in range(chunk[0].shape[1])]
            *made, states = self._follow(ready, made, chunk, samplers)
            chunks.append(states)
        return Latents(*(torch.cat(x, 1) for x in zip(*chunks, strict=True)))

    def _follow(
        self, ready: tuple[Step, Step], made: Sequence[Tensor], inputs: Sequence[Tensor], samplers: list[Any]
    ) -> Followed:
        """Some steps of a sequence -> deter, stoch, and all states on the way."""
        (core, posterior), (deter, stoch), states = ready, made, []
        for kept, act, obs, sampler in zip(*(x.unbind(1) for x in inputs), samplers, strict=True):
            deter = core(deter * kept, stoch.flatten(-2) * kept, act)
            post = posterior(deter, obs)
            stoch = self.latent.sample(post, sampler)
            states.append((deter, stoch, post))
        return deter, stoch, tuple(torch.stack(x, 1) for x in zip(*states, strict=True))

    def imagine(self, start: Latents, policy: Policy, steps: int, sampler: Any, action_uniforms: int) -> tuple[Tensor, Tensor]:
        """Roll the prior forward under `policy` from N rows -> feat (steps+1, N, F), actions.

        The first state is `start`; actions are (steps, N, A), each chosen in the state of the same index. `policy` takes
        feat and the step's sampler, from which it takes `action_uniforms` numbers, to an action.
        """
        core, moved = self.core.ready(), (start.deter, start.stoch)
        feats, actions = [cast(start.feat)], []
        while len(actions) < steps:
            ahead = min(self._imagined or steps, steps - len(actions))
            samplers = [sampler.prefetch(len(start.deter), action_uniforms + self.latent.num_uniforms) for _ in range(ahead)]
            *moved, chosen, seen = self._roll(core, policy, *moved, feats[-1], samplers)
            actions += chosen
            feats += seen
        return torch.stack(feats), torch.stack(actions)

    def _roll(self, core: Step, policy: Policy, deter: Tensor, stoch: Tensor, feat: Tensor, samplers: list[Any]) -> Rolled:
        """Some imagined steps -> deter and stoch after them, the actions, and feat after each."""
        actions, feats = [], []
        for sampler in samplers:
            actions.append(policy(feat, sampler))
            deter = core(deter, stoch.flatten(-2), self.core.drive(actions[-1]))
            stoch = self.latent.sample(self.prior(deter).float(), sampler)
            feat = cast(Latents(deter, stoch).feat)
            feats.append(feat)
        return deter, stoch, actions, feats
