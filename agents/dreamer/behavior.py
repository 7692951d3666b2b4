"""The behaviour: imagine, score, improve the actor and the critic.

B batch, T time, N = B*K starts of imagination, H imagined steps, A action dimensions, F features. Imagination is
time-major, so that cutting off its last state copies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agents.dreamer.returns import lambda_return, replay_return
from agents.dreamer.rssm import Latents
from agents.dreamer.world_model import Statistics, WorldModel

Scored = tuple[dict[str, Tensor], dict[str, Tensor], Statistics]


class Behavior(nn.Module):
    """Actor, critic and the critic's slow copy. The statistics that normalise them come in and go out, unchanged inside."""

    def __init__(
        self,
        *,
        actor: nn.Module,
        critic: nn.Module,
        slow_critic: nn.Module,
        action_uniforms: int,
        steps: int,
        lam: float,
        entropy: float,
        horizon: Any,
        starts: Any,
        actor_grad: Any,
        return_scale: Any,
        advantage: Any,
        value_norm: Any,
        slow: Any,
        repval_grad: Any,
    ) -> None:
        super().__init__()
        self.actor, self.critic, self.slow_critic = actor, critic, slow_critic
        self._action_uniforms, self._steps, self._lam, self._entropy = action_uniforms, steps, lam, entropy
        self._horizon, self._starts, self._actor_grad = horizon, starts, actor_grad
        self._return_scale, self._advantage, self._value_norm = return_scale, advantage, value_norm
        self._slow, self._repval_grad = slow, repval_grad
        self._on_returns = {"return_scale": return_scale, "value_norm": value_norm}

    def statistics(self) -> Statistics:
        """Every normaliser's state at its start."""
        return {name: part.state() for name, part in {**self._on_returns, "advantage": self._advantage}.items()}

    def losses(self, world: WorldModel, seq: Latents, data: Mapping[str, Tensor], stats: Statistics, sampler: Any) -> Scored:
        """Losses, metrics and the statistics after this batch."""
        feat, actions = self.imagine(world, seq, sampler)  # (H+1, N, F), (H, N, A)

        # Score: what the imagined states are worth, without gradient but for the critic's own prediction.
        dist = self.critic(feat[:-1].detach())
        with self._actor_grad.gradient_context(world, self):
            reward, cont, slow = world.reward(feat).mean, world.cont(feat).mean, self.slow_critic(feat).mean
            pred = self._actor_grad.predict_values(self.critic, feat, dist)
            value, slow_value = (self._value_norm.denormalize(stats["value_norm"], x) for x in (pred, slow))
            value = self._slow.baseline(value, slow_value)
            returns = lambda_return(reward, self._horizon.step_discount(cont), value, self._lam)  # (H, N)
            weight = self._horizon.trajectory_weight(cont).detach()

            # Normalise: every statistic sees this batch before it is used.
            stats = stats | {name: part.update(stats[name], returns) for name, part in self._on_returns.items()}
            scale = self._return_scale.scale(stats["return_scale"])
            advantage = (returns - value[:-1]) / scale
            stats = stats | {"advantage": self._advantage.update(stats["advantage"], advantage)}
            normed = self._advantage.normalize(stats["advantage"], advantage)

        # Improve.
        policy = self.actor(feat[:-1].detach())
        entropy = policy.entropy()
        gain = self._actor_grad.objective(policy.log_prob(actions.detach()), normed) + self._entropy * entropy
        target = self._value_norm.normalize(stats["value_norm"], returns)
        fit = self._slow.loss(dist, target, slow[:-1])
        shape = (len(seq.deter), -1)
        losses = {
            "policy": -(weight[:-1] * gain).mean(0).unflatten(0, shape),
            "value": (weight[:-1] * fit).mean(0).unflatten(0, shape),
            "replay_value": self._replay_loss(seq, data, returns[0].unflatten(0, shape), stats),
        }
        metrics = {
            "behavior/entropy": entropy.mean(),
            "behavior/return": returns.mean(),
            "behavior/return_max": returns.max(),
            "behavior/return_min": returns.min(),
            "behavior/advantage": advantage.mean(),
            "behavior/advantage_std": advantage.std(correction=0),
            "behavior/value": value.mean(),
            "behavior/slow_value": slow_value.mean(),
            "behavior/reward": reward.mean(),
            "behavior/cont": cont.mean(),
            "behavior/weight": weight.mean(),
            "behavior/normed_std": normed.std(correction=0),
            "return_scale/scale": scale,
        } | {f"actor/{name}": value for name, value in policy.diagnostics().items()}
        return losses, metrics, stats

    def imagine(self, world: WorldModel, seq: Latents, sampler: Any) -> tuple[Tensor, Tensor]:
        """Follow the policy inside the model from the states of a sequence -> feat (H+1, N, F), actions (H, N, A).

        Whether a gradient passes the dynamics is the actor gradient's choice; none reaches the world's weights.
        """
        start = Latents(self._starts.select(seq.deter), self._starts.select(seq.stoch))

        def policy(feat: Tensor, sampler: Any) -> Tensor:
            return self._actor_grad.sample_action(self.actor(feat.detach()), sampler)

        with self._actor_grad.gradient_context(world):
            return world.rssm.imagine(start.flatten(), policy, self._steps, sampler, self._action_uniforms)

    def _replay_loss(self, seq: Latents, data: Mapping[str, Tensor], boot: Tensor, stats: Statistics) -> Tensor:
        """Critic loss on the replayed steps but the last, bootstrapped from imagination: boot (B, K) -> (B, K-1)."""
        reward, last, terminal = (self._starts.select(data[key]) for key in ("reward", "is_last", "is_terminal"))
        returns = replay_return(reward, last, terminal, boot, self._horizon.gamma, self._lam)
        feat = self._repval_grad(self._starts.select(seq.feat))[:, :-1]
        with torch.no_grad():
            slow = self.slow_critic(feat).mean
        target = self._value_norm.normalize(stats["value_norm"], returns)
        return self._slow.loss(self.critic(feat), target, slow) * ~last[:, :-1]

    def follow(self, ok: Tensor) -> None:
        """Let the slow critic follow the critic, where `ok` says that the update counted."""
        self._slow.update_slow_weights(list(self.slow_critic.parameters()), list(self.critic.parameters()), ok)
