"""The devcluster with slurmdbd and MariaDB: what sacct knows when slurmctld has forgotten."""

import subprocess

import cluster
import pytest
from cluster import dreamproof, until

from harness import rundir
from slurm import devcluster

pytestmark = pytest.mark.xdist_group("slurm")
LEARNER = {"agent": "dreamer", "set": {"env.envs": 1, "train.batch_size": 4, "train.batch_length": 16, "train.ratio": 16}}


def jobs(state="all"):
    done = subprocess.run(["squeue", "-h", "-r", "-t", state, "-o", "%i %j %T"], capture_output=True, text=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_with_accounting_the_end_of_a_forgotten_job_is_known(tmp_path_factory, tmp_path):
    """slurmctld forgets an ended job after minutes; here its memory is taken by a restart without its saved state."""
    with cluster.running(tmp_path_factory.mktemp("accounting") / "dev", accounting=True):
        study = cluster.study(tmp_path, seeds=1, steps=10_000_000, **LEARNER, resources={"memory": "1G", "hours": 1})
        dreamproof("submit", study, cwd=tmp_path)
        until(lambda: list(tmp_path.glob("runs/grid/*/claim")))
        subprocess.run(["scancel", "--name", jobs()[0][1]], check=True)  # not by our verb: nothing marks it as cancelled
        until(lambda: [line for line in accounted() if line[1].startswith("CANCELLED")])
        until(lambda: not jobs("R,CG,PD"))
        run = rundir.find_runs([tmp_path / "runs"])[0]
        until(lambda: not (run.path / "claim").exists())
        run.set_state(state="running", message="")  # as if it had been killed before it could say anything
        devcluster.kill("slurmctld")
        for path in (devcluster.root() / "state").glob("job_state*"):
            path.unlink()
        devcluster.start("slurmctld")
        row = until(lambda: next(iter(cluster.rows(tmp_path).values())) if not jobs() else None)
        assert (row["state"], row["message"]) == ("cancelled", "its job was cancelled")
        for number, ended, kind in ((11, "lost", "memory"), (7, "lost", "node"), (6, "timeout", "time")):
            recorded_as(number)  # nothing here can make the kernel's limits or a node end a job like this
            row = next(iter(cluster.rows(tmp_path).values()))
            assert (row["state"], row["kind"], row["job"]) == (ended, kind, None)
            assert f"dreamproof submit {study}" in dreamproof("status", study, cwd=tmp_path)


def recorded_as(state):
    """Let the database say that every job ended in this state (slurmdb.h: 6 time limit, 7 node failure, 11 out of memory)."""
    client = ["mariadb", f"--socket={devcluster.root()}/mariadb.sock", "--user=root", "slurm"]
    subprocess.run([*client, "-e", f"update dev_job_table set state = {state}"], check=True)


def accounted():
    done = subprocess.run(["sacct", "-n", "-P", "-X", "-o", "JobID,State"], capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]
