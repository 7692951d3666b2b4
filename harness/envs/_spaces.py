"""Gymnasium's spaces and the agent's: entries of observations by key, and actions in the simulator's own structure.

Nested Dict and Tuple spaces are flattened; names on the way are joined by ".". A choice of classes is observed as a one-hot
float32 vector, several choices as their one-hots side by side. Actions are one head per entry: classes (Discrete,
MultiDiscrete, MultiBinary) or numbers in [-1, 1] that are scaled to the bounds of a Box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from agents.protocol import JointSpace, Space
from harness.env import Mismatch
from harness.errors import BadInput

MOST_CLASSES = 100_000  # of an observation: its one-hots are stored at every step
OBSERVED = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
SpacePath = tuple[Any, ...]  # keys of Dicts and positions in Tuples, from the outside in


class SpaceLeaf(NamedTuple):
    """One entry of an observation: its key, where it lies, and its Gymnasium space."""

    key: str
    path: SpacePath
    space: Any

    def look_up(self, obs: Any) -> Any:
        """The value of this entry in an observation. Mismatch where there is none."""
        try:
            for name in self.path:
                obs = obs[name]
        except (LookupError, TypeError):
            raise Mismatch(self.key, "missing", "an entry of the observation") from None
        return obs


# ---- Observations


def observed_leaves(task: str, space: Any, unnamed: Callable[[Any], str]) -> dict[str, SpaceLeaf]:
    """Observation key -> entry; `unnamed(space)` is the key of an observation that is no Dict and no Tuple.

    Entries without a value are left out. BadInput for what no agent can take.
    """
    from gymnasium import spaces

    entries: dict[str, SpaceLeaf] = {}
    for path, leaf in _leaves(space).items():
        place = f"{task} observes {_text(leaf)}" + (f" as '{_joined(path)}'" if path else "")
        if not isinstance(leaf, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise BadInput(f"{place}; an agent can take {OBSERVED}. Wrap the environment (gymnasium.wrappers).")
        if _num_classes(leaf) > MOST_CLASSES:
            raise BadInput(f"{place}: {_num_classes(leaf)} classes; at most {MOST_CLASSES} can be told apart. Observe numbers.")
        if 0 in (leaf.shape or ()):
            continue
        key = _joined(path) if path else unnamed(leaf)
        if key in entries:
            raise BadInput(
                f"{task} observes two entries that are both called '{key}' when names are joined by '.': rename one."
            )
        entries[key] = SpaceLeaf(key, path, leaf)
    if not entries:
        raise BadInput(f"{task} observes {_text(space)}, which holds no value.")
    return entries


def _num_classes(space: Any) -> int:
    """Classes of all choices together."""
    return int(np.sum(getattr(space, "nvec", getattr(space, "n", 0))))


# ---- Actions


class SimulatorActions:
    """An action space: `space` is what the agent acts in, a call turns its action into the simulator's."""

    def __init__(self, task: str, space: Any):
        heads = _heads(task, space)
        if not heads:
            raise BadInput(f"{task} takes {_text(space)}, which leaves nothing to choose.")
        by_name = {_joined(path): path for path in heads}
        if len(by_name) < len(heads):
            twice = next(_joined(path) for path in heads if by_name[_joined(path)] != path)
            raise BadInput(f"{task} takes two actions that are both called '{twice}' when names are joined by '.': rename one.")
        self._simulator_space, self._paths = space, by_name
        joint = JointSpace.from_parts({name: heads[path] for name, path in by_name.items()})
        self.space: Space = joint if len(heads) > 1 else next(iter(heads.values()))

    def __call__(self, action: np.ndarray) -> Any:
        space = self.space
        values = space.split(action) if isinstance(space, JointSpace) else dict.fromkeys(self._paths, action)
        return _assemble(self._simulator_space, {self._paths[name]: value for name, value in values.items()}, ())


def _heads(task: str, space: Any) -> dict[SpacePath, Space]:
    """What the agent chooses, by its place."""
    from gymnasium import spaces

    heads: dict[SpacePath, Space] = {}
    for path, leaf in _leaves(space).items():
        place = f"{task} takes {_text(leaf)}" + (f" as '{_joined(path)}'" if path else "")
        if isinstance(leaf, spaces.Discrete):
            heads[path] = Space((), "int32", classes=int(leaf.n))
        elif isinstance(leaf, spaces.MultiBinary):
            heads[path] = Space(tuple(leaf.shape), "int32", classes=2)
        elif isinstance(leaf, spaces.MultiDiscrete):
            heads |= _multi_discrete_heads(path, leaf)
        elif not isinstance(leaf, spaces.Box):
            raise BadInput(f"{place}; an agent can act in {OBSERVED}. Wrap the environment (gymnasium.wrappers).")
        elif not (leaf.is_bounded() and np.isfinite(leaf.low).all() and np.isfinite(leaf.high).all()):
            raise BadInput(
                f"{place}, whose bounds are not finite. Actions in [-1, 1] are scaled to the bounds: declare finite ones, in "
                "the environment's action_space or with gymnasium.wrappers.TransformAction around it."
            )
        elif prod(leaf.shape):
            heads[path] = Space(tuple(leaf.shape), "float32")
    return heads


def _multi_discrete_heads(path: SpacePath, space: Any) -> dict[SpacePath, Space]:
    """One head of several choices where all have as many classes; else one head for each."""
    sizes = {int(n) for n in space.nvec.flat}
    if len(sizes) == 1:
        return {path: Space(tuple(space.shape), "int32", classes=sizes.pop())}
    return {(*path, *index): Space((), "int32", classes=int(n)) for index, n in np.ndenumerate(space.nvec)}


def _assemble(space: Any, values: Mapping[SpacePath, np.ndarray], path: SpacePath) -> Any:
    """The simulator's action from the agent's values by place."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return {key: _assemble(inner, values, (*path, key)) for key, inner in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_assemble(inner, values, (*path, index)) for index, inner in enumerate(space.spaces))
    if isinstance(space, spaces.Discrete):
        return space.start + int(values[path])
    if isinstance(space, spaces.Box):
        return _scale(space, values[path]) if path in values else np.zeros(space.shape, space.dtype)
    if isinstance(space, spaces.MultiDiscrete):
        index = values.get(path)
        if index is None:
            index = np.array([int(values[*path, *i]) for i in np.ndindex(space.shape)]).reshape(space.shape)
        return (np.asarray(index) + space.start).astype(space.dtype)
    return np.asarray(values[path]).astype(space.dtype)


def _scale(box: Any, action: np.ndarray) -> np.ndarray:
    """[-1, 1] -> the bounds; whole numbers are rounded. Halves are taken first: no difference of two bounds overflows."""
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    unit = np.clip(np.asarray(action, np.float64), -1, 1).reshape(box.shape)
    scaled = np.clip(low / 2 + high / 2 + unit * (high / 2 - low / 2), low, high)
    if box.dtype.kind == "f":
        return np.asarray(scaled).astype(box.dtype)
    with np.errstate(invalid="ignore"):  # the largest int64 is no float64: its own bound stands for it
        whole = np.rint(scaled).astype(box.dtype)
    return np.where(unit == 1, box.high, np.where(unit == -1, box.low, whole)).astype(box.dtype)


# ---- Both


def _leaves(space: Any, path: SpacePath = ()) -> dict[SpacePath, Any]:
    """Every space that is no Dict and no Tuple, by its place."""
    from gymnasium import spaces

    inner: dict[Any, Any]
    if isinstance(space, spaces.Dict):
        inner = dict(space.items())
    elif isinstance(space, spaces.Tuple):
        inner = dict(enumerate(space.spaces))
    else:
        return {path: space}
    return {place: leaf for key, nested in inner.items() for place, leaf in _leaves(nested, (*path, key)).items()}


def _joined(path: SpacePath) -> str:
    return ".".join(map(str, path))


def _text(value: Any) -> str:
    """A space or value on one line of bounded length."""
    line = " ".join(str(value).split())
    return line if len(line) <= 120 else f"{line[:117]}..."
