"""The loop: interact() yields steps, train() consumes them; both stand still between two ticks, where a checkpoint may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.protocol import Agent, Arrays
from harness.lanes import LaneProcesses
from harness.recorder import Recorder
from harness.replay import Replay
from harness.rng import Key
from harness.schedule import Ratio
from harness.vector import Vector


@dataclass(frozen=True)
class Tick:
    """One step of every environment: what was seen, the action chosen after it, what the agent keeps with it."""

    step: Arrays  # (E, ...)
    ended: list[dict[str, Any]]


class Interaction:
    """An agent in its environments. `tick` acts once everywhere and leaves the environments at their next observation.

    Lanes in processes of their own are on their way there while the caller goes on.
    """

    def __init__(self, vector: Vector | LaneProcesses, agent: Agent, policy: Literal["sample", "mode"] = "sample"):
        self.vector, self._agent, self._policy = vector, agent, policy
        self._carry = agent.initial(len(vector))

    def tick(self) -> Tick:
        seen = self.vector.seen()
        obs = {key: seen[key] for key in (*self.vector.spec.obs, "is_first")}
        uniforms = self.vector.uniforms(self._agent.num_uniforms)
        self._carry, action, stored = self._agent.act(self._carry, obs, uniforms, self._policy)
        # Nothing follows the last step of an episode; its action is stored as zeros (embodied's Driver).
        last = seen["is_last"].reshape(-1, *[1] * (action.ndim - 1))
        action = np.where(last, np.zeros_like(action), action)
        ended = self.vector.ended()
        self.vector.advance(action)
        return Tick({**seen, **stored, "action": action}, ended)

    def state(self) -> Arrays:
        carry = {f"carry/{k}": v for k, v in self._carry.items()}
        return carry | {f"vector/{k}": v for k, v in self.vector.state().items()}

    def load(self, state: Arrays) -> None:
        self._carry = {k.removeprefix("carry/"): v for k, v in state.items() if k.startswith("carry/")}
        self.vector.load({k.removeprefix("vector/"): v for k, v in state.items() if k.startswith("vector/")})


def interact(vector: Vector, agent: Agent, policy: Literal["sample", "mode"] = "sample") -> Iterator[Tick]:
    """Ticks until every lane has played its last episode."""
    interaction = Interaction(vector, agent, policy)
    while vector.alive:
        yield interaction.tick()


class Training:
    """Everything that moves while an agent trains, and the one way it moves: `advance`."""

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
        self.interaction, self.agent, self.replay, self.ratio, self.recorder = (
            interaction,
            agent,
            replay,
            ratio,
            recorder,
        )
        self._samples = Key(seed, "replay")
        self._batch_size, self._start = batch_size, start
        self.step = 0

    def advance(self) -> None:
        """One step of every environment, then as many updates as the train ratio says are due."""
        tick = self.interaction.tick()
        self.step += len(self.interaction.vector)
        self.replay.add(tick.step)
        for row in tick.ended:
            self.recorder.add_episode(row, step=self.step, updates=self.agent.updates)
        if len(self.replay) >= self._start:
            for _ in range(self.ratio(self.step)):
                self._learn()

    def _learn(self) -> None:
        batch, items = self.replay.sample(self._batch_size, self._samples.generator(self.agent.updates))
        metrics, fresh = self.agent.learn(batch)
        self.replay.refresh(items, fresh)
        self.recorder.add_metrics(metrics)
