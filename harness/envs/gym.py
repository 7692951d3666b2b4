"""Any Gymnasium environment: `gym/<id>`, for example `gym/CartPole-v1` or `gym/module:Name-v0` (imports the module first).

Observations: an image (`_views.py` says what is one) becomes uint8 (H, W, C), any other box a flat float32 `vector`, a choice
of classes (Discrete, MultiDiscrete, MultiBinary) a one-hot `vector`, and a Dict or Tuple its entries by key (nested ones
joined by "."). Actions: a box with bounds, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these, with one head
for each (`_spaces.py`). Other spaces are BadInput. Gymnasium's own TimeLimit truncates. The budget is only a default:
Gymnasium sets none. `dreamproof doctor --task gym/<id>` shows what the agent will see.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
from pydantic import Field

from agents.protocol import Arrays, Spec
from harness.config import validate
from harness.env import Mismatch, Step, Suite
from harness.envs import _spaces, _views
from harness.errors import BadInput, unknown


class GymOptions(_views.ViewOptions):
    """The options of the suite. Each is part of a run's identity where it is not the default."""

    kwargs: dict[str, Any] = Field(default_factory=dict, description="arguments of the environment")
    max_episode_steps: int | None = Field(None, ge=1, description="simulator steps after which an episode is truncated")
    render: bool = Field(False, description="observe what the environment renders (rgb_array) instead of its observations")
    action_repeat: int = Field(1, ge=1, le=1000, description="simulator steps per action; their rewards are summed")
    sticky: float = Field(0.0, ge=0, lt=1, description="probability that a simulator step repeats the action before")


TASKS = ()  # any registered id: see `make`
SUITE = Suite(
    steps=1_000_000,
    repeat=1,
    envs=1,
    ratio=32,
    pixels=None,
    vectors=None,
    source="Gymnasium (arXiv:2407.17032)",
    options={},
    extras=GymOptions().model_dump(mode="json"),
    modules=("gymnasium",),
)
PLAIN_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def check(task: str) -> None:
    """BadInput where there cannot be such an id. Whether there is one, only Gymnasium and the id's module know."""
    if not task.strip() or task.strip() != task:
        raise BadInput(f"A task of suite gym is written gym/ID or gym/MODULE:ID, not 'gym/{task}'.")


def check_options(task: str, options: Mapping[str, object]) -> None:
    """BadInput for an option or a value that the suite does not take."""
    validate(GymOptions, dict(options), f"env.options of gym/{task}")


def make(task: str, **options: Any) -> Gym:
    """The environment, with its own error as one paragraph where it cannot be made."""
    parsed = validate(GymOptions, options, f"env.options of gym/{task}")
    return Gym(task, _make_simulator(task, parsed), parsed)


class Gym:
    """A Gymnasium environment behind our protocol."""

    def __init__(self, task: str, env: Any, options: GymOptions):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        self._task, self._env, self._options = task, env, options
        spaces = self._rendered_space() if options.render else env.observation_space
        self._leaves = _spaces.observed_leaves(f"gym/{task}", spaces, lambda space: _unnamed(task, space, options))
        self.entries = {key: leaf.space for key, leaf in self._leaves.items()}
        self._views = _views.make_views(f"gym/{task}", self.entries, options)
        self.notes = [note for view in self._views.values() for note in view.notes]
        self._actions = _spaces.SimulatorActions(f"gym/{task}", env.action_space)
        self.spec = Spec({key: view.space for key, view in self._views.items()}, self._actions.space)
        self._rng, self._last_action = np.random.Generator(np.random.Philox(0)), None

    def reset(self, seed: int) -> Arrays:
        if self._options.sticky:
            self._rng, self._last_action = np.random.Generator(np.random.Philox(seed)), None
        return self._observe(_reset(self._task, self._env, seed))

    def step(self, action: np.ndarray) -> Step:
        simulator_action = self._actions(action)
        obs, reward, terminated, truncated, _ = self._env.step(self._sticky_action(simulator_action))
        total = _number(reward)
        for _ in range(self._options.action_repeat - 1):
            if terminated or truncated:
                break
            obs, reward, terminated, truncated, _ = self._env.step(self._sticky_action(simulator_action))
            total += _number(reward)
        return Step(self._observe(obs), total, bool(terminated), bool(truncated) and not terminated)

    def close(self) -> None:
        self._env.close()

    def _sticky_action(self, action: Any) -> Any:
        """The action of one simulator step: with the probability `sticky` the one before."""
        if self._options.sticky:
            if self._last_action is not None and self._rng.random() < self._options.sticky:
                return self._last_action
            self._last_action = action
        return action

    def _observe(self, obs: Any) -> Arrays:
        if self._options.render:
            obs = self._env.render()
        return {key: view(self._leaves[key].look_up(obs), self.native) for key, view in self._views.items()}

    def _rendered_space(self) -> Any:
        """The space of rendered frames: only a frame says how large they are."""
        from gymnasium import spaces

        _reset(self._task, self._env, 0)
        frame = self._env.render()
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3:
            raise BadInput(f"gym/{self._task} renders no uint8 image (H, W, C) in render mode rgb_array, but {type(frame)}.")
        return spaces.Box(0, 255, frame.shape, np.uint8)


# ---- Making the simulator


def _make_simulator(task: str, options: GymOptions) -> Any:
    import gymnasium

    settings = dict(options.kwargs)
    settings |= {"render_mode": "rgb_array"} if options.render else {}
    settings |= {"max_episode_steps": options.max_episode_steps} if options.max_episode_steps else {}
    try:
        _check_id(task)
        _check_arguments(task, options.kwargs)
        return gymnasium.make(task, **settings)
    except BadInput:
        raise
    except ModuleNotFoundError as error:
        raise BadInput(f"Cannot make gym/{task}: {error}. {_missing_module_remedy(task, error)}") from error
    except gymnasium.error.DependencyNotInstalled as error:
        raise BadInput(f"Cannot make gym/{task}: {_last_line(error)}") from error
    except gymnasium.error.Error as error:
        raise BadInput(f"Cannot make gym/{task}: {error}") from error
    except Exception as error:
        raise BadInput(f"Cannot make gym/{task}: {_last_line(error)}") from error


def _check_id(task: str) -> None:
    """BadInput, with the nearest match, unless the id is registered."""
    import gymnasium

    if ":" in task:
        return  # its module registers it when the environment is made
    registry = gymnasium.registry
    if task not in registry and not any(task == spec.name for spec in registry.values()):
        raise unknown("task", f"gym/{task}", [f"gym/{name}" for name in registry])


def _check_arguments(task: str, kwargs: Mapping[str, object]) -> None:
    """BadInput where the environment's signature has no such argument, needs another, or names another plain type."""
    import gymnasium
    from gymnasium.envs.registration import find_highest_version, load_env_creator, parse_env_id

    module, _, name = task.rpartition(":")
    if module:
        importlib.import_module(module)
    if name not in gymnasium.registry:
        namespace, plain, version = parse_env_id(name)
        highest = find_highest_version(namespace, plain) if version is None else None
        name = f"{name}-v{highest}" if highest is not None else name
    if name not in gymnasium.registry:
        return  # gymnasium.make says what is near
    spec = gymnasium.registry[name]
    creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    if creator is None:
        return
    try:
        parameters = inspect.signature(creator).parameters
    except (TypeError, ValueError):
        return  # a signature that cannot be read says nothing
    settable = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if not any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
        for argument in kwargs:
            if argument not in settable:
                raise unknown("argument", argument, settable or ["(none)"], f"env.options.kwargs of gym/{task}")
    provided = {*kwargs, *spec.kwargs}
    lacking = [n for n, p in settable.items() if p.default is p.empty and n not in provided]
    if lacking:
        names = ", ".join(lacking)
        raise BadInput(f"gym/{task} needs the argument {names}: add --set env.options.kwargs.{lacking[0]}=VALUE.")
    for argument, value in kwargs.items():
        _check_type(task, argument, value, settable.get(argument))


def _check_type(task: str, argument: str, value: object, parameter: inspect.Parameter | None) -> None:
    annotation = getattr(parameter, "annotation", None)
    declared = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    plain = PLAIN_TYPES.get(declared)
    is_flag = isinstance(value, bool) and declared != "bool"
    if plain is not None and (is_flag or not isinstance(value, plain)):
        raise BadInput(f"env.options.kwargs.{argument} of gym/{task} is {value!r}; the environment declares {declared}.")


def _missing_module_remedy(task: str, error: ModuleNotFoundError) -> str:
    """What to install, or where to put one's own module."""
    name = (error.name or "").split(".")[0]
    if task.startswith(f"{name}:") or task.startswith(f"{name}."):
        return "Is the folder of your module on PYTHONPATH?"
    requirements = metadata.requires("gymnasium") or []
    extras = [re.search(r"extra == ['\"]([\w-]+)", line) for line in requirements if re.match(rf"{re.escape(name)}\b", line)]
    names = [match.group(1) for match in extras if match and match.group(1) not in ("all", "testing")]
    return f"Install it: pip install 'gymnasium[{names[0]}]'." if names else f"Install the package that holds {name}."


def _reset(task: str, env: Any, seed: int) -> Any:
    obs, _ = env.reset(seed=int(seed))
    return obs


def _last_line(error: BaseException) -> str:
    """The last line of the error's own traceback."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[-1]}" if text else type(error).__name__


# ---- Values and spaces


def _number(reward: Any) -> float:
    """A reward as a number: also an array of one entry."""
    if isinstance(reward, float | int):
        return float(reward)
    try:
        array = np.asarray(reward, np.float64)
    except (TypeError, ValueError):
        raise Mismatch("reward", repr(reward)[:80], "a number") from None
    if array.size != 1:
        raise Mismatch("reward", f"an array of shape {array.shape}", "a number")
    return float(array.reshape(()))


def _unnamed(task: str, space: Any, options: GymOptions) -> str:
    """The key of an observation without one."""
    from gymnasium import spaces

    is_box = isinstance(space, spaces.Box)
    return "image" if is_box and _views.image_layout(f"gym/{task}", "", space, options) is not None else "vector"
