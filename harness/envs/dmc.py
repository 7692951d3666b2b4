"""DeepMind Control suite from its state vectors: the tasks of `dm_control.suite`, spelled `cartpole_swingup`.

Observations are the suite's own dict entries as flat float32 vectors. Episodes last 1000 simulator steps and end there
by truncation; `terminated` is a discount of 0. Left out: lqr, whose forces and episodes have no bounds and whose
simulation diverges under random actions. Settings: DreamerV3 (Hafner et al., arXiv:2301.04104, Nature 2025).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.child import gl_environment
from harness.env import Step, Suite
from harness.errors import BadInput

if TYPE_CHECKING:
    from dm_control.rl import control

LIMIT = 1000  # simulator steps: every task's own limit, and the bound of `repeat`
DOMAINS = {
    "acrobot": ("swingup", "swingup_sparse"),
    "ball_in_cup": ("catch",),
    "cartpole": ("balance", "balance_sparse", "swingup", "swingup_sparse", "two_poles", "three_poles"),
    "cheetah": ("run",),
    "dog": ("stand", "walk", "trot", "run", "fetch"),
    "finger": ("spin", "turn_easy", "turn_hard"),
    "fish": ("upright", "swim"),
    "hopper": ("stand", "hop"),
    "humanoid": ("stand", "walk", "run", "run_pure_state"),
    "humanoid_CMU": ("stand", "walk", "run"),
    "manipulator": ("bring_ball", "bring_peg", "insert_ball", "insert_peg"),
    "pendulum": ("swingup",),
    "point_mass": ("easy", "hard"),
    "quadruped": ("walk", "run", "escape", "fetch"),
    "reacher": ("easy", "hard"),
    "stacker": ("stack_2", "stack_4"),
    "swimmer": ("swimmer6", "swimmer15"),
    "walker": ("stand", "walk", "run"),
}
NAMES = {f"{domain}_{task}": (domain, task) for domain, tasks in DOMAINS.items() for task in tasks}
TASKS = tuple(NAMES)
SUITE = Suite(
    steps=1_000_000,
    repeat=1,
    envs=16,
    ratio=1024,
    pixels=False,
    vectors=True,
    source="DreamerV3 (arXiv:2301.04104, Nature 2025), DMC proprio; dm_control (arXiv:2006.12983)",
    options={"repeat": 1},
    modules=("dm_control", "mujoco"),
)


def check_options(task: str, options: Mapping[str, object]) -> None:
    """BadInput for a number of repeats that no task takes."""
    repeat = options.get("repeat", 1)
    if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= LIMIT:
        raise BadInput(f"Option repeat={repeat!r} of {task} must be a whole number from 1 to {LIMIT}.")


def make(task: str, repeat: int = 1) -> Control:
    return Control(*NAMES[task], repeat=repeat)


class Control:
    """One task of the suite. `repeat` simulator steps per action, their rewards summed."""

    def __init__(self, domain: str, task: str, *, repeat: int):
        self.native: Callable[[np.ndarray], np.ndarray] | None = None
        self._name, self._repeat = (domain, task), repeat
        self._sim = _load_task(domain, task, seed=0)
        action = self._sim.action_spec()
        self._centre, self._half_range = (action.maximum + action.minimum) / 2, (action.maximum - action.minimum) / 2
        self.spec = Spec(self._spaces(), Space(action.shape, "float32"))

    def reset(self, seed: int) -> Arrays:
        self._sim.task.random.seed(seed % 2**32)
        return self._observe(self._sim.reset().observation)

    def step(self, action: np.ndarray) -> Step:
        scaled_action = self._centre + self._half_range * np.clip(np.asarray(action, np.float64), -1, 1)
        reward = 0.0
        for _ in range(self._repeat):
            time_step = self._sim.step(scaled_action)
            reward += float(time_step.reward)
            if time_step.last():
                break
        terminated = time_step.last() and time_step.discount == 0
        return Step(self._observe(time_step.observation), reward, terminated, time_step.last() and not terminated)

    def step_bare(self, action: np.ndarray) -> bool:
        """The simulator's part of a step and nothing else -> whether the episode is over."""
        return any(self._sim.step(action).last() for _ in range(self._repeat))

    def close(self) -> None:
        self._sim.close()

    def _spaces(self) -> dict[str, Space]:
        shapes = {name: int(np.prod(spec.shape)) for name, spec in self._sim.observation_spec().items()}
        return {name: Space((size,), "float32") for name, size in shapes.items()}

    def _observe(self, observation: Arrays) -> Arrays:
        return {name: np.array(value, np.float32).reshape(-1) for name, value in observation.items()}


def _load_task(domain: str, task: str, seed: int) -> control.Environment:
    # dm_control chooses its renderer once, when it is imported, and raises where that renderer fails (PyOpenGL without
    # libEGL: AttributeError). State vectors need no renderer.
    os.environ.update(gl_environment())
    try:
        from dm_control import suite
    except (ImportError, AttributeError):
        os.environ["MUJOCO_GL"] = "disable"
        from dm_control import suite

    return suite.load(domain, task, task_kwargs={"random": seed})
