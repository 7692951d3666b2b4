"""The recurrent state-space model: one step, a scan over a sequence, a roll-out of imagination.

B batch, T time, N rows, D deter, S latents, C classes, E embed, A action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.nn.functional import cast, compiled
from agents.nn.layers import Dense, Linear

Step = Callable[..., tuple[Tensor, ...]]
Policy = Callable[[Tensor, Any], Tensor]


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
        self._compiled = False

    def compile_steps(self) -> None:
        """From now on learning calls compiled steps: one graph per scan, made once, because a whole scan takes minutes."""
        self._compiled = True

    def _ready(self, step: Step) -> Step:
        return compiled(step) if self._compiled else step

    def observe(self, start: Latents, embed: Tensor, action: Tensor, first: Tensor, draw: Any) -> Latents:
        """Follow a sequence: embed (B, T, E), previous actions (B, T, A), is_first (B, T) -> latents (B, T, ...).

        Where a step is the first of its episode, the state before it and the action before it count as zero.
        """
        keep = (~first).float().unsqueeze(-1)  # (B, T, 1)
        step = self._ready(self._observed())
        inputs = zip(
            self.core.drive(action * keep).unbind(1), self.posterior.drive(embed).unbind(1), keep.unbind(1), strict=True
        )
        deter, stoch = start.deter, start.stoch
        deters, stochs, posts = [], [], []
        for act_drive, obs_drive, kept in inputs:
            deter, stoch, post = step(deter, stoch, kept, act_drive, obs_drive, draw.ahead(len(deter), self.latent.draws))
            deters.append(deter), stochs.append(stoch), posts.append(post)
        return Latents(torch.stack(deters, 1), torch.stack(stochs, 1), torch.stack(posts, 1))

    def _observed(self) -> Step:
        core, posterior = self.core.ready(), self.posterior.ready()

        def step(
            deter: Tensor, stoch: Tensor, kept: Tensor, act_drive: Tensor, obs_drive: Tensor, draw: Any
        ) -> tuple[Tensor, Tensor, Tensor]:
            deter = core(deter * kept, stoch.flatten(-2) * kept, act_drive)
            post = posterior(deter, obs_drive)
            return deter, self.latent.sample(self.latent.distribution(post), draw), post

        return step

    def imagine(self, start: Latents, policy: Policy, steps: int, draw: Any, draws: int) -> tuple[Tensor, Tensor]:
        """Roll the prior forward under `policy` from N rows -> feat (steps+1, N, F), actions.

        The first state is `start`; actions are (steps, N, A), each chosen in the state of the same index. `policy` takes
        feat and the step's numbers, `draws` of them uniform, to an action.
        """
        step, state = self._ready(self._imagined(policy)), start
        feats, actions = [start.feat], []
        for _ in range(steps):
            drawn = draw.ahead(len(state.deter), draws + self.latent.draws)
            action, feat, *moved = step(state.deter, state.stoch, feats[-1], drawn)
            state = Latents(*moved)
            feats.append(feat), actions.append(action)
        return torch.stack(feats), torch.stack(actions)

    def _imagined(self, policy: Policy) -> Step:
        core = self.core.ready()

        def step(deter: Tensor, stoch: Tensor, feat: Tensor, draw: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            action = policy(feat, draw)
            deter = core(deter, stoch.flatten(-2), self.core.drive(action))
            stoch = self.latent.sample(self.latent.distribution(self.prior(deter).float()), draw)
            return action, Latents(deter, stoch).feat, deter, stoch

        return step
