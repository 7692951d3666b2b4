"""The door between environment and agent: every reset and step of any suite is checked against the declared spaces.

What passes has the keys, shapes and dtypes of the spec and finite values; a reward is a finite number. Nothing is cast.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from agents.protocol import Arrays, Spec
from harness.env import Env, Mismatch, Step
from harness.errors import BadInput, RunFailed


class Door:
    """An `Env` around another. RunFailed names the environment, the key, the step, what came and what was declared.

    `quiet`: an error of the environment itself is not printed with its traceback.
    """

    def __init__(self, env: Env, task: str, *, quiet: bool = False):
        self.spec: Spec = env.spec
        self._env, self._task = env, task
        self._seed, self._step, self._quiet = 0, 0, quiet
        self._declared = [(key, s.shape, np.dtype(s.dtype), s.dtype == "float32") for key, s in env.spec.obs.items()]

    @property
    def native(self) -> Callable[[np.ndarray], np.ndarray] | None:
        return self._env.native

    @native.setter
    def native(self, perturb: Callable[[np.ndarray], np.ndarray] | None) -> None:
        self._env.native = perturb

    def reset(self, seed: int) -> Arrays:
        self._seed, self._step = seed, 0
        try:
            obs = self._env.reset(seed)
            self.check(obs)
        except (BadInput, RunFailed):
            raise
        except Exception as error:
            self._fail(error)
        return obs

    def step(self, action: np.ndarray) -> Step:
        self._step += 1
        try:
            step = self._env.step(action)
            self.check(step.obs)
            if not math.isfinite(step.reward):
                raise Mismatch("reward", str(step.reward), "a finite number")
        except (BadInput, RunFailed):
            raise
        except Exception as error:
            self._fail(error)
        return step

    def close(self) -> None:
        self._env.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)  # what else an environment offers, such as `step_bare`

    def check(self, obs: Arrays) -> None:
        """Mismatch where an observation is not as declared."""
        if len(obs) != len(self._declared):
            self._check_keys(obs)
        for key, shape, dtype, is_float in self._declared:
            array = obs.get(key)
            if array is None:
                self._check_keys(obs)
            if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
                got = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}".strip()
                raise Mismatch(key, got, f"{dtype} {shape}")
            # The sum is finite if all values are, but for an overflow, which the second look excludes.
            if is_float and not math.isfinite(np.add.reduce(array)) and not np.isfinite(array).all():
                index = int(np.argmin(np.isfinite(array)))
                raise Mismatch(key, f"{array.flat[index]} at [{index}]", f"finite {dtype} {shape}")

    def _check_keys(self, obs: Arrays) -> None:
        got, declared = sorted(obs), sorted(key for key, *_ in self._declared)
        if got != declared:
            raise Mismatch("observation", f"a dict of {', '.join(got)}", f"a dict of {', '.join(declared)}")

    def _fail(self, error: Exception) -> NoReturn:
        place = f"{self._task}, step {self._step} of the episode with seed {self._seed}"
        if isinstance(error, Mismatch):
            raise RunFailed(f"{place}: {error}. {_remedy(self._task, error)}") from error
        if not self._quiet:
            traceback.print_exception(error)
        line = str(error).strip().splitlines()
        text = f"{type(error).__name__}: {line[-1]}" if line else type(error).__name__
        log = "" if self._quiet else " (log.txt has the traceback)"
        raise RunFailed(f"{place}: the environment raised {text}{log}") from error


def _remedy(task: str, error: Mismatch) -> str:
    if not error.finite or "finite" in error.declared:
        return "Correct the environment: nothing can be learned from such a value."
    if task.startswith("gym/") and " at [" in error.got:
        return "Correct the environment or its space, or take such values with --set env.options.bounds=ignore."
    return "Correct the environment or its space."
