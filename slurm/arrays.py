"""Runs -> job arrays: grouped by what they need, packed, cut to the cluster's limits, written as batch scripts."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadInput
from harness.study import Resources
from slurm import profile as profiles
from slurm.profile import Profile


@dataclass(frozen=True)
class Array:
    """Tasks that need the same, each with the names of the runs that share its allocation. `at_once`: the `%N` of sbatch."""

    resources: Resources
    tasks: tuple[tuple[str, ...], ...]
    at_once: int

    @property
    def minutes(self) -> int:
        return math.ceil(self.resources.hours * 60)

    @property
    def pack(self) -> int:
        return max(map(len, self.tasks))

    @property
    def runs(self) -> int:
        return sum(map(len, self.tasks))

    @property
    def cpus(self) -> int:
        return self.resources.cpus * self.pack

    @property
    def memory(self) -> str:
        number, unit = re.fullmatch(r"(\d+)([KMGT]?)", self.resources.memory).groups()
        return f"{int(number) * self.pack}{unit}"

    def __str__(self) -> str:
        gpus = f"{self.resources.gpus} GPU, " if self.resources.gpus else ""
        packed = f" of up to {self.pack} runs" if self.pack > 1 else ""
        throttle = f", {self.at_once} at a time" if self.at_once < len(self.tasks) else ""
        size = f"{len(self.tasks)} task{'s' * (len(self.tasks) != 1)}{packed}"
        return f"{size}, each {gpus}{self.cpus} CPU, {self.memory}, {self.resources.hours:g} h{throttle}"


def arrays(needs: Mapping[str, Resources], limit: int) -> list[Array]:
    """`needs`: run -> resources. Arrays of at most `limit` tasks; a study's `parallel` is shared out among them."""
    groups: dict[str, list[str]] = {}
    for run, resources in needs.items():
        groups.setdefault(resources.model_dump_json(), []).append(run)
    made = []
    for runs in groups.values():
        resources = needs[runs[0]]
        tasks = [tuple(runs[at : at + resources.pack]) for at in range(0, len(runs), resources.pack)]
        chunks = [tuple(tasks[at : at + limit]) for at in range(0, len(tasks), limit)]
        made += [(resources, chunk) for chunk in chunks]
    total = sum(len(tasks) for _, tasks in made)
    return [Array(resources, tasks, _share(resources, len(tasks), total)) for resources, tasks in made]


def script(array: Array, *, name: str, folder: Path, number: int, profile: Profile, code: Path) -> str:
    """The exact text for sbatch, made by submitit. `folder` holds the array's files; `code` is what the job imports."""
    import submitit

    class Executor(submitit.SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:
            return 2  # a script can be written where there is no SLURM

    if re.search(r"[\n\r]", f"{folder}{code}"):
        raise BadInput(f"The path {str(folder)!r} has a line break, which a batch script cannot name.")
    profiles.refuse_ours(array.resources.extra, "resources")
    executor = Executor(folder, python=profile.python)
    executor.update_parameters(**_parameters(array, profile), job_name=name, setup=_setup(array, profile, code), use_srun=False,
                               stderr_to_stdout=True, additional_parameters=_additional(array, folder, profile))  # fmt: skip
    executor.parameters["map_count"] = len(array.tasks)
    command = f"exec {executor.python} -u -m slurm.worker {shlex.quote(str(folder))} {number}"
    return executor._make_submission_file_text(command, "")


def warning_seconds(minutes: int, profile: Profile) -> int:
    """How long before its time limit a job is warned: enough to checkpoint, and little of a short limit."""
    return profile.signal_seconds or max(10, min(120, minutes * 60 // 5))


def _parameters(array: Array, profile: Profile) -> dict[str, Any]:
    need = array.resources
    return {
        "time": array.minutes,
        "cpus_per_task": array.cpus,
        "mem": array.memory,
        "array_parallelism": array.at_once,
        "wckey": None,  # submitit's own would be refused where keys are checked
        "partition": need.partition or profile.partition,
        "account": need.account or profile.account,
        **({"gpus_per_node": need.gpus} if need.gpus else {}),
    }


def _additional(array: Array, folder: Path, profile: Profile) -> dict[str, Any]:
    warning = warning_seconds(array.minutes, profile)
    ours = {"output": str(folder).replace("%", "%%") + "/%A_%a.log", "requeue": True, "signal": f"B:USR2@{warning}"}
    return {**profile.extra, **array.resources.extra, **ours}


def _setup(array: Array, profile: Profile, code: Path) -> list[str]:
    threads = array.resources.cpus
    return [
        *(f"module load {module}" for module in profile.modules),
        *profile.setup,
        f"export PYTHONPATH={shlex.quote(str(code))} PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1",
        f"export OMP_NUM_THREADS={threads} MUJOCO_GL=${{MUJOCO_GL:-egl}}",
    ]


def _share(resources: Resources, tasks: int, total: int) -> int:
    if resources.parallel is None:
        return tasks
    return min(tasks, max(1, round(resources.parallel / resources.pack * tasks / total)))
