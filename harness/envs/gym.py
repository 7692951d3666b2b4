"""Any Gymnasium environment: `gym/<id>`, for example `gym/CartPole-v1` or `gym/module:Name-v0` (imports the module first).

Observations: a uint8 (H, W, C) box becomes `image`, any other box a flat float32 `vector`, a discrete observation a one-hot
`vector`, and a Dict space its entries by key (nested ones joined by "."). Actions: Discrete, or a box with bounds; other
spaces are BadInput. Gymnasium's own TimeLimit truncates. The budget is only a default: Gymnasium sets none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.env import Step, Suite
from harness.errors import BadInput, unknown

TASKS = ()  # any registered id: see `check`
SUITE = Suite(
    steps=1_000_000,
    repeat=1,
    envs=1,
    ratio=32,
    pixels=None,
    vectors=None,
    source="Gymnasium (arXiv:2407.17032)",
    options={},
    modules=("gymnasium",),
)


def check(task: str) -> None:
    """BadInput, with the nearest match, unless the id is registered."""
    import gymnasium

    if ":" in task:
        return  # its module registers it when the environment is made
    registry = gymnasium.registry
    if task not in registry and not any(task == spec.name for spec in registry.values()):
        raise unknown("task", f"gym/{task}", [f"gym/{name}" for name in registry])


def modalities(task: str) -> tuple[bool, bool]:
    """(pixels, vectors). Makes the environment, because only its observation space says this."""
    env = make(task)
    env.close()
    spaces = env.spec.obs.values()
    return any(s.image for s in spaces), any(s.dtype == "float32" for s in spaces)


def make(task: str) -> Gym:
    import gymnasium

    try:
        return Gym(task, gymnasium.make(task))
    except (gymnasium.error.Error, ImportError) as error:
        raise BadInput(f"Cannot make gym/{task}: {error}") from error


class Gym:
    """A Gymnasium environment behind our protocol."""

    def __init__(self, task: str, env: Any):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        self._task, self._env = task, env
        self._spaces = _flatten_spaces(task, env.observation_space)
        self.spec = Spec({name: _obs_space(s) for name, s in self._spaces.items()}, _action_space(task, env.action_space))

    def reset(self, seed: int) -> Arrays:
        return self._observe(self._env.reset(seed=int(seed))[0])

    def step(self, action: np.ndarray) -> Step:
        obs, reward, terminated, truncated, _ = self._env.step(self._simulator_action(action))
        return Step(self._observe(obs), float(reward), bool(terminated), bool(truncated) and not terminated)

    def close(self) -> None:
        self._env.close()

    def _simulator_action(self, action: np.ndarray) -> Any:
        space = self._env.action_space
        if self.spec.action.discrete:
            return space.start + int(action)
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        unit = np.clip(np.asarray(action, np.float64), -1, 1)
        return np.clip((low + high) / 2 + unit * (high - low) / 2, low, high).astype(space.dtype)

    def _observe(self, obs: Any) -> Arrays:
        return {name: self._observe_entry(name, space, obs) for name, space in self._spaces.items()}

    def _observe_entry(self, name: str, space: Any, obs: Any) -> np.ndarray:
        value = obs
        for key in name.split(".") if isinstance(obs, dict) else ():
            value = value[key]
        if _is_image(space):
            frame = np.array(value)
            return self.native(frame) if self.native else frame
        if hasattr(space, "n"):
            return np.eye(int(space.n), dtype=np.float32)[int(value) - int(space.start)]
        return np.array(value, np.float32).reshape(-1)


def _flatten_spaces(task: str, space: Any, name: str = "") -> dict[str, Any]:
    """Observation key -> the Gymnasium space of that entry."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        nested = [_flatten_spaces(task, inner, f"{name}.{key}" if name else key) for key, inner in space.items()]
        return {key: inner for entries in nested for key, inner in entries.items()}
    if not isinstance(space, spaces.Box | spaces.Discrete):
        raise BadInput(f"gym/{task} observes {space}; only Box, Discrete and Dict of these can be used.")
    return {name or ("image" if _is_image(space) else "vector"): space}


def _is_image(space: Any) -> bool:
    return len(space.shape) == 3 and space.dtype == np.uint8


def _obs_space(space: Any) -> Space:
    if _is_image(space):
        return Space(space.shape, "uint8")
    return Space((int(getattr(space, "n", 0) or np.prod(space.shape)),), "float32")


def _action_space(task: str, space: Any) -> Space:
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return Space((), "int32", classes=int(space.n))
    if isinstance(space, spaces.Box) and np.isfinite(space.low).all() and np.isfinite(space.high).all():
        return Space(space.shape, "float32")
    raise BadInput(f"gym/{task} takes {space}; only Discrete actions and a Box with finite bounds can be used.")
