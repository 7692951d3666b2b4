"""Many environments as one: each plays its episodes one after the other and shows what the agent gets to see."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from agents.protocol import Arrays, Space, Spec, entry_name
from harness.env import Env, Step
from harness.errors import RunFailed
from harness.noise import Noise, native_perturbation, perturb_observation
from harness.rng import Key, eval_env_seed, train_env_seed

FLAGS = {
    "reward": Space((), "float32"),
    "is_first": Space((), "bool"),
    "is_last": Space((), "bool"),
    "is_terminal": Space((), "bool"),
}

EpisodeRow = dict[str, Any]  # what episodes.jsonl holds of an episode, as JSON


class VectorEnv(Protocol):
    """E environments side by side. Arrays are (E, ...). `SyncVector` steps them here, `AsyncVector` in other processes."""

    spec: Spec

    def __len__(self) -> int:
        """E."""
        ...

    @property
    def has_episodes(self) -> bool:
        """Whether any environment has an episode to play."""
        ...

    def current(self) -> Arrays:
        """The current step: the `entries` of `spec` and `FLAGS`, the caller's own."""
        ...

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        """The agent's uniform numbers of this step: (E, num_uniforms) float64 in [0, 1)."""
        ...

    def finished_episodes(self) -> list[EpisodeRow]:
        """Rows of the episodes whose last step is the current one, in the order of the environments."""
        ...

    def advance(self, actions: np.ndarray) -> None:
        """Act (E, ...) in every environment. One whose episode has ended ignores its action and starts the next."""
        ...

    def state(self) -> Arrays:
        """Everything that `load` needs to continue exactly here."""
        ...

    def load(self, state: Arrays) -> None:
        """Inverse of `state`. RunFailed where a simulator does not reproduce its open episode."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Episode:
    """What fixes an episode besides the agent's weights: the simulator's seed, and the keys of noise and agent."""

    number: int
    env_seed: int
    noise_key: Key
    agent_key: Key

    @classmethod
    def training(cls, run_seed: int, index: int, number: int) -> Episode:
        """Episode `number` of environment `index` in a run of `run_seed`: the same for every ablation and noise."""
        noise_key, agent_key = (Key(run_seed, purpose, index, number) for purpose in ("noise", "agent"))
        return cls(number, train_env_seed(run_seed, index, number), noise_key, agent_key)

    @classmethod
    def evaluation(cls, run_seed: int, number: int) -> Episode:
        """The published evaluation episode `number`: task and noise are the same for every model.

        The agent's own random numbers depend on the seed of its training run as well: they are equal across ablations and
        independent between training runs.
        """
        env_seed = eval_env_seed(number)
        return cls(number, env_seed, Key(env_seed, "noise"), Key(env_seed, f"agent/{run_seed}"))


class EnvSlot:
    """One environment and the episodes it plays. The number of its open episode and its actions are all a resume needs.

    `episode_at(n)` names the n-th episode of this slot; None where there is none left.
    """

    def __init__(self, env: Env, noise: Noise, episode_at: Callable[[int], Episode | None]):
        self._env, self._noise, self._episode_at = env, noise, episode_at
        self._next_episode = 0
        self._start_episode()

    @property
    def has_episode(self) -> bool:
        """Whether an episode is open; False once the last episode of this slot is over."""
        return self._episode is not None

    @property
    def is_last(self) -> bool:
        """Whether the current step is the last of its episode."""
        return self.has_episode and (self._step.terminated or self._step.truncated)

    def current(self, spec: Spec) -> dict[str, np.ndarray | float]:
        """The current step: noisy observation, reward received on arrival, flags. Zeros where no episode is left."""
        if not self.has_episode:
            blank = {name: np.zeros(space.shape, space.dtype) for name, space in spec.entries.items()}
            return {**blank, "reward": 0.0, "is_first": True, "is_last": False, "is_terminal": False}
        flags = {"is_first": not self._actions, "is_last": self.is_last, "is_terminal": self._step.terminated}
        return {**{entry_name(key): array for key, array in self._noisy_obs.items()}, "reward": self._step.reward, **flags}

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        """The agent's uniform numbers of this step: (num_uniforms,); zeros where no episode is left."""
        if self._episode is None:
            return np.zeros(num_uniforms)
        return self._episode.agent_key.generator(len(self._actions)).random(num_uniforms)

    def advance(self, action: np.ndarray) -> None:
        """Act, or start the next episode where this one has ended; the action is then ignored."""
        if self._episode is None:
            return
        if self.is_last:
            self._start_episode()
            return
        self._actions.append(np.array(action))
        self._set_native_noise(self._episode)
        self._receive_step(self._episode, self._env.step(action))

    def episode_row(self) -> EpisodeRow:
        """The open episode so far. The return is the simulator's: noise never touches it. ValueError where none is left."""
        if self._episode is None:
            raise ValueError("no episode is left")
        return {
            "episode": self._episode.number,
            "seed": self._episode.env_seed,
            "return": self._return,
            "length": len(self._actions),
            "terminated": bool(self._step.terminated),
            "truncated": bool(self._step.truncated),
        }

    def state(self) -> Arrays:
        return {
            "count": np.array(self._next_episode),
            "actions": np.array(self._actions),
            "digest": np.frombuffer(self._digest(), np.uint8),
        }

    def load(self, state: Arrays) -> None:
        """Play the open episode again up to where it was. RunFailed where the simulator does not reproduce it.

        A simulator that does not even reproduce itself, because it ignores its seed, begins the next episode instead.
        """
        digest = self._replay(state)
        if digest == state["digest"].tobytes():
            return
        if digest == self._replay(state):
            raise RunFailed(
                "The simulator does not reproduce the episode that was open at the checkpoint. Was it, or a library below "
                "it, upgraded in between? The run cannot continue exactly; delete its directory to start it again."
            )
        print(
            "warning: the environment ignores its seed. The episode that was open at the checkpoint cannot be played again, "
            "and the next one begins: this run is not exactly the one that never stopped.",
            file=sys.stderr,
            flush=True,
        )
        self._start_episode()

    def _replay(self, state: Arrays) -> bytes:
        """The digest of where the open episode of a checkpoint leads now."""
        self._next_episode = int(state["count"]) - 1
        self._start_episode()
        for action in state["actions"]:
            if self.is_last:
                break  # it ended early this time: not the same episode
            self.advance(action)
        return self._digest()

    def close(self) -> None:
        self._env.close()

    def _start_episode(self) -> None:
        self._episode = self._episode_at(self._next_episode)
        self._next_episode += 1
        self._actions: list[np.ndarray] = []
        self._return = 0.0
        if self._episode is not None:
            self._set_native_noise(self._episode)
            self._receive_step(self._episode, Step(self._env.reset(self._episode.env_seed), 0.0, False, False))

    def _receive_step(self, episode: Episode, step: Step) -> None:
        self._step = step
        self._return += float(step.reward)
        self._noisy_obs = perturb_observation(self._noise, step.obs, episode.noise_key, len(self._actions))

    def _set_native_noise(self, episode: Episode) -> None:
        self._env.native = native_perturbation(self._noise, episode.noise_key, len(self._actions))

    def _digest(self) -> bytes:
        """Hash of return, end and clean observation of the current step."""
        digest = hashlib.blake2b(repr((self._return, self.is_last)).encode(), digest_size=16)
        for key in sorted(self._step.obs):
            digest.update(np.ascontiguousarray(self._step.obs[key]).tobytes())
        return digest.digest()


class SyncVector:
    """A `VectorEnv` whose environments step one after the other in this process, numbered from `first`."""

    def __init__(self, slots: Sequence[EnvSlot], spec: Spec, first: int = 0):
        self.slots, self.spec, self._first = list(slots), spec, first

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def has_episodes(self) -> bool:
        return any(slot.has_episode for slot in self.slots)

    def current(self) -> Arrays:
        rows = [slot.current(self.spec) for slot in self.slots]
        spaces = {**self.spec.entries, **FLAGS}
        return {k: np.stack([row[k] for row in rows]).astype(space.dtype, copy=False) for k, space in spaces.items()}

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        return np.stack([slot.uniforms(num_uniforms) for slot in self.slots])

    def finished_episodes(self) -> list[EpisodeRow]:
        return [slot.episode_row() for slot in self.slots if slot.is_last]

    def advance(self, actions: np.ndarray) -> None:
        for slot, action in zip(self.slots, actions, strict=True):
            slot.advance(action)

    def state(self) -> Arrays:
        return {f"{i}/{k}": v for i, slot in enumerate(self.slots, self._first) for k, v in slot.state().items()}

    def load(self, state: Arrays) -> None:
        for i, slot in enumerate(self.slots, self._first):
            slot.load({key: state[f"{i}/{key}"] for key in ("count", "actions", "digest")})

    def close(self) -> None:
        for slot in self.slots:
            slot.close()
