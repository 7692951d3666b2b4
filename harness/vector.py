"""Many environments as one: lanes that play their episodes one after the other and show what the agent gets to see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness import noise as noises
from harness.env import Env, Step
from harness.errors import RunFailed
from harness.noise import Noise
from harness.rng import Key, eval_seed, train_seed

FLAGS = {
    "reward": Space((), "float32"),
    "is_first": Space((), "bool"),
    "is_last": Space((), "bool"),
    "is_terminal": Space((), "bool"),
}


@dataclass(frozen=True)
class Episode:
    """What fixes an episode besides the agent's weights: the simulator's seed, the noise's key, the agent's key."""

    number: int
    seed: int
    noise: Key
    agent: Key

    @classmethod
    def training(cls, seed: int, index: int, number: int) -> Episode:
        """Episode `number` of environment `index` in a run of `seed`: the same for every ablation and noise."""
        keys = (Key(seed, purpose, index, number) for purpose in ("noise", "agent"))
        return cls(number, train_seed(seed, index, number), *keys)

    @classmethod
    def evaluation(cls, seed: int, number: int) -> Episode:
        """The published evaluation episode `number`: task and noise are the same for every model.

        The agent's own draws are those of its training `seed`: equal across ablations, independent between training runs.
        """
        start = eval_seed(number)
        return cls(number, start, Key(start, "noise"), Key(start, f"agent/{seed}"))


class Lane:
    """One environment. Keeps the true return and the actions of the open episode, which is all a resume needs.

    `episode_at(n)` names the n-th episode of this lane, None where there is none left.
    """

    def __init__(self, env: Env, noise: Noise, episode_at: Callable[[int], Episode | None], skip: int = 0):
        self._env, self._noise, self._episode_at = env, noise, episode_at
        self._count = skip
        self._begin()

    @property
    def alive(self) -> bool:
        return self.episode is not None

    @property
    def last(self) -> bool:
        return self.alive and (self._now.terminated or self._now.truncated)

    def seen(self, spec: Spec) -> Arrays:
        """What stands in this lane now: noisy observation, reward received on arrival, flags. Zeros when it is over."""
        if not self.alive:
            blank = {k: np.zeros(s.shape, s.dtype) for k, s in spec.obs.items()}
            return blank | {"reward": 0.0, "is_first": True, "is_last": False, "is_terminal": False}
        flags = {"is_first": not self.actions, "is_last": self.last, "is_terminal": self._now.terminated}
        return self._shown | {"reward": self._now.reward} | flags

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        if not self.alive:
            return np.zeros(num_uniforms)
        return self.episode.agent.generator(len(self.actions)).random(num_uniforms)

    def advance(self, action: np.ndarray) -> None:
        """Act, or begin the next episode where this one has ended (the action is then ignored)."""
        if not self.alive:
            return
        if self.last:
            self._begin()
            return
        self.actions.append(np.array(action))
        self._env.native = self._native()
        self._set(self._env.step(action))

    def row(self) -> dict[str, Any]:
        """The episode so far, as episodes.jsonl holds it. The return is the simulator's: noise never touches it."""
        return {
            "episode": self.episode.number,
            "seed": self.episode.seed,
            "return": self._return,
            "length": len(self.actions),
            "terminated": bool(self._now.terminated),
            "truncated": bool(self._now.truncated),
        }

    def state(self) -> Arrays:
        return {
            "count": np.array(self._count),
            "actions": np.array(self.actions),
            "digest": np.frombuffer(self._digest(), np.uint8),
        }

    def load(self, state: Arrays) -> None:
        """Play the open episode again up to where it was. RunFailed where the simulator does not come out the same."""
        self._count = int(state["count"]) - 1
        self._begin()
        for action in state["actions"]:
            self.advance(action)
        if self._digest() != state["digest"].tobytes():
            raise RunFailed(
                "The simulator does not reproduce the episode that was open at the checkpoint (was it, or a library below "
                "it, upgraded in between?). The run cannot be continued exactly; delete its directory to start it again."
            )

    def close(self) -> None:
        self._env.close()

    def _begin(self) -> None:
        self.episode = self._episode_at(self._count)
        self._count += 1
        self.actions: list[np.ndarray] = []
        self._return = 0.0
        if self.episode is not None:
            self._env.native = self._native()
            self._set(Step(self._env.reset(self.episode.seed), 0.0, False, False))

    def _set(self, now: Step) -> None:
        self._now = now
        self._return += float(now.reward)
        self._shown = noises.perturb_observation(self._noise, now.obs, self.episode.noise, len(self.actions))

    def _native(self) -> Callable[[np.ndarray], np.ndarray] | None:
        return noises.native_perturbation(self._noise, self.episode.noise, len(self.actions))

    def _digest(self) -> bytes:
        digest = hashlib.blake2b(repr((self._return, self.last)).encode(), digest_size=16)
        for key in sorted(self._now.obs):
            digest.update(np.ascontiguousarray(self._now.obs[key]).tobytes())
        return digest.digest()


class Vector:
    """Lanes side by side, numbered from `first`; arrays are (E, ...)."""

    def __init__(self, lanes: Sequence[Lane], spec: Spec, first: int = 0):
        self.lanes, self.spec, self._first = list(lanes), spec, first

    def __len__(self) -> int:
        return len(self.lanes)

    @property
    def alive(self) -> bool:
        return any(lane.alive for lane in self.lanes)

    def seen(self) -> Arrays:
        rows = [lane.seen(self.spec) for lane in self.lanes]
        spaces = {**self.spec.obs, **FLAGS}
        return {k: np.stack([row[k] for row in rows]).astype(s.dtype, copy=False) for k, s in spaces.items()}

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        return np.stack([lane.uniforms(num_uniforms) for lane in self.lanes])

    def ended(self) -> list[dict[str, Any]]:
        """Rows of the episodes whose last step stands now, in lane order."""
        return [lane.row() for lane in self.lanes if lane.last]

    def advance(self, actions: np.ndarray) -> None:
        for lane, action in zip(self.lanes, actions, strict=True):
            lane.advance(action)

    def state(self) -> Arrays:
        return {f"{i}/{k}": v for i, lane in enumerate(self.lanes, self._first) for k, v in lane.state().items()}

    def load(self, state: Arrays) -> None:
        for i, lane in enumerate(self.lanes, self._first):
            lane.load({k: state[f"{i}/{k}"] for k in ("count", "actions", "digest")})

    def close(self) -> None:
        for lane in self.lanes:
            lane.close()
