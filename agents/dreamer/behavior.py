"""The behaviour: actor pi_theta(a | s) and critic v_psi(s), trained on states s that the world model imagines.

B batch, T time, N = B*K starts of imagination, H imagined steps, A action dimensions, F features. Imagination is
time-major, so that cutting off its last state copies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.dreamer.parts.actor import ActionDistribution, ActorGradient
from agents.dreamer.parts.critic import SlowCritic
from agents.dreamer.parts.discount import Discount
from agents.dreamer.parts.gradients import GradientGate
from agents.dreamer.parts.normalize import Normalizer
from agents.dreamer.parts.replay import Starts
from agents.dreamer.parts.return_scale import ReturnScale
from agents.dreamer.parts.target import ScalarDistribution
from agents.dreamer.returns import lambda_return, replay_return
from agents.dreamer.rssm import Latents
from agents.dreamer.world_model import Batch, LossTerms, Statistics, WorldModel
from agents.nn.sampler import Sampler


@dataclass(frozen=True)
class BehaviorRules:
    """How actor and critic learn. Hafner et al. 2025, eqs. 4 to 8."""

    imagination_horizon: int  # H
    lam: float  # lambda of the returns
    entropy_weight: float  # eta
    discount: Discount
    starts: Starts
    actor_grad: ActorGradient
    return_scale: ReturnScale
    advantage_norm: Normalizer
    value_norm: Normalizer
    slow_critic: SlowCritic
    repval_grad: GradientGate

    @property
    def return_statistics(self) -> dict[str, ReturnScale | Normalizer]:
        """What keeps running statistics of the returns, by name."""
        return {"return_scale": self.return_scale, "value_norm": self.value_norm}


class Behavior(nn.Module):
    """Actor, critic and the critic's slow copy. The statistics that normalise them come in and go out of `losses`."""

    def __init__(
        self, *, actor: nn.Module, critic: nn.Module, slow_critic: nn.Module, action_uniforms: int, rules: BehaviorRules
    ) -> None:
        """`action_uniforms`: uniform numbers that one action takes."""
        super().__init__()
        self.actor, self.critic, self.slow_critic = actor, critic, slow_critic
        self._action_uniforms, self._rules = action_uniforms, rules

    def statistics(self) -> Statistics:
        """Initial state of every normaliser."""
        normalizers = {**self._rules.return_statistics, "advantage": self._rules.advantage_norm}
        return {name: part.state() for name, part in normalizers.items()}

    def losses(self, world: WorldModel, latents: Latents, batch: Batch, statistics: Statistics, sampler: Sampler) -> LossTerms:
        """The losses of actor and critic. Hafner et al. 2025, eqs. 4 to 7."""
        rules = self._rules

        # Imagine: states s_0 ... s_H and actions a_0 ... a_{H-1}.
        feat, actions = self.imagine(world, latents, sampler)  # (H+1, N, F), (H, N, A)

        # Evaluate: rewards r_k, continuations c_k, values v_k, returns R^lambda_k. `actor_grad` decides whether they have a
        # gradient. The critic's own prediction always has one.
        value_dist: ScalarDistribution = self.critic(feat[:-1].detach())
        with rules.actor_grad.gradient_context(world, self):
            reward, continuation = world.reward(feat).mean, world.cont(feat).mean
            slow_prediction = self.slow_critic(feat).mean
            prediction = rules.actor_grad.predict_values(self.critic, feat, value_dist)
            value, slow_value = (
                rules.value_norm.denormalize(statistics["value_norm"], x) for x in (prediction, slow_prediction)
            )
            value = rules.slow_critic.baseline(value, slow_value)
            returns = lambda_return(reward, rules.discount.step_discount(continuation), value, rules.lam)  # (H, N)
            trajectory_weight = rules.discount.trajectory_weight(continuation).detach()

            # Normalise: advantages (R^lambda_k - v_k) / max(1, S). Every statistic sees this batch before it is used.
            statistics = statistics | {
                name: part.update(statistics[name], returns) for name, part in rules.return_statistics.items()
            }
            scale = rules.return_scale.scale(statistics["return_scale"])
            advantage = (returns - value[:-1]) / scale
            statistics = statistics | {"advantage": rules.advantage_norm.update(statistics["advantage"], advantage)}
            normed_advantage = rules.advantage_norm.normalize(statistics["advantage"], advantage)

        # Actor: L(theta) = -sum_k w_k (A_k ln pi_theta(a_k | s_k) + eta H[pi_theta(. | s_k)]).
        policy: ActionDistribution = self.actor(feat[:-1].detach())
        entropy = policy.entropy()
        log_prob = policy.log_prob(actions.detach())
        actor_objective = rules.actor_grad.objective(log_prob, normed_advantage) + rules.entropy_weight * entropy

        # Critic: L(psi) = -sum_k w_k ln p_psi(R^lambda_k | s_k), here and on the replay.
        target = rules.value_norm.normalize(statistics["value_norm"], returns)
        critic_loss = rules.slow_critic.loss(value_dist, target, slow_prediction[:-1])

        starts = (len(latents.deter), -1)  # N -> (B, K)
        losses = {
            "policy": -(trajectory_weight[:-1] * actor_objective).mean(0).unflatten(0, starts),
            "value": (trajectory_weight[:-1] * critic_loss).mean(0).unflatten(0, starts),
            "replay_value": self._replay_loss(latents, batch, returns[0].unflatten(0, starts), statistics),
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
            "behavior/cont": continuation.mean(),
            "behavior/weight": trajectory_weight.mean(),
            "behavior/normed_std": normed_advantage.std(correction=0),
            "return_scale/scale": scale,
        } | {f"actor/{name}": x for name, x in policy.diagnostics().items()}
        return LossTerms(losses, metrics, statistics)

    def imagine(self, world: WorldModel, latents: Latents, sampler: Sampler) -> tuple[Tensor, Tensor]:
        """Follow the policy inside the model from the states of a sequence -> feat (H+1, N, F), actions (H, N, A).

        `actor_grad` decides whether a gradient passes through the dynamics; none reaches the world model's weights.
        """
        start = Latents(self._rules.starts.select(latents.deter), self._rules.starts.select(latents.stoch)).detached_rows()

        def policy(feat: Tensor, sampler: Sampler) -> Tensor:
            return self._rules.actor_grad.sample_action(self.actor(feat.detach()), sampler)

        with self._rules.actor_grad.gradient_context(world):
            return world.rssm.imagine(start, policy, self._rules.imagination_horizon, sampler, self._action_uniforms)

    def _replay_loss(self, latents: Latents, batch: Batch, bootstrap: Tensor, statistics: Statistics) -> Tensor:
        """Critic loss on the replayed steps but the last, bootstrapped from imagination: bootstrap (B, K) -> (B, K-1)."""
        rules = self._rules
        select = rules.starts.select
        reward, is_last, is_terminal = select(batch["reward"]), select(batch["is_last"]), select(batch["is_terminal"])
        returns = replay_return(reward, is_last, is_terminal, bootstrap, rules.discount.gamma, rules.lam)
        feat = rules.repval_grad(select(latents.feat))[:, :-1]
        with torch.no_grad():
            slow_prediction = self.slow_critic(feat).mean
        target = rules.value_norm.normalize(statistics["value_norm"], returns)
        # Contiguous: where nothing takes a gradient, torch multiplies a slice in another order and rounds differently.
        value_dist = self.critic(feat.contiguous())
        return rules.slow_critic.loss(value_dist, target, slow_prediction) * ~is_last[:, :-1]

    def update_slow_critic(self, accepted: Tensor) -> None:
        """Move the slow critic towards the critic, where `accepted` (0-d bool) says that the update counted."""
        self._rules.slow_critic.update_slow_weights(
            list(self.slow_critic.parameters()), list(self.critic.parameters()), accepted
        )
