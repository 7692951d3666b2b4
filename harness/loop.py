"""The loop: Interaction yields steps, Training learns from them. Both stand still between two ticks, where a save is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agents.protocol import Agent, Arrays
from harness.recorder import Recorder
from harness.replay import Replay
from harness.rng import Key
from harness.schedule import Ratio
from harness.vector import EpisodeRow, VectorEnv

Policy = Literal["sample", "mode"]


@dataclass(frozen=True)
class Tick:
    """One step of every environment. `step` holds arrays (E, ...): the observation and its flags, the action chosen after
    it, and what the agent stores with it. `finished_episodes`: rows of the episodes that end with this step."""

    step: Arrays
    finished_episodes: list[EpisodeRow]


class Interaction:
    """An agent in its environments. `tick` acts once everywhere and leaves the environments at their next observation.

    Environments in processes of their own may still be on their way there when `tick` returns.
    """

    def __init__(self, vector: VectorEnv, agent: Agent, policy: Policy = "sample"):
        self.vector, self._agent, self._policy = vector, agent, policy
        self._carry = agent.initial(len(vector))

    def tick(self) -> Tick:
        current = self.vector.current()
        obs = {key: current[key] for key in (*self.vector.spec.entries, "is_first")}
        uniforms = self.vector.uniforms(self._agent.num_uniforms)
        self._carry, action, extra = self._agent.act(self._carry, obs, uniforms, self._policy)
        # Nothing follows the last step of an episode; its action is stored as zeros (embodied's Driver).
        is_last = current["is_last"].reshape(-1, *[1] * (action.ndim - 1))
        action = np.where(is_last, np.zeros_like(action), action)
        finished_episodes = self.vector.finished_episodes()
        self.vector.advance(action)
        return Tick({**current, **extra, "action": action}, finished_episodes)

    def state(self) -> Arrays:
        carry = {f"carry/{k}": v for k, v in self._carry.items()}
        return carry | {f"vector/{k}": v for k, v in self.vector.state().items()}

    def load(self, state: Arrays) -> None:
        """Inverse of `state`. RunFailed where a simulator does not reproduce its open episode."""
        self._carry = {k.removeprefix("carry/"): v for k, v in state.items() if k.startswith("carry/")}
        self.vector.load({k.removeprefix("vector/"): v for k, v in state.items() if k.startswith("vector/")})


def interact(vector: VectorEnv, agent: Agent, policy: Policy = "sample") -> Iterator[Tick]:
    """Ticks until every environment has played its last episode."""
    interaction = Interaction(vector, agent, policy)
    while vector.has_episodes:
        yield interaction.tick()


class Training:
    """Everything that changes while an agent trains, and the one way it changes: `advance`.

    `seed` of the run fixes which windows are sampled from the replay; `start`: items in the replay before the first update.
    """

    def __init__(
        self,
        *,
        interaction: Interaction,
        agent: Agent,
        replay: Replay,
        ratio: Ratio,
        recorder: Recorder,
        seed: int,
        batch_size: int,
        start: int,
    ):
        self.interaction, self.agent, self.replay = interaction, agent, replay
        self.ratio, self.recorder = ratio, recorder
        self._sample_key = Key(seed, "replay")
        self._batch_size, self._start = batch_size, start
        self.step = 0  # policy steps of all environments together

    def advance(self) -> None:
        """One step of every environment, then as many updates as the train ratio says are due."""
        tick = self.interaction.tick()
        self.step += len(self.interaction.vector)
        self.replay.add(tick.step)
        for row in tick.finished_episodes:
            self.recorder.add_episode(row, step=self.step, updates=self.agent.updates)
        if len(self.replay) >= self._start:
            for _ in range(self.ratio(self.step)):
                self._update()

    def _update(self) -> None:
        batch, items = self.replay.sample(self._batch_size, self._sample_key.generator(self.agent.updates))
        metrics, latents = self.agent.learn(batch)
        self.replay.refresh(items, latents)
        self.recorder.add_metrics(metrics)
