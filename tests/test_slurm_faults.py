"""What a cluster does to a grid: preemption, time limits, kills, restarts. All for real, on the devcluster."""

import json
import os
import shutil
import subprocess

import cluster
import numpy as np
import pytest
from cluster import dreamproof, until

from harness import checkpoint, rundir

pytestmark = pytest.mark.xdist_group("slurm")
HIGH = ["sbatch", "-p", "high", "-N", "2", "--exclusive", "-o", "/dev/null"]
LEARNER = {
    "agent": "dreamer",
    "seeds": 1,
    "steps": 1000,
    "set": {"env.envs": 1, "train.batch_size": 4, "train.batch_length": 16, "train.ratio": 16, "train.log_every": 100},
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster.running(tmp_path_factory.mktemp("faults") / "dev"):
        yield


def resources(**changes):
    return {"resources": {"memory": "500M", "hours": 0.5, **changes}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same grid, undisturbed, on this machine."""
    folder = tmp_path_factory.mktemp("whole")
    dreamproof("submit", cluster.study(folder, **LEARNER, **resources()), "--cluster", "local", cwd=folder)
    return rundir.find_runs([folder / "runs"])[0]


def timeless(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def same(a, b):
    for name in ("episodes", "metrics"):
        assert timeless(a.rows(name)) == timeless(b.rows(name)), name
    lhs, rhs = (checkpoint.load(run.path / "checkpoint").arrays["agent"] for run in (a, b))
    assert lhs.keys() == rhs.keys()
    assert all(np.array_equal(lhs[k], rhs[k], equal_nan=lhs[k].dtype.kind == "f") for k in lhs)


def saved(cwd):
    return list(cwd.glob("runs/grid/*/checkpoint/step-*"))


def training(cwd):
    """An episode has been played: the run is past its first step."""
    return any(path.stat().st_size for path in cwd.glob("runs/grid/*/episodes.jsonl"))


def the_run(cwd):
    return rundir.find_runs([cwd / "runs"])[0]


def until_requeued(condition, **options):
    """As `until`; meanwhile requeued jobs do not wait for their begin time."""
    until(lambda: cluster.start_requeued_jobs() is None and condition(), **options)


def test_preempted_runs_come_back_and_end_like_undisturbed_ones(slurm, whole, tmp_path):
    """`low` is requeued by SLURM itself; in `cancel` that is not so, and the job submits itself again."""
    folders = {name: tmp_path / name for name in ("low", "cancel")}
    for name, folder in folders.items():
        folder.mkdir()
        dreamproof("submit", cluster.study(folder, **LEARNER, **resources(partition=name)), cwd=folder)
    until(lambda: all(map(training, folders.values())), what="training of both")
    subprocess.run([*HIGH, "--wrap", "sleep 1"], check=True, cwd=tmp_path)
    until_requeued(lambda: all(the_run(f).state["attempt"] == 2 for f in folders.values()), what="second attempts")
    until(lambda: all(cluster.finished(folder, 1) for folder in folders.values()))
    logs = {name: "".join(p.read_text() for p in folder.glob("runs/grid/.jobs/*/*.log")) for name, folder in folders.items()}
    assert "SLURM has requeued this task" in logs["low"] and "restart 1" in logs["low"]
    assert "submitted again as job" in logs["cancel"] and len(list(folders["cancel"].glob("runs/grid/.jobs/*/*.log"))) == 2
    for folder in folders.values():
        run = the_run(folder)
        assert (run.state["state"], run.state["attempt"], run.state.get("failures", [])) == ("done", 2, [])
        same(whole, run)


def test_a_time_limit_is_met_with_a_checkpoint_and_the_run_goes_on(slurm, tmp_path):
    study = cluster.study(tmp_path, **LEARNER | {"steps": 10_000_000}, **resources(hours=1 / 60))
    dreamproof("submit", study, cwd=tmp_path)
    until_requeued(lambda: the_run(tmp_path).state["attempt"] == 2, what="a second attempt", seconds=600)
    state = the_run(tmp_path).state
    assert [failure["kind"] for failure in state["failures"]] == ["time"] and "time limit of 1 minutes after step-" in str(
        state
    )
    assert state["restarts"] == 1 and state["step"] > 0
    dreamproof("cancel", study, cwd=tmp_path)


def test_a_run_that_fails_the_same_way_three_times_is_left_with_its_reason(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=1)
    dreamproof("submit", study, cwd=tmp_path)
    until(lambda: cluster.finished(tmp_path, 1) and cluster.idle())  # what is done by hand below, its job must not see
    run = the_run(tmp_path)
    for name in ("done", "state.json", "episodes.jsonl"):
        (run.path / name).unlink()
    (run.path / "episodes.jsonl").mkdir()  # a bug: nothing can be written there
    dreamproof("submit", study, cwd=tmp_path)
    until(lambda: given_up(run))
    row = next(iter(cluster.rows(tmp_path).values()))
    assert row["attempt"] == 3 and "IsADirectoryError" in row["message"] and "3 times in a row" in row["message"]
    assert "Nothing to submit" in dreamproof("submit", study, cwd=tmp_path)
    output = dreamproof("status", study, cwd=tmp_path, status=1)
    assert "dreamproof retry" in output and "1 failed (bug)" in output
    (run.path / "episodes.jsonl").rmdir()
    dreamproof("retry", study, cwd=tmp_path)
    until(lambda: cluster.finished(tmp_path, 1))
    assert "IsADirectoryError" in dreamproof("logs", run.name, cwd=tmp_path)


def given_up(run):
    """Failed for good: between two attempts a run is `failed` for a moment too."""
    return run.state["state"] == "failed" and "times in a row" in run.state["message"]


def without_scontrol(folder):
    """A profile whose nodes have every program that is needed but scontrol."""
    place = folder / "bin"
    place.mkdir()
    for program in ("sbatch", "squeue", "bash", "git", "uname", "hostname"):
        if path := shutil.which(program):
            (place / program).symlink_to(path)
    (folder / "cluster.yaml").write_text(json.dumps({"setup": [f"export PATH={place}"], "partition": "cancel"}))


def test_a_preempted_run_comes_back_where_nodes_have_no_scontrol(slurm, whole, tmp_path):
    study = cluster.study(tmp_path, **LEARNER, **resources())
    without_scontrol(tmp_path)
    dreamproof("submit", study, cwd=tmp_path)
    until(lambda: training(tmp_path))
    subprocess.run([*HIGH, "--wrap", "sleep 1"], check=True, capture_output=True)
    until(lambda: cluster.finished(tmp_path, 1))
    logs = "".join(path.read_text() for path in tmp_path.glob("runs/grid/.jobs/*/*.log"))
    assert "submitted again as job" in logs and the_run(tmp_path).state["attempt"] == 2
    same(whole, the_run(tmp_path))


def test_a_failing_run_of_a_pack_does_not_harm_the_others(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=3, **resources(pack=2, cpus=2, memory="100M"))
    dreamproof("submit", study, "--cluster", "local", cwd=tmp_path)
    runs = rundir.find_runs([tmp_path / "runs"])
    for run in runs:
        for name in ("done", "state.json", "episodes.jsonl"):
            (run.path / name).unlink()
    (runs[1].path / "episodes.jsonl").mkdir()
    assert "3 runs in 2 tasks of up to 2 runs, each 4 CPU, 200M" in dreamproof("submit", study, cwd=tmp_path)
    until(lambda: cluster.finished(tmp_path, 2) and given_up(runs[1]))
    assert [run.state["state"] for run in runs] == ["done", "failed", "done"]
    assert [run.state["attempt"] for run in runs] == [1, 3, 1]
    assert [runs[k].provenance["threads"] for k in (0, 2)] == [2, 2]  # of the four of the first allocation
    (runs[1].path / "episodes.jsonl").rmdir()
    assert "1 runs to try again" in dreamproof("retry", study, cwd=tmp_path)  # at once: its job may be ending still
    until(lambda: cluster.finished(tmp_path, 3))
    assert [run.state["attempt"] for run in runs] == [1, 4, 1]


def test_a_requeued_storm_costs_attempts_but_no_result(slurm, whole, tmp_path):
    study = cluster.study(tmp_path, **LEARNER, **resources())
    dreamproof("submit", study, cwd=tmp_path)
    for attempt in (1, 2):
        until_requeued(lambda n=attempt: the_run(tmp_path).state["attempt"] == n and training(tmp_path))
        cluster.requeue()
    until_requeued(lambda: cluster.finished(tmp_path, 1))
    same(whole, the_run(tmp_path))


def test_a_claim_of_a_dead_process_on_another_host_is_taken_over(slurm, tmp_path):
    study = cluster.study(tmp_path, seeds=1)
    dreamproof("submit", study, "--cluster", "local", cwd=tmp_path)
    run = the_run(tmp_path)
    (run.path / "done").unlink()
    run.set_state(state="running")
    gone = {"host": "elsewhere", "pid": 1, "born": "1", "machine": "another", "job": None, "restarts": 0, "token": "abc"}
    (run.path / "claim").write_text(json.dumps(gone))
    os.utime(run.path / "claim", (0, 0))
    assert [row["state"] for row in cluster.rows(tmp_path).values()] == ["lost"]
    dreamproof("submit", study, cwd=tmp_path)
    until(lambda: cluster.finished(tmp_path, 1))
    assert not (run.path / "claim").exists()
