"""Maps the given uniform numbers to uniform random actions; learns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from agents.protocol import Arrays, Space, Spec


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
        uniforms = uniforms.reshape(len(uniforms), *self._action.shape)
        if self._action.discrete:
            # float32 rounds the largest uniforms times many classes up to the number of classes.
            index = np.floor(uniforms * self._action.classes).astype(np.int32)
            return carry, np.minimum(index, self._action.classes - 1), {}
        return carry, (2 * uniforms - 1).astype(np.float32), {}

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
