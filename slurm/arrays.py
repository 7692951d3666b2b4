"""From runs to job arrays: group runs by what they need, pack them, cut to the cluster's limits, write batch scripts."""

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

MEMORY = re.compile(r"(\d+)([KMGT]?)")


@dataclass(frozen=True)
class JobArray:
    """Tasks with equal resources. A task is the names of the runs that share one allocation.

    `at_once` is how many tasks run at a time: the `%N` of sbatch's --array.
    """

    resources: Resources
    tasks: tuple[tuple[str, ...], ...]
    at_once: int

    @property
    def minutes(self) -> int:
        return math.ceil(self.resources.hours * 60)

    @property
    def pack(self) -> int:
        """Runs of the largest task."""
        return max(map(len, self.tasks))

    @property
    def runs(self) -> int:
        return sum(map(len, self.tasks))

    @property
    def cpus(self) -> int:
        return self.resources.cpus * self.pack

    @property
    def memory(self) -> str:
        match = MEMORY.fullmatch(self.resources.memory)
        if match is None:
            raise BadInput(f"memory: {self.resources.memory!r} is not a number with K, M, G or T.")
        return f"{int(match[1]) * self.pack}{match[2]}"

    def __str__(self) -> str:
        gpus = f"{self.resources.gpus} GPU, " if self.resources.gpus else ""
        packing = f" of up to {self.pack} runs" if self.pack > 1 else ""
        throttle = f", {self.at_once} at a time" if self.at_once < len(self.tasks) else ""
        size = f"{len(self.tasks)} task{'s' * (len(self.tasks) != 1)}{packing}"
        return f"{size}, each {gpus}{self.cpus} CPU, {self.memory}, {self.resources.hours:g} h{throttle}"


def group_into_arrays(needs: Mapping[str, Resources], limit: int) -> list[JobArray]:
    """Runs with their resources -> arrays of at most `limit` tasks. Arrays of equal resources share a study's `parallel`."""
    groups: dict[str, list[str]] = {}
    for run, resources in needs.items():
        groups.setdefault(resources.model_dump_json(), []).append(run)
    chunks = []
    for runs in groups.values():
        resources = needs[runs[0]]
        tasks = [tuple(runs[i : i + resources.pack]) for i in range(0, len(runs), resources.pack)]
        chunks += [(resources, tuple(tasks[i : i + limit])) for i in range(0, len(tasks), limit)]
    total = sum(len(tasks) for _, tasks in chunks)
    return [JobArray(resources, tasks, _tasks_at_once(resources, len(tasks), total)) for resources, tasks in chunks]


def batch_script(array: JobArray, *, name: str, folder: Path, number: int, profile: Profile, code: Path) -> str:
    """The exact text for sbatch, written by submitit.

    `folder` holds the array's files, `number` is the array's place in its submission, `code` is what the job imports.
    """
    import submitit

    class Executor(submitit.SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:
            return 2  # submitit asks for SLURM on this machine; a script can be written without it

    if re.search(r"[\n\r]", f"{folder}{code}"):
        raise BadInput(f"The path {str(folder)!r} has a line break. A batch script cannot name it.")
    profiles.refuse_reserved_options(array.resources.extra, "resources")
    executor = Executor(folder, python=profile.python)
    executor.update_parameters(**_parameters(array, profile), job_name=name, setup=_setup_lines(array, profile, code),
                               use_srun=False, stderr_to_stdout=True,
                               additional_parameters=_additional_options(array, folder, profile))  # fmt: skip
    executor.parameters["map_count"] = len(array.tasks)
    command = f"exec {executor.python} -u -m slurm.worker {shlex.quote(str(folder))} {number}"
    return executor._make_submission_file_text(command, "")


def warning_seconds(minutes: int, profile: Profile) -> int:
    """How long before its time limit SLURM warns a job: long enough for a checkpoint, a small share of a short limit."""
    return profile.signal_seconds or max(10, min(120, minutes * 60 // 5))


def _parameters(array: JobArray, profile: Profile) -> dict[str, Any]:
    """Options under the names that submitit has for them."""
    resources = array.resources
    return {
        "time": array.minutes,
        "cpus_per_task": array.cpus,
        "mem": array.memory,
        "array_parallelism": array.at_once,
        "wckey": None,  # submitit sets a key of its own, which clusters that check keys refuse
        "partition": resources.partition or profile.partition,
        "account": resources.account or profile.account,
        **({"gpus_per_node": resources.gpus} if resources.gpus else {}),
    }


def _additional_options(array: JobArray, folder: Path, profile: Profile) -> dict[str, Any]:
    """Options under sbatch's own names. Those of dreamproof come last: its jobs need them."""
    warning = warning_seconds(array.minutes, profile)
    # In a file name sbatch reads % as a pattern. `B:` sends the warning to the batch shell, which the worker replaces.
    output = str(folder).replace("%", "%%") + "/%A_%a.log"
    return {
        **profile.extra,
        **array.resources.extra,
        "output": output,
        "requeue": True,
        "signal": f"B:USR2@{warning}",
    }


def _setup_lines(array: JobArray, profile: Profile, code: Path) -> list[str]:
    threads = array.resources.cpus
    return [
        *(f"module load {module}" for module in profile.modules),
        *profile.setup,
        f"export PYTHONPATH={shlex.quote(str(code))} PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1",
        f"export OMP_NUM_THREADS={threads} MUJOCO_GL=${{MUJOCO_GL:-egl}}",
    ]


def _tasks_at_once(resources: Resources, tasks: int, total: int) -> int:
    """This array's share of the runs that the study lets run at a time, in tasks: at least one."""
    if resources.parallel is None:
        return tasks
    return min(tasks, max(1, round(resources.parallel / resources.pack * tasks / total)))
