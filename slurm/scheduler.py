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
INHERITED = re.compile(r"SLURM_|SLURMD_|SBATCH_|SRUN_")
ARRAY = 1001  # SLURM's default for MaxArraySize
NAMES = 200  # job names in one call


class Unreachable(RunFailed):
    """The scheduler is not there or does not answer."""


@dataclass(frozen=True)
class Job:
    """One task of an array, as the scheduler sees it."""

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
    """Output of a program of SLURM's. Raises Unreachable with what it said."""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=timeout, env=_environment(), stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise Unreachable(f"No {program} on this machine.") from None
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{program} did not answer within {timeout:.0f} seconds.") from None
    if done.returncode:
        raise Unreachable(f"{program}: {' '.join(done.stderr.split())[:400] or f'exit status {done.returncode}'}")
    return done.stdout


def jobs(names: Iterable[str]) -> list[Job]:
    """Every task of the arrays of these names that the scheduler still knows: waiting, running, or ended minutes ago."""
    return [
        job
        for some in _chunks(sorted(set(names)))
        for job in _jobs(call("squeue", "-h", "-r", "-t", "all", "-n", ",".join(some), "-o", "%F|%K|%T|%r|%j"))
    ]


def endings(names: Iterable[str]) -> list[Job]:
    """How tasks ended, by the accounting database; empty where the cluster has none."""
    try:
        return [
            _accounted(line)
            for some in _chunks(sorted(set(names)))
            for line in call("sacct", "-n", "-P", "-X", "-a", "-S", "now-30days", "--name", ",".join(some),
                             "-o", "JobID,State,JobName").splitlines()
            if re.match(r"\d+_\d+\|", line)
        ]  # fmt: skip
    except Unreachable:
        return []


def submit(script: Path, *options: str) -> str:
    """Hand a batch script to sbatch -> the job's number."""
    return call("sbatch", "--parsable", *options, str(script)).strip().split(";")[0]


def cancel(jobs: Sequence[Job]) -> None:
    """One scancel for whole arrays' worth of tasks, in chunks that fit a command line."""
    ids = [job.id for job in jobs]
    for at in range(0, len(ids), 500):
        call("scancel", *ids[at : at + 500])


def array_limit() -> int:
    """MaxArraySize, which caps a task's index; SLURM's default where it does not say."""
    try:
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.M)
    except Unreachable:
        match = None
    return int(match[1]) if match else ARRAY


def requeue(job: str) -> bool:
    """Ask SLURM to put a running job back into the queue; False where it or its client programs will not."""
    try:
        call("scontrol", "requeue", job)
    except Unreachable:
        return False
    return True


def described(job: str) -> dict[str, str]:
    """Fields of `scontrol show job`, of squeue where there is no scontrol; empty where neither can be asked."""
    try:
        return dict(field.partition("=")[::2] for field in call("scontrol", "-o", "show", "job", job).split())
    except Unreachable:
        pass
    try:
        said = call("squeue", "-h", "-j", job, "-t", "all", "-O", "State:|,RestartCnt:|,PreemptTime:|").split("|")
    except Unreachable:
        return {}
    return dict(zip(("JobState", "Restarts", "PreemptTime"), map(str.strip, said), strict=False))


def _jobs(text: str) -> Iterator[Job]:
    for line in text.splitlines():
        array, task, state, reason, name = line.split("|", 4)
        if task.isdigit():
            yield Job(name, array, int(task), state.split()[0], reason)


def _accounted(line: str) -> Job:
    job, state, name = line.split("|", 2)
    array, _, task = job.partition("_")
    return Job(name, array, int(task), state.split()[0])


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), NAMES):
        yield names[at : at + NAMES]


def _environment() -> dict[str, str]:
    """This process's environment without what a job inherits (sbatch would take it for options), and SLURM's settings:
    those that are set or installed, else the devcluster's."""
    keep = {"SLURM_CONF", "SLURM_TIME_FORMAT"}
    environment = {k: v for k, v in os.environ.items() if k in keep or not INHERITED.match(k)}
    settings = devcluster.conf()
    if settings and "SLURM_CONF" not in environment and not Path("/etc/slurm/slurm.conf").exists():
        environment["SLURM_CONF"] = str(settings)
    return environment
