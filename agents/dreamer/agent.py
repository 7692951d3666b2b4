"""DreamerV3: act from a latent state, learn from replayed sequences, store everything that moves.

Tensors: embed (encoded observation), deter and stoch (the latent state), feat (both, flat), post and prior (distributions
of stoch with and without the observation). B batch, T time, E environments, D deter, S latents, A action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from agents.dreamer.behavior import Behavior
from agents.dreamer.rssm import Latents
from agents.dreamer.world_model import Statistics, WorldModel
from agents.nn.launch import Work, to_tensor, vector
from agents.nn.sampler import GeneratorSampler, Sampler, UniformSampler
from agents.nn.snapshot import check, restore, snapshot
from agents.protocol import Arrays, Space


@dataclass(frozen=True)
class Outcome:
    """One batch, judged."""

    total: Tensor  # weighted sum of the losses' means
    losses: dict[str, Tensor]  # unweighted, (B, T) each; (B, T-1) for the critic on replay
    metrics: dict[str, Tensor]
    statistics: Statistics  # after this batch
    latents: Latents  # along this batch


class Dreamer:
    """The agent. What moves: weights, slow critic, optimiser, statistics, generator, number of updates."""

    context = 1

    def __init__(
        self,
        *,
        world: WorldModel,
        behavior: Behavior,
        optimizer: Any,
        weights: Mapping[str, float],
        action: Any,
        replay_context: Any,
        reward_transform: Any,
        generator: torch.Generator,
        autocast: Callable[[], AbstractContextManager],
        launch: Callable[[str, Work, Arrays], Arrays],
        device: torch.device,
        deter: int,
        obs: tuple[str, ...],
    ) -> None:
        self.world, self.behavior, self.optimizer = world, behavior, optimizer
        self._loss_weights, self._action_codec, self._obs = dict(weights), action, obs
        self._replay_context, self._reward_transform = replay_context, reward_transform
        self._sampler, self._generator = GeneratorSampler(generator), generator
        self._autocast, self._launch = autocast, launch
        self._device, self.device = device, device.type
        self._latent = world.rssm.latent
        self._statistics = {
            part: {name: x.to(device) for name, x in values.items()}
            for part, values in (world.statistics() | behavior.statistics()).items()
        }
        self._measured: tuple[str, ...] = ()  # names of the newest metrics, in order
        self.updates = 0
        self.num_uniforms = self._latent.num_uniforms + action.num_uniforms
        self.extra_spaces = {
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
        arrays = {f"carry/{key}": x for key, x in carry.items()} | {"uniforms": uniforms}
        arrays |= {f"obs/{key}": obs[key] for key in (*self._obs, "is_first")}
        made = self._launch(policy, partial(self._acted, policy), arrays)
        stored = {key: made[f"stored/{key}"] for key in self.extra_spaces}
        return {key: made[f"carry/{key}"] for key in carry}, made["action"], stored

    @torch.inference_mode()
    def _acted(self, policy: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        deter, stoch, action = (given[f"carry/{key}"] for key in ("deter", "stoch", "action"))
        data = {key: given[f"obs/{key}"].unsqueeze(1) for key in (*self._obs, "is_first")}
        sampler = UniformSampler(given["uniforms"])
        with self._autocast():
            sequence = {"obs": data, "prev_action": action.unsqueeze(1), "is_first": data["is_first"]}
            seq = self.world.observe(Latents(deter, stoch), sequence, sampler)
            dist = self.behavior.actor(seq.feat[:, 0])
        chosen = {"sample": lambda: dist.sample(sampler), "mode": lambda: dist.mode}[policy]()
        carried = {"carry/deter": seq.deter[:, 0], "carry/stoch": seq.stoch[:, 0], "carry/action": chosen}
        stored = {f"stored/{key}": x for key, x in self._pack(seq, 0).items()}
        return carried | stored | {"action": self._action_codec.decode(chosen)}

    # Learn.

    def learn(self, batch: Arrays) -> tuple[dict[str, float], Arrays]:
        made = self._launch("learn", self._learned, batch)
        self.updates += 1
        return dict(zip(self._measured, made.pop("metrics"), strict=True)), made

    def _learned(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        outcome, ok, counts = self.improve(*self._prepared(batch), self._sampler)
        metrics = outcome.metrics | counts
        self._measured = tuple(metrics)
        return {"metrics": vector(metrics, self._device), **self._refreshed(outcome.latents, ok, batch)}

    def unpack(self, batch: Arrays) -> tuple[Latents, dict[str, Any]]:
        """A batch (B, 1+T, ...) -> the state before the T trained steps, and those steps with the actions before them."""
        return self._prepared({key: to_tensor(x).to(self._device) for key, x in batch.items()})

    def _prepared(self, batch: dict[str, Tensor]) -> tuple[Latents, dict[str, Any]]:
        deter = batch["deter"][:, 0].view(torch.bfloat16).float()
        start = Latents(deter, self._latent.unpack(batch["stoch"][:, 0]))
        data = {key: batch[key][:, 1:] for key in ("is_first", "is_last", "is_terminal")}
        data["is_first"] = self._replay_context.reset_mask(data["is_first"])
        data["obs"] = {key: batch[key][:, 1:] for key in self._obs}
        data["reward"] = self._reward_transform(batch["reward"][:, 1:].float())
        data["prev_action"] = self._action_codec.encode(batch["action"][:, :-1])
        return start, data

    def judge(self, start: Latents, data: dict[str, Any], sampler: Sampler) -> Outcome:
        """How good the agent is on one batch. Changes nothing."""
        with self._autocast():
            latents = self.world.observe(start, data, sampler)
            losses, metrics, statistics = self.world.losses(latents, data, self._statistics)
            more, scores, statistics = self.behavior.losses(self.world, latents, data, statistics, sampler)
        losses |= more
        total = self.weighted(losses)
        metrics |= scores | {f"loss/{name}": loss.mean() for name, loss in losses.items()} | {"loss/total": total}
        metrics = {name: value.detach() for name, value in metrics.items()}
        return Outcome(total, losses, metrics, statistics, latents)

    def weighted(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Sum of the losses' means, each with its weight."""
        return sum(self._loss_weights[name] * loss.mean() for name, loss in losses.items())

    def improve(self, start: Latents, data: dict[str, Any], sampler: Sampler) -> tuple[Outcome, Tensor, dict[str, Tensor]]:
        """One optimiser step -> what it was taken on, whether it counted (0-d bool), the optimiser's metrics."""
        self.optimizer.zero_grad()
        outcome = self.judge(start, data, sampler)
        outcome.total.backward()
        ok, counts = self.optimizer.step(outcome.total)
        self._commit(ok, outcome.statistics)
        return outcome, ok, counts

    @torch.no_grad()
    def _commit(self, ok: Tensor, statistics: Statistics) -> None:
        """Keep what the batch taught beside the weights, unless it was bad."""
        self.behavior.follow(ok)
        for part, values in statistics.items():
            for name, new in values.items():
                old = self._statistics[part][name]
                old.copy_(torch.where(ok, new, old))

    @torch.no_grad()
    def _refreshed(self, seq: Latents, ok: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sequence's latents under the weights that have just learned from it; the old ones after a bad batch."""
        new = self._pack(seq, slice(None))
        return {key: torch.where(ok, x, batch[key][:, 1:]) for key, x in new.items()}

    def _pack(self, seq: Latents, at: Any) -> dict[str, Tensor]:
        deter = seq.deter[:, at].to(torch.bfloat16).view(torch.int16)
        return {"deter": deter, "stoch": self._latent.pack(seq.stoch[:, at])}

    # Store.

    def state(self) -> Arrays:
        return snapshot(self._moving()) | {
            "generator": self._generator.get_state().numpy().copy(),
            "updates": np.array(self.updates),
        }

    def load(self, state: Arrays) -> None:
        check(state, self.state())
        restore(self._moving(), state)
        self._generator.set_state(torch.from_numpy(state["generator"].copy()))
        self.updates = int(state["updates"])

    def load_weights(self, state: Arrays) -> None:
        moving = self._moving()
        weights = {name: x.detach().cpu().numpy() for name, x in moving.items() if name.startswith("weights/")}
        check({name: x for name, x in state.items() if name.startswith("weights/")}, weights)
        statistics = {f"{part}/{name}" for part, values in self._statistics.items() for name in values}
        taken = weights.keys() | (statistics & state.keys())
        restore({name: moving[name] for name in taken}, state)

    def _moving(self) -> dict[str, Tensor]:
        """Every tensor that moves, by name."""
        modules = nn.ModuleDict({"world": self.world, "behavior": self.behavior})
        tensors = {f"weights/{name}": x for name, x in modules.state_dict().items()}
        tensors |= {f"optimizer/{name}": x for name, x in self.optimizer.state().items()}
        for part, values in self._statistics.items():
            tensors |= {f"{part}/{name}": x for name, x in values.items()}
        return tensors
