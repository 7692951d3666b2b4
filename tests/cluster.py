"""What tests on the devcluster share: the cluster itself, the command line, and ways to wait."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from slurm import devcluster

ROOT = Path(__file__).parent.parent
PARTITIONS = ("low", "cancel", "high")


def skip_without_slurm():
    """SLURM's daemons: there in CI, and elsewhere a reason to skip."""
    if not all(shutil.which(program, path=devcluster.PATH) for program in devcluster.PACKAGES):
        assert not os.environ.get("CI"), "SLURM's packages are needed in CI (.ci/run installs them)"
        pytest.skip("needs Debian's slurmctld, slurmd, slurm-client and munge")


@contextmanager
def running(folder, **options):
    """A devcluster in a folder of its own, taken down whatever happens."""
    skip_without_slurm()
    os.environ["DREAMPROOF_DEVCLUSTER"] = str(folder)
    devcluster.up(**options)
    os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"
    try:
        yield
    finally:
        devcluster.down()
        del os.environ["DREAMPROOF_DEVCLUSTER"], os.environ["SLURM_CONF"]


def study(folder, **changes):
    """A study file of short runs of the agent that needs no torch."""
    tree = {
        "name": "grid",
        "agent": "random",
        "tasks": ["counter/vector"],
        "size": "nano",
        "seeds": 4,
        "steps": 200,
        "evaluate": {"noise": ["clean"], "episodes": 2},
        "resources": {"memory": "100M", "hours": 0.2},
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(tree | changes))
    return "grid.yaml"


def dreamproof(*arguments, cwd, status=0, environment=None):
    done = subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MUJOCO_GL": "egl", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(cwd, name="grid"):
    """`status --json` -> run -> row."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "status", name, "--json"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout, done.stderr
    return {row["run"]: row for row in json.loads(done.stdout)["runs"]}


def until(condition, seconds=120.0, every=0.3, what="it"):
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"{what} did not happen within {seconds:.0f} seconds"
        time.sleep(every)
    return value


def finished(cwd, runs, name="grid"):
    """How many runs are done, by their markers."""
    return len(list((cwd / "runs" / name).glob("*/done"))) == runs


def idle():
    """Whether the queue is empty: a job stays in it for a moment after its last run is done."""
    return not subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout.strip()


_WAITING: dict[str, float] = {}  # job -> since when it has been seen waiting for its begin time


def start_requeued_jobs():
    """Requeued jobs wait two minutes by SLURM's rule; let those of the devcluster start after two seconds.

    Not at once: a node that has ended a job within the same second takes its next start for a replay of the old one
    ("Job credential revoked"), and the controller then ends the job for good.
    """
    pending = subprocess.run(["squeue", "-h", "-r", "-t", "PD", "-o", "%i %r"], capture_output=True, text=True).stdout
    waiting = {job for job, _, reason in (line.partition(" ") for line in pending.splitlines()) if reason == "BeginTime"}
    for job in _WAITING.keys() - waiting:
        del _WAITING[job]
    for job in waiting:
        if time.monotonic() - _WAITING.setdefault(job, time.monotonic()) > 2:
            subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], capture_output=True)


def requeue():
    """Put every running job back into the queue."""
    running = subprocess.run(["squeue", "-h", "-r", "-t", "R", "-o", "%A"], capture_output=True, text=True).stdout
    for job in running.split():
        subprocess.run(["scontrol", "requeue", job], capture_output=True)
