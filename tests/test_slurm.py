"""Grids on a real SLURM: munge, slurmctld and two slurmd of the devcluster, without accounting and with it."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cluster
import pytest
from cluster import dreamproof, until

from harness import rundir
from slurm import devcluster

pytestmark = pytest.mark.xdist_group("slurm")
ONE_BY_ONE = {"memory": "1G", "hours": 1, "parallel": 1}
LEARNER = {"agent": "dreamer", "set": {"env.envs": 1, "train.batch_size": 4, "train.batch_length": 16, "train.ratio": 16}}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster.running(tmp_path_factory.mktemp("slurm") / "dev"):
        yield


def jobs(state="all"):
    done = subprocess.run(["squeue", "-h", "-r", "-t", state, "-o", "%i %j %T"], capture_output=True, text=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_up_twice_is_up_once_and_down_leaves_nothing(slurm):
    assert "up already" in devcluster.up()
    assert {line.split()[0] for line in devcluster.status().splitlines()[1:]} == {"n1", "n2"}
    partitions = subprocess.run(["scontrol", "show", "partition"], capture_output=True, text=True).stdout
    assert all(f"PartitionName={name}" in partitions for name in cluster.PARTITIONS)


def test_a_grid_runs_once_and_a_second_submission_says_so(slurm, tmp_path):
    resources = {"memory": "100M", "hours": 0.2, "pack": 2, "parallel": 4, "env_workers": 1}
    study = cluster.study(tmp_path, seeds=5, resources=resources)
    assert "5 of 5 runs submitted in 1 arrays" in dreamproof("submit", study, cwd=tmp_path)
    assert "Nothing to submit" in dreamproof("submit", study, cwd=tmp_path)
    until(lambda: cluster.finished(tmp_path, 5))
    until(lambda: all(r["job"] is None for r in cluster.rows(tmp_path).values()))
    assert "5 done" in dreamproof("submit", study, cwd=tmp_path)
    assert len(list((tmp_path / "runs/grid/.jobs").glob("2*"))) == 1
    runs = rundir.find_runs([tmp_path / "runs"])
    assert [run.state["attempt"] for run in runs] == [1] * 5
    assert [run.provenance["env_workers"] for run in runs] == [1] * 5
    tasks = json.loads(next((tmp_path / "runs/grid/.jobs").glob("*/array-0.json")).read_text())["tasks"]
    assert [len(task) for task in tasks] == [2, 2, 1]
    assert all(run.state["job"].split("_")[0].isdigit() for run in runs)
    assert "5 done" in dreamproof("status", study, cwd=tmp_path)


def test_two_people_who_submit_at_the_same_moment_send_a_cell_once(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=6)
    with ThreadPoolExecutor(3) as pool:
        outputs = list(pool.map(lambda _: dreamproof("submit", study, cwd=tmp_path), range(3)))
    assert sum("6 of 6 runs submitted" in text for text in outputs) == 1
    assert sum("Nothing to submit" in text for text in outputs) == 2
    until(lambda: cluster.finished(tmp_path, 6))
    assert [run.state["attempt"] for run in rundir.find_runs([tmp_path / "runs"])] == [1] * 6


def test_a_dry_run_is_the_text_that_sbatch_accepts(slurm, tmp_path):
    extra = {"nice": 10, "mail-user": "a.b@example.org"}
    study = cluster.study(tmp_path, seeds=3, resources={"memory": "1G", "cpus": 2, "hours": 1.5, "parallel": 2, "extra": extra})
    done = subprocess.run([sys.executable, "-m", "harness", "submit", study, "--dry-run"], cwd=tmp_path, text=True,
                          env={**os.environ, "PYTHONPATH": str(cluster.ROOT)}, capture_output=True, check=True)  # fmt: skip
    text = done.stdout
    for line in ("--array=0-2%2", "--cpus-per-task=2", "--mem=1G", "--time=90", "--nice=10", "--mail-user=a.b@example.org"):
        assert f"#SBATCH {line}\n" in text
    assert not (tmp_path / "runs").exists()
    subprocess.run(["sbatch", "--test-only", "/dev/stdin"], input=text, text=True, check=True, capture_output=True)


def test_editing_the_code_does_not_change_a_queued_grid(slurm, tmp_path):
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("agents", "harness", "ablations", "results", "slurm"):
        subprocess.run(["cp", "-r", cluster.ROOT / name, copy / name], check=True)
    study = cluster.study(tmp_path, seeds=1, resources={"memory": "100M", "hours": 0.2, "extra": {"begin": "now+3"}})
    dreamproof("submit", study, cwd=tmp_path, environment={"PYTHONPATH": str(copy)})
    (copy / "slurm" / "worker.py").write_text("raise SystemExit('edited')")
    (copy / "harness" / "run.py").write_text("raise SystemExit('edited')")
    until(lambda: cluster.finished(tmp_path, 1))
    run = rundir.find_runs([tmp_path / "runs"])[0]
    recorded = json.loads(next((tmp_path / "runs/grid/.jobs").glob("*/submission.json")).read_text())
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert provenance["git"] == recorded["code"] and recorded["code"]["snapshot"]


def test_cancelled_runs_stop_after_a_checkpoint_and_submit_continues_them(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=2, steps=10_000_000, resources=ONE_BY_ONE, **LEARNER)
    dreamproof("submit", study, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/grid/*/checkpoint/step-*")), what="a checkpoint")
    assert "1 waiting and 1 running" in dreamproof("cancel", study, cwd=tmp_path)
    until(lambda: not [j for j in jobs("PD,R,CG") if j[1].startswith("grid")])
    assert {row["state"] for row in cluster.rows(tmp_path).values()} == {"cancelled"}
    steps = {row["run"]: row["step"] for row in cluster.rows(tmp_path).values()}
    assert max(steps.values()) > 0
    assert "2 of 2 runs submitted" in dreamproof("submit", study, cwd=tmp_path)
    until(lambda: any(row["state"] == "running" and row["attempt"] == 2 for row in cluster.rows(tmp_path).values()))
    assert all(row["step"] >= steps[name] for name, row in cluster.rows(tmp_path).items())
    dreamproof("cancel", study, cwd=tmp_path)


def test_a_job_that_is_killed_is_lost_and_sent_again(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=1, steps=10_000_000, **LEARNER)
    dreamproof("submit", study, cwd=tmp_path)
    claim = until(lambda: list(tmp_path.glob("runs/grid/*/checkpoint/step-*")) and next(tmp_path.glob("runs/grid/*/claim")))
    child = json.loads(claim.read_text())["pid"]
    parent = int(subprocess.run(["ps", "-o", "ppid=", "-p", str(child)], capture_output=True, text=True).stdout)
    os.kill(parent, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    until(lambda: [row["state"] for row in cluster.rows(tmp_path).values()] == ["lost"])
    assert "1 lost" in dreamproof("status", study, cwd=tmp_path)
    assert "1 of 1 runs submitted" in dreamproof("submit", study, cwd=tmp_path)
    until(lambda: [(r["state"], r["attempt"]) for r in cluster.rows(tmp_path).values()] == [("running", 2)])
    dreamproof("cancel", study, cwd=tmp_path)


def test_an_array_of_two_hundred_runs_loses_nothing(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=200, resources={"memory": "100M", "hours": 0.2, "pack": 2})
    dreamproof("submit", study, cwd=tmp_path)
    until(lambda: cluster.finished(tmp_path, 200), seconds=500, every=1)
    runs = rundir.find_runs([tmp_path / "runs"])
    assert [run.state["attempt"] for run in runs] == [1] * 200
    assert all([r["episode"] for r in run.rows("episodes") if r["split"] == "eval"] == [0, 1] for run in runs)
    assert "200 done" in dreamproof("status", study, cwd=tmp_path)


def test_doctor_checks_slurm_and_the_profile(slurm, tmp_path):
    (tmp_path / "cluster.yaml").write_text("partition: low\nlimits: {array: 500}\n")
    findings = {finding["what"]: finding for finding in json.loads(dreamproof("doctor", "--json", cwd=tmp_path))}
    for name in ("SLURM", "cluster profile", "torch", "suite counter", "rendering"):
        assert findings[name]["state"] == "works", findings[name]
    assert "low, cancel, high" in findings["SLURM"]["found"]
    (tmp_path / "cluster.yaml").write_text("partition: lo\nlimits: {array: 500}\n")
    assert "no partition lo" in dreamproof("doctor", cwd=tmp_path, status=1)
