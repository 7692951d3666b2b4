"""Maps the given uniform numbers to uniform random actions; learns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from agents.protocol import Arrays, JointSpace, Space, Spec


class RandomAgent:
    """Discrete: every class is equally likely. Continuous: uniform in [-1, 1]. The policy `mode` samples too."""

    context, device = 1, "cpu"
    extra_spaces: Mapping[str, Space] = {}

    def __init__(self, spec: Spec) -> None:
        self._action = spec.action
        self.num_uniforms = int(np.prod(spec.action.shape, dtype=int))  # one for the empty shape
        self.updates = 0

    def initial(self, envs: int) -> Arrays:
        return {}

    def act(
        self, carry: Arrays, obs: Arrays, uniforms: np.ndarray, policy: Literal["sample", "mode"] = "sample"
    ) -> tuple[Arrays, np.ndarray, Arrays]:
        return carry, _uniform_action(self._action, uniforms), {}

    def learn(self, batch: Arrays) -> tuple[dict[str, float], Arrays]:
        self.updates += 1
        return {"optimizer/skipped": 0.0, "optimizer/skipped_in_a_row": 0.0}, {}

    def state(self) -> Arrays:
        return {"updates": np.array(self.updates)}

    def load(self, state: Arrays) -> None:
        if "updates" not in state or np.shape(state["updates"]) != ():
            raise ValueError("the stored state has no scalar 'updates'")
        self.updates = int(state["updates"])

    def load_weights(self, state: Arrays) -> None:
        """There is nothing to take over."""


def _uniform_action(space: Space, uniforms: np.ndarray) -> np.ndarray:
    """Uniform numbers, one for each value of an action: (E, n) -> (E, *shape)."""
    if isinstance(space, JointSpace):
        parts = {name: _uniform_action(space.parts[name], uniforms[:, i]) for name, i in space.columns.items()}
        return space.join(parts)
    uniforms = uniforms.reshape(len(uniforms), *space.shape)
    if space.discrete:
        # float32 rounds the largest uniforms times many classes up to the number of classes.
        return np.minimum(np.floor(uniforms * space.classes).astype(np.int32), space.classes - 1)
    return (2 * uniforms - 1).astype(np.float32)
