"""DreamerV3: act from a latent state, learn from replayed sequences, store everything that changes.

Names: deter and stoch (the latent state h_t, z_t), embed (encoded observation), feat (both latents, flat), post and prior
(distributions of z_t with and without the observation). B batch, T time, E environments, D width of h, S latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial, reduce
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from agents.dreamer.actions import ActionCodec
from agents.dreamer.behavior import Behavior
from agents.dreamer.parts.optimizer import Optimizer
from agents.dreamer.parts.replay import ReplayContext, RewardTransform
from agents.dreamer.rssm import Latents, PosteriorLatents
from agents.dreamer.world_model import Batch, Statistics, WorldModel
from agents.nn.launch import Launch, stack_scalars
from agents.nn.sampler import GeneratorSampler, Sampler, UniformSampler
from agents.nn.snapshot import check_entries, restore, snapshot
from agents.protocol import Arrays, Space


@dataclass(frozen=True)
class StepResult:
    """Losses, metrics and new statistics of one batch."""

    total: Tensor  # weighted sum of the losses' means
    losses: dict[str, Tensor]  # unweighted, (B, T) each; (B, T-1) for the critic on replay
    metrics: dict[str, Tensor]
    statistics: Statistics  # after this batch
    latents: PosteriorLatents  # along this batch


@dataclass(frozen=True)
class Runtime:
    """Where and how an agent computes."""

    device: torch.device
    generator: torch.Generator  # of all sampling while learning
    autocast: Callable[[], AbstractContextManager[None]]
    launch: Launch


class Dreamer:
    """The agent. Training changes its weights, slow critic, optimiser, statistics, generator and number of updates."""

    context = 1

    def __init__(
        self,
        *,
        world: WorldModel,
        behavior: Behavior,
        optimizer: Optimizer,
        loss_weights: Mapping[str, float],
        action_codec: ActionCodec,
        replay_context: ReplayContext,
        reward_transform: RewardTransform,
        runtime: Runtime,
        deter: int,
        obs_entries: Mapping[str, str],
    ) -> None:
        """`obs_entries`: the observation keys, sorted, and their names in a step and a batch."""
        self.world, self.behavior, self.optimizer = world, behavior, optimizer
        self._loss_weights, self._action_codec, self._obs_entries = dict(loss_weights), action_codec, dict(obs_entries)
        self._replay_context, self._reward_transform = replay_context, reward_transform
        self._runtime, self.device = runtime, runtime.device.type
        self._sampler = GeneratorSampler(runtime.generator)
        self._latent = world.rssm.latent
        self._statistics = {
            part: {name: x.to(runtime.device) for name, x in values.items()}
            for part, values in (world.statistics() | behavior.statistics()).items()
        }
        self._metric_names: tuple[str, ...] = ()  # of the newest update, in order
        self.updates = 0
        self.num_uniforms = self._latent.num_uniforms + action_codec.num_uniforms
        self.extra_spaces: Mapping[str, Space] = {
            "deter": Space((deter,), "uint16"),
            "stoch": Space((self._latent.latents,), self._latent.packed_dtype),
        }

    # Act.

    def initial(self, envs: int) -> Arrays:
        shapes = {"deter": self.extra_spaces["deter"].shape, "stoch": self._latent.shape, "action": (self._action_codec.width,)}
        return {key: np.zeros((envs, *shape), np.float32) for key, shape in shapes.items()}

    def act(
        self, carry: Arrays, obs: Arrays, uniforms: np.ndarray, policy: Literal["sample", "mode"] = "sample"
    ) -> tuple[Arrays, np.ndarray, Arrays]:
        inputs = {f"carry/{key}": x for key, x in carry.items()} | {"uniforms": uniforms}
        inputs |= {f"obs/{key}": obs[entry] for key, entry in self._obs_entries.items()} | {"is_first": obs["is_first"]}
        outputs = self._runtime.launch(policy, partial(self._act_step, policy), inputs)
        extras = {key: outputs[f"extra/{key}"] for key in self.extra_spaces}
        return {key: outputs[f"carry/{key}"] for key in carry}, outputs["action"], extras

    @torch.inference_mode()
    def _act_step(self, policy: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """h_t, z_t ~ q(z_t | h_t, x_t), then a_t ~ pi(a_t | h_t, z_t), or its mode."""
        deter, stoch, prev_action = (inputs[f"carry/{key}"] for key in ("deter", "stoch", "action"))
        obs = {key: inputs[f"obs/{key}"].unsqueeze(1) for key in self._obs_entries}  # sequences of one step
        sampler, is_first = UniformSampler(inputs["uniforms"]), inputs["is_first"].unsqueeze(1)
        with self._runtime.autocast():
            latents = self.world.observe(Latents(deter, stoch), obs, prev_action.unsqueeze(1), is_first, sampler)
            dist = self.behavior.actor(latents.feat[:, 0])
        action = {"sample": lambda: dist.sample(sampler), "mode": lambda: dist.mode}[policy]()
        deter, stoch = latents.deter[:, 0], latents.stoch[:, 0]
        carry = {"carry/deter": deter, "carry/stoch": stoch, "carry/action": action}
        extras = {f"extra/{key}": x for key, x in self._pack_latents(deter, stoch).items()}
        return carry | extras | {"action": self._action_codec.decode(action)}

    # Learn.

    def learn(self, batch: Arrays) -> tuple[dict[str, float], Arrays]:
        outputs = self._runtime.launch("learn", self.train_step, batch)
        self.updates += 1
        metrics = outputs.pop("metrics")
        return dict(zip(self._metric_names, metrics, strict=True)), outputs

    def train_step(self, replayed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One update on replayed tensors (B, 1+T, ...) -> all metrics as one vector, and the refreshed latents (B, T, ...).

        The latents are those of the weights before the update; after a refused update, those that came in.
        """
        start, batch = self.prepare_batch(replayed)
        result, accepted, optimizer_metrics = self.update(start, batch, self._sampler)
        metrics = result.metrics | optimizer_metrics
        self._metric_names = tuple(metrics)
        refreshed = self._refresh_latents(result.latents, accepted, replayed)
        return {"metrics": stack_scalars(metrics, self._runtime.device), **refreshed}

    def prepare_batch(self, replayed: Mapping[str, Tensor]) -> tuple[Latents, Batch]:
        """Replayed tensors (B, 1+T, ...) -> the state before the T trained steps, and those steps."""
        deter = replayed["deter"][:, 0].view(torch.bfloat16).float()
        start = Latents(deter, self._latent.unpack(replayed["stoch"][:, 0]))
        batch = Batch(
            obs={key: replayed[entry][:, 1:] for key, entry in self._obs_entries.items()},
            prev_action=self._action_codec.encode(replayed["action"][:, :-1]),
            reward=self._reward_transform(replayed["reward"][:, 1:].float()),
            is_first=self._replay_context.reset_mask(replayed["is_first"][:, 1:]),
            is_last=replayed["is_last"][:, 1:],
            is_terminal=replayed["is_terminal"][:, 1:],
        )
        return start, batch

    def update(self, start: Latents, batch: Batch, sampler: Sampler) -> tuple[StepResult, Tensor, dict[str, Tensor]]:
        """One optimiser step -> its loss, whether the optimiser accepted it (0-d bool), the optimiser's metrics."""
        self.optimizer.zero_grad()
        result = self.loss(start, batch, sampler)
        result.total.backward()
        accepted, optimizer_metrics = self.optimizer.step(result.total)
        self._apply_statistics(accepted, result.statistics)
        return result, accepted, optimizer_metrics

    def loss(self, start: Latents, batch: Batch, sampler: Sampler) -> StepResult:
        """The loss of world model, actor and critic on one batch. Changes nothing."""
        with self._runtime.autocast():
            latents = self.world.observe(start, batch["obs"], batch["prev_action"], batch["is_first"], sampler)
            model = self.world.losses(latents, batch, self._statistics)
            behavior = self.behavior.losses(self.world, latents, batch, model.statistics, sampler)
        losses = model.losses | behavior.losses
        total = self.weighted_sum(losses)
        metrics = model.metrics | behavior.metrics
        metrics |= {f"loss/{name}": loss.mean() for name, loss in losses.items()} | {"loss/total": total}
        metrics = {name: x.detach() for name, x in metrics.items()}
        return StepResult(total, losses, metrics, behavior.statistics, latents)

    def weighted_sum(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Sum of the losses' means, each with its weight (beta_pred, beta_dyn, beta_rep and those of actor and critic)."""
        terms = (self._loss_weights[name] * loss.mean() for name, loss in losses.items())
        return reduce(torch.add, terms)

    @torch.no_grad()
    def _apply_statistics(self, accepted: Tensor, statistics: Statistics) -> None:
        """Move the slow critic and every statistic, unless the update was refused."""
        self.behavior.update_slow_critic(accepted)
        for part, values in statistics.items():
            for name, new in values.items():
                old = self._statistics[part][name]
                old.copy_(torch.where(accepted, new, old))

    @torch.no_grad()
    def _refresh_latents(self, latents: Latents, accepted: Tensor, replayed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The update's latents (B, T, ...) for the replay, or those that it holds where the update was refused."""
        packed = self._pack_latents(latents.deter, latents.stoch)
        return {key: torch.where(accepted, x, replayed[key][:, 1:]) for key, x in packed.items()}

    def _pack_latents(self, deter: Tensor, stoch: Tensor) -> dict[str, Tensor]:
        """h (..., D) and z (..., S, C) as the replay stores them: the bits of bfloat16, and the latent's own form."""
        return {"deter": deter.to(torch.bfloat16).view(torch.int16), "stoch": self._latent.pack(stoch)}

    # Store.

    def state(self) -> Arrays:
        return snapshot(self._state_tensors()) | {
            "generator": self._runtime.generator.get_state().numpy().copy(),
            "updates": np.array(self.updates),
        }

    def load(self, state: Arrays) -> None:
        check_entries(state, self.state())
        restore(self._state_tensors(), state)
        self._runtime.generator.set_state(torch.from_numpy(state["generator"].copy()))
        self.updates = int(state["updates"])

    def load_weights(self, state: Arrays) -> None:
        tensors = self._state_tensors()
        weights = {name: x.detach().cpu().numpy() for name, x in tensors.items() if name.startswith("weights/")}
        check_entries({name: x for name, x in state.items() if name.startswith("weights/")}, weights)
        statistics = {f"{part}/{name}" for part, values in self._statistics.items() for name in values}
        names = weights.keys() | (statistics & state.keys())
        restore({name: tensors[name] for name in names}, state)

    def _state_tensors(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by name."""
        modules = nn.ModuleDict({"world": self.world, "behavior": self.behavior})
        tensors = {f"weights/{name}": x for name, x in modules.state_dict().items()}
        tensors |= {f"optimizer/{name}": x for name, x in self.optimizer.state().items()}
        for part, values in self._statistics.items():
            tensors |= {f"{part}/{name}": x for name, x in values.items()}
        return tensors
