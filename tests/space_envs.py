"""Gymnasium environments of every kind of space, as a user's module: `gym/space_envs:Nested-v0`.

Each draws its observations from its observation space and refuses an action that is not in its action space.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 20  # steps of an episode
BOX = spaces.Box(-1, 1, (2,))
GO = spaces.Discrete(2)
OBSERVATIONS = {
    "Nested": spaces.Dict(
        {"body": spaces.Dict({"joints": BOX, "gear": spaces.Discrete(3, start=5)}), "t": spaces.Tuple((BOX, GO))}
    ),
    "Dotted": spaces.Dict({"joint.pos": BOX, "values": BOX, "training": BOX}),
    "Reserved": spaces.Dict({key: BOX for key in ("reward", "is_first", "is_last", "is_terminal", "action", "deter", "stoch")}),
    "Rows": spaces.Dict({key: BOX for key in ("rows", "uniforms", "has_episode", "obs/reward", "vector")}),
    "Scalar": spaces.Box(-5, 5, ()),
    "Cube": spaces.Box(-np.inf, np.inf, (2, 3, 2), np.float64),
    "Whole": spaces.Box(-3, 9, (2, 2), np.int16),
    "Many": spaces.Discrete(20_000),
    "Choices": spaces.MultiDiscrete([[3, 2], [4, 5]]),
    "Switches": spaces.MultiBinary((2, 2)),
    "Pair": spaces.Tuple((spaces.Discrete(4), spaces.Dict({"x": BOX}))),
}
ACTIONS = {
    "Asymmetric": spaces.Box(np.array([0, -4.0]), np.array([10, 4.0]), dtype=np.float64),
    "Matrix": spaces.Box(-2, 3, (2, 3)),
    "Number": spaces.Box(0, 1, ()),
    "Bytes": spaces.Box(0, 255, (2,), np.uint8),
    "Long": spaces.Box(-(2**63), 2**63 - 1, (2,), np.int64),
    "Wide": spaces.Box(-1.7e308, 1.7e308, (2,), np.float64),
    "Started": spaces.Discrete(3, start=-1),
    "Equal": spaces.MultiDiscrete([4, 4, 4]),
    "Unequal": spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [0, -2]]),
    "Binary": spaces.MultiBinary(3),
    "Grid": spaces.MultiBinary((2, 2)),
    "Heads": spaces.Dict({"gear": spaces.Discrete(4), "buttons": spaces.MultiBinary(3), "steer": BOX}),
    "Deep": spaces.Dict({"arm.left": BOX, "in": spaces.Tuple((GO, spaces.Dict({"keys": spaces.MultiDiscrete([2, 3])})))}),
    "One": spaces.Dict({"only": spaces.Discrete(3)}),
}
REFUSED = {
    "Text": (spaces.Dict({"told": spaces.Text(5)}), GO),
    "Graph": (spaces.Graph(BOX, None), GO),
    "Sequence": (spaces.Tuple((BOX, spaces.Sequence(BOX))), GO),
    "Huge": (spaces.Dict({"id": spaces.Discrete(10**9)}), GO),
    "Clash": (spaces.Dict({"a.b": BOX, "a": spaces.Dict({"b": BOX})}), GO),
    "Nothing": (spaces.Dict({}), GO),
    "Unbounded": (BOX, spaces.Dict({"push": spaces.Box(-np.inf, np.inf, (2,))})),
    "HalfBounded": (BOX, spaces.Box(np.array([0, -np.inf], np.float32), np.array([1, 1], np.float32))),
    "SayText": (BOX, spaces.Tuple((GO, spaces.Text(5)))),
    "ActClash": (BOX, spaces.Dict({"a.b": GO, "a": spaces.Dict({"b": GO})})),
    "NoAction": (BOX, spaces.Dict({})),
}


class RandomObservations(gymnasium.Env):
    """Observations are drawn from the space. The reward counts the steps, as an array of one entry."""

    metadata: ClassVar = {"render_modes": []}

    def __init__(self, observation_space: Any = BOX, action_space: Any = GO):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._step = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any):
        if not same_structure(self.action_space, action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        self.action, self._step = action, self._step + 1
        return self.observation_space.sample(), np.array([1.0]), False, self._step >= LENGTH, {}


def same_structure(space: Any, action: Any) -> bool:
    """As `space.contains`, and arrays have exactly the space's dtype and shape."""
    if isinstance(space, spaces.Dict):
        return isinstance(action, dict) and all(same_structure(inner, action[key]) for key, inner in space.items())
    if isinstance(space, spaces.Tuple):
        return isinstance(action, tuple) and all(map(same_structure, space.spaces, action))
    if isinstance(space, spaces.Discrete):
        return space.contains(action)
    return isinstance(action, np.ndarray) and action.dtype == space.dtype and space.contains(action)


KINDS = {name: (space, GO) for name, space in OBSERVATIONS.items()} | {name: (BOX, space) for name, space in ACTIONS.items()}
for kind, (seen_space, action_space) in {**KINDS, **REFUSED}.items():
    if f"{kind}-v0" not in gymnasium.registry:
        gymnasium.register(
            f"{kind}-v0",
            RandomObservations,
            kwargs={"observation_space": seen_space, "action_space": action_space},
            disable_env_checker=True,
        )
