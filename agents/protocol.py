"""The contract between the harness and an agent: the shapes of a task, and what an agent does. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import prod
from typing import ClassVar, Literal, Protocol, SupportsFloat

import numpy as np
from pydantic import BaseModel, ConfigDict

Arrays = dict[str, np.ndarray]

# Names in a step, a batch or a stored file that are no observations.
RESERVED = frozenset(
    ("action", "reward", "is_first", "is_last", "is_terminal", "deter", "stoch", "uniforms", "has_episode", "rows")
)


@dataclass(frozen=True)
class Space:
    """Shape and type of one array per environment step.

    `dtype` is "uint8" for images (H, W, C), "float32" for vectors, "int32" for discrete values (`classes` > 0). An
    observation of classes has the shape (), an action any: one choice per entry. Continuous actions are float32 in [-1, 1].
    """

    shape: tuple[int, ...]
    dtype: str
    classes: int = 0

    @property
    def image(self) -> bool:
        return self.dtype == "uint8" and len(self.shape) == 3

    @property
    def discrete(self) -> bool:
        return self.classes > 0


@dataclass(frozen=True)
class JointSpace(Space):
    """Several actions at once, by name. They travel as one float32 array (n,) and are stored as such.

    It holds the values of all parts, flat, in the order of their sorted names; a class is its index.
    """

    parts: Mapping[str, Space] = field(default_factory=dict, hash=False)

    @classmethod
    def from_parts(cls, parts: Mapping[str, Space]) -> JointSpace:
        parts = {name: parts[name] for name in sorted(parts)}
        return cls((sum(prod(space.shape) for space in parts.values()),), "float32", parts=parts)

    @property
    def columns(self) -> dict[str, slice]:
        """Where the values of each part are."""
        ends = accumulate((prod(space.shape) for space in self.parts.values()), initial=0)
        return {name: slice(*bounds) for name, bounds in zip(self.parts, pairwise(ends), strict=True)}

    def split(self, joint: np.ndarray) -> Arrays:
        """(..., n) -> {name: (..., *shape)}, each of its part's own type."""
        lead = joint.shape[:-1]
        pieces = ((name, joint[..., columns], self.parts[name]) for name, columns in self.columns.items())
        return {name: x.reshape((*lead, *space.shape)).astype(space.dtype) for name, x, space in pieces}

    def join(self, parts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Inverse of `split`."""
        pieces = ((parts[name], space) for name, space in self.parts.items())
        flat = [x.reshape(*x.shape[: x.ndim - len(space.shape)], prod(space.shape)) for x, space in pieces]
        return np.concatenate(flat, -1).astype(np.float32)


@dataclass(frozen=True)
class Spec:
    """What an agent sees (`obs`, by key) and does (`action`: one space, or several as a `JointSpace`)."""

    obs: Mapping[str, Space]
    action: Space

    @property
    def heads(self) -> Mapping[str, Space]:
        """The actions that are chosen at each step, by name; a single one is named "action"."""
        return self.action.parts if isinstance(self.action, JointSpace) else {"action": self.action}

    @property
    def entries(self) -> dict[str, Space]:
        """The observations under the names that they have in a step, a batch and the replay."""
        return {entry_name(key): space for key, space in self.obs.items()}


def entry_name(key: str) -> str:
    """The name of an observation in a step: its key, or `obs/<key>` where the key is the name of something else there."""
    return f"obs/{key}" if key in RESERVED or key.startswith("obs/") else key


class Agent(Protocol):
    """Everything the harness asks of an agent. E environments, B batch, T time; arrays are NumPy on the host.

    Randomness while acting comes from outside: `num_uniforms` uniform numbers in [0, 1) per environment and step, so that an
    episode depends on its key alone. Randomness while learning belongs to the agent and is part of `state`.
    """

    context: int  # steps before the T trained ones that `learn` needs (1: stored latents and previous action)
    num_uniforms: int  # uniform numbers that `act` needs per environment and step
    extra_spaces: Mapping[str, Space]  # what `act` returns for the replay, with each step; `learn` refreshes it
    device: str  # where it computes: "cpu" or "cuda", resolved
    updates: int  # gradient updates done so far, skipped ones included

    def initial(self, envs: int) -> Arrays:
        """The carry of `envs` fresh environments: arrays (E, ...)."""
        ...

    def act(
        self, carry: Arrays, obs: Arrays, uniforms: np.ndarray, policy: Literal["sample", "mode"] = "sample"
    ) -> tuple[Arrays, np.ndarray, Arrays]:
        """One step for E environments -> (carry, action (E, ...), extra arrays (E, ...) of `extra_spaces`).

        `obs` holds the spec's `entries` and `is_first` (E,) bool, where the carry is reset. `uniforms` is (E, num_uniforms).
        A row's result depends on that row of the inputs only (up to the arithmetic of a fixed batch size).
        """
        ...

    def learn(self, batch: Arrays) -> tuple[Mapping[str, SupportsFloat], Arrays]:
        """One update on (B, context + T, ...) -> (metrics, refreshed extra arrays (B, T, ...)).

        `batch` holds the spec's `entries`, `action` (chosen after the observation), `reward` (received on arrival
        at the observation), `is_first`, `is_last`, `is_terminal` and the keys of `extra_spaces`. Metrics are flat `area/name`
        values. Converting them to floats may wait for the device, so the harness does it only when it logs.
        An update whose loss or gradient is not finite changes nothing and is counted in `optimizer/skipped` (since the
        start) and `optimizer/skipped_in_a_row`.
        """
        ...

    def state(self) -> Arrays:
        """Everything that training changes, as a flat dict of arrays (weights, optimiser, statistics, generator, counters)."""
        ...

    def load(self, state: Arrays) -> None:
        """Inverse of `state`, bit for bit. Raises ValueError naming the first missing or mis-shaped entry."""
        ...

    def load_weights(self, state: Arrays) -> None:
        """Take the weights and statistics of another agent of the same networks, and nothing else.

        Raises ValueError where the weights differ in name or shape.
        """
        ...


class AgentConfig(BaseModel):
    """Base of every agent's configuration; `kind` names the agent. Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    learns: ClassVar[bool] = True  # False: training it longer changes nothing
    kind: str

    def build(
        self,
        spec: Spec,
        *,
        seed: int,
        updates: int = 100_000,
        device: str = "auto",
        precision: str = "float32",
        threads: int = 1,
        compile: bool = False,
    ) -> Agent:
        """A fresh agent.

        `updates` are the gradient updates of the whole run, for rates that are set per run. `device` is "auto" (a GPU
        where there is one), "cpu" or "cuda"; `threads` are CPU threads; `compile`: the model's inner steps are
        compiled, which needs a C++ compiler.
        """
        raise NotImplementedError
