"""The one place that talks to SLURM: squeue, sacct, scontrol, sbatch and scancel, a few calls for a whole grid."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RunFailed
from slurm import devcluster

ACTIVE = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "RESIZING", "SIGNALING",
          "STAGE_OUT", "STOPPED", "REQUEUE_FED", "SPECIAL_EXIT"}  # fmt: skip
WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
INHERITED = re.compile(r"SLURM_|SLURMD_|SBATCH_|SRUN_")  # variables of a job, which its children inherit
DEFAULT_ARRAY_LIMIT = 1001  # SLURM's default for MaxArraySize
NAMES_PER_CALL = 200
JOBS_PER_CALL = 500  # so that the command line stays short enough


class Unreachable(RunFailed):
    """The scheduler is not there or does not answer."""


@dataclass(frozen=True)
class Job:
    """One task of an array, as the scheduler reports it. `array`: the job number of the whole array."""

    name: str
    array: str
    task: int
    state: str
    reason: str = ""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def id(self) -> str:
        return f"{self.array}_{self.task}"


def available() -> bool:
    return shutil.which("sbatch") is not None


def configured() -> bool:
    """Whether this machine knows of a cluster at all."""
    return "SLURM_CONF" in _environment() or Path("/etc/slurm/slurm.conf").exists()


def call(program: str, *arguments: str, timeout: float = 60) -> str:
    """Output of a program of SLURM's. Raises Unreachable with the program's own message. `timeout` in seconds."""
    try:
        process = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=timeout, env=_environment(), stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise Unreachable(f"No {program} on this machine.") from None
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{program} did not answer within {timeout:.0f} seconds.") from None
    if process.returncode:
        raise Unreachable(f"{program}: {' '.join(process.stderr.split())[:400] or f'exit status {process.returncode}'}")
    return process.stdout


def query_queue(names: Iterable[str]) -> list[Job]:
    """Every task of the arrays of these names that the scheduler still knows: waiting, running, or ended minutes ago."""
    return [
        job
        for chunk in _chunks(sorted(set(names)))
        for job in _parse_squeue(call("squeue", "-h", "-r", "-t", "all", "-n", ",".join(chunk), "-o", "%F|%K|%T|%r|%j"))
    ]


def query_accounting(names: Iterable[str]) -> list[Job]:
    """The tasks of these arrays in the accounting database, with their last state. Empty where the cluster has none."""
    try:
        return [
            _parse_sacct_line(line)
            for chunk in _chunks(sorted(set(names)))
            for line in call("sacct", "-n", "-P", "-X", "-a", "-S", "now-30days", "--name", ",".join(chunk),
                             "-o", "JobID,State,JobName").splitlines()
            if re.match(r"\d+_\d+\|", line)
        ]  # fmt: skip
    except Unreachable:
        return []


def submit(script: Path, *options: str) -> str:
    """Pass a batch script to sbatch -> the job's number."""
    return call("sbatch", "--parsable", *options, str(script)).strip().split(";")[0]


def cancel(jobs: Sequence[Job]) -> None:
    ids = [job.id for job in jobs]
    for i in range(0, len(ids), JOBS_PER_CALL):
        call("scancel", *ids[i : i + JOBS_PER_CALL])


def array_limit() -> int:
    """MaxArraySize, which limits a task's index; SLURM's default where the cluster does not say."""
    try:
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.M)
    except Unreachable:
        match = None
    return int(match[1]) if match else DEFAULT_ARRAY_LIMIT


def requeue(job: str) -> bool:
    """Ask SLURM to put a running job back into the queue. False where SLURM refuses or there is no scontrol."""
    try:
        call("scontrol", "requeue", job)
    except Unreachable:
        return False
    return True


def describe_job(job: str) -> dict[str, str]:
    """Fields of `scontrol show job`; three of them by squeue where there is no scontrol. Empty where neither answers."""
    try:
        return dict(field.partition("=")[::2] for field in call("scontrol", "-o", "show", "job", job).split())
    except Unreachable:
        pass
    try:
        values = call("squeue", "-h", "-j", job, "-t", "all", "-O", "State:|,RestartCnt:|,PreemptTime:|").split("|")
    except Unreachable:
        return {}
    return dict(zip(("JobState", "Restarts", "PreemptTime"), map(str.strip, values), strict=False))


def _parse_squeue(text: str) -> Iterator[Job]:
    for line in text.splitlines():
        array, task, state, reason, name = line.split("|", 4)
        if task.isdigit():  # "N/A" for a job that is not an array
            yield Job(name, array, int(task), state.split()[0], reason)


def _parse_sacct_line(line: str) -> Job:
    job, state, name = line.split("|", 2)
    array, _, task = job.partition("_")
    return Job(name, array, int(task), state.split()[0])


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for i in range(0, len(names), NAMES_PER_CALL):
        yield names[i : i + NAMES_PER_CALL]


def _environment() -> dict[str, str]:
    """This process's environment for SLURM's programs.

    Without a job's own variables, which sbatch would read as options. With SLURM_CONF of the devcluster where neither a
    variable nor an installed file names a cluster.
    """
    settings = {"SLURM_CONF", "SLURM_TIME_FORMAT"}
    environment = {k: v for k, v in os.environ.items() if k in settings or not INHERITED.match(k)}
    conf = devcluster.conf()
    if conf and "SLURM_CONF" not in environment and not Path("/etc/slurm/slurm.conf").exists():
        environment["SLURM_CONF"] = str(conf)
    return environment
