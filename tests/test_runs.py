"""Whole runs through the command line: real simulators, real signals, real kill -9, a really full disk."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness import checkpoint, rundir

ROOT = Path(__file__).parent.parent
# One thread: tests run side by side, and two busy threads on one core are slow out of proportion.
TINY = [
    "--size",
    "nano",
    "--threads",
    "1",
    "--set",
    "env.envs=1",
    "--set",
    "train.batch_size=4",
    "--set",
    "train.batch_length=16",
]
COUNTER = ["run", "--task", "counter/vector", *TINY, "--set", "train.ratio=16", "--set", "train.log_every=100"]
CARTPOLE = ["run", "--task", "dmc/cartpole_swingup", *TINY, "--set", "train.ratio=16", "--noise", "state_gaussian:std=0.1"]
CLOCK = ("seconds",)


def start(*arguments, cwd):
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MUJOCO_GL": "egl"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def dreamproof(*arguments, cwd, status=0):
    process = start(*arguments, cwd=cwd)
    output = process.communicate(timeout=900)[0]
    assert process.returncode == status, output
    return output


def the_run(root):
    runs = rundir.find_runs([root])
    assert len(runs) == 1
    return runs[0]


def timeless(rows):
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in rows]


def same(a, b):
    """Two runs have the same rows, wall-clock fields aside, and bit-identical weights, optimiser and statistics."""
    for name in ("episodes", "metrics"):
        assert timeless(a.rows(name)) == timeless(b.rows(name)), name
    agent_a, agent_b = (checkpoint.load(run.path / "checkpoint").arrays["agent"] for run in (a, b))
    assert agent_a.keys() == agent_b.keys()
    different = [k for k in agent_a if not np.array_equal(agent_a[k], agent_b[k], equal_nan=agent_a[k].dtype.kind == "f")]
    assert not different


def kill_at_random(arguments, cwd, folder, kills, seed):
    """Start, kill -9 the whole process group at a random moment after the first checkpoint, again and again."""
    draw = random.Random(seed)
    for _ in range(kills):
        process = start(*arguments, cwd=cwd)
        start_time = time.monotonic()
        while (
            process.poll() is None and time.monotonic() - start_time < 120 and not list(cwd.glob(folder + "/**/manifest.json"))
        ):
            time.sleep(0.05)
        time.sleep(draw.uniform(0.0, 4.0))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "steps"), [([*COUNTER, "--every", 350], 1200), (CARTPOLE, 1100)], ids=["counter", "cartpole"]
)
def test_a_run_killed_at_random_moments_ends_like_one_that_was_not(arguments, steps, tmp_path):
    arguments = [*arguments, "--steps", steps, "--episodes", 2, "--seed", 7, "--checkpoint-every", 0.5]
    dreamproof(*arguments, "--runs", "whole", cwd=tmp_path)
    kill_at_random([*arguments, "--runs", "killed"], tmp_path, "killed", kills=4, seed=steps)
    dreamproof(*arguments, "--runs", "killed", cwd=tmp_path)
    whole, killed = the_run(tmp_path / "whole"), the_run(tmp_path / "killed")
    assert killed.state["attempt"] > 1 and whole.state["attempt"] == 1
    same(whole, killed)
    assert {row["split"] for row in whole.rows("episodes")} == {"train", "eval"}


def test_evaluations_along_the_way_come_at_their_steps(tmp_path):
    dreamproof(*COUNTER, "--steps", 400, "--episodes", 2, "--every", 150, "--policy", "mode", cwd=tmp_path)
    rows = [r for r in the_run(tmp_path / "runs").rows("episodes") if r["split"] == "eval"]
    assert [(r["step"], r["episode"], r["policy"]) for r in rows] == [(s, e, "mode") for s in (150, 300, 400) for e in (0, 1)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished counter run, for tests that look at it or copy it."""
    folder = tmp_path_factory.mktemp("finished")
    dreamproof(*COUNTER, "--steps", 400, "--episodes", 2, "--noise", "clean", cwd=folder)
    return folder


def copy(finished, tmp_path):
    shutil.copytree(finished / "runs", tmp_path / "runs")
    return the_run(tmp_path / "runs")


def test_a_run_directory_holds_what_the_contract_says(finished):
    run = the_run(finished / "runs")
    assert run.path.parent == finished / "runs" / "single" and run.done
    for name in ("config.json", "provenance.json", "state.json", "episodes.jsonl", "metrics.jsonl", "checkpoint"):
        assert (run.path / name).exists(), name
    state = run.state
    assert (state["state"], state["step"], state["attempt"]) == ("done", 400, 1) and state["updates"] > 0
    fields = [
        "split",
        "step",
        "frames",
        "updates",
        "task",
        "noise",
        "episode",
        "seed",
        "return",
        "length",
        "terminated",
        "truncated",
        "policy",
        "seconds",
    ]
    for row in run.rows("episodes"):
        assert list(row) == fields or set(row) == set(fields)
    finals = [r for r in run.rows("episodes") if r["split"] == "eval"]
    assert [(r["noise"], r["episode"], r["step"]) for r in finals] == [("clean", 0, 400), ("clean", 1, 400)]
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert provenance["threads"] >= 1 and provenance["device"] == "cpu" and provenance["precision"] == "float32"
    assert provenance["versions"]["torch"] and provenance["environment"]["frames"]


def test_the_same_command_again_does_nothing(finished, tmp_path):
    run = copy(finished, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    output = dreamproof(*COUNTER, "--steps", 400, "--episodes", 2, "--noise", "clean", cwd=tmp_path)
    assert "done already" in output
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before


def test_a_grown_evaluation_grid_adds_rows_to_the_same_run(finished, tmp_path):
    run = copy(finished, tmp_path)
    before = run.rows("episodes")
    noisy = "state_gaussian:std=1,unit=absolute"
    grown = ["--eval-noise", "clean", "--eval-noise", noisy]
    dreamproof(*COUNTER, "--steps", 400, "--episodes", 3, "--noise", "clean", *grown, cwd=tmp_path)
    rows = the_run(tmp_path / "runs").rows("episodes")
    assert rows[: len(before)] == before
    assert [(r["noise"], r["episode"]) for r in rows[len(before) :]] == [("clean", 2), *((noisy, e) for e in range(3))]


def test_evaluate_adds_only_what_is_missing(finished, tmp_path):
    run = copy(finished, tmp_path)
    before = run.rows("episodes")
    noisy = "state_gaussian:std=0.5,unit=absolute"
    for episodes in (2, 2, 4):
        dreamproof("evaluate", run.path, "--noise", noisy, "--episodes", episodes, cwd=tmp_path)
    rows = run.rows("episodes")[len(before) :]
    assert [(r["noise"], r["episode"], r["split"]) for r in rows] == [(noisy, e, "eval") for e in range(4)]


def test_evaluating_episode_by_episode_gives_the_same_rows(finished, tmp_path):
    noisy = "state_gaussian:std=0.5,unit=absolute"
    one, two = copy(finished, tmp_path / "one"), copy(finished, tmp_path / "two")
    dreamproof("evaluate", one.path, "--noise", noisy, "--episodes", 5, cwd=tmp_path)
    for episodes in (1, 3, 5):
        dreamproof("evaluate", two.path, "--noise", noisy, "--episodes", episodes, cwd=tmp_path)
    assert timeless(one.rows("episodes")) == timeless(two.rows("episodes"))


def test_bad_noise_for_evaluate_is_refused_before_anything_starts(finished, tmp_path):
    run = copy(finished, tmp_path)
    output = dreamproof("evaluate", run.path, "--noise", "gaussian:sigma=10", cwd=tmp_path, status=2)
    assert "pixels" in output and "Traceback" not in output


def test_a_torn_last_row_is_dropped_and_a_broken_one_is_named(finished, tmp_path):
    run = copy(finished, tmp_path)
    rows = run.rows("episodes")
    path = run.path / "episodes.jsonl"
    with open(path, "a") as file:
        file.write('{"split": "eval", "ste')
    assert run.rows("episodes") == rows
    path.write_text("{oops\n" + path.read_text())
    output = dreamproof("table", "robustness", "runs", cwd=tmp_path, status=2)
    assert "episodes.jsonl, line 1" in output and "Traceback" not in output


def half_done(tmp_path):
    """A run that was stopped by Ctrl-C in the middle."""
    process = start(*COUNTER, "--steps", 100_000, "--episodes", 2, "--checkpoint-every", 0.2, cwd=tmp_path)
    while process.poll() is None and len(list(tmp_path.glob("runs/**/manifest.json"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    return process.returncode, output, the_run(tmp_path / "runs")


def test_ctrl_c_stops_after_a_checkpoint_and_says_how_to_resume(tmp_path):
    code, output, run = half_done(tmp_path)
    assert code == 1 and "same command continues" in output and "Traceback" not in output
    assert run.state["state"] == "preempted" and not run.done
    saved = checkpoint.load(run.path / "checkpoint")
    assert saved.step == run.state["step"] > 0
    assert all(row["step"] <= saved.step for row in run.rows("episodes"))


def test_a_corrupt_checkpoint_is_passed_over_and_it_says_so(tmp_path):
    _, _, run = half_done(tmp_path)
    newest = max((run.path / "checkpoint").glob("step-*"), key=lambda p: p.name)
    for path in newest.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    saved = checkpoint.load(run.path / "checkpoint")
    assert saved.warning and newest.name in saved.warning and saved.path != newest
    process = start(*COUNTER, "--steps", 100_000, "--episodes", 2, cwd=tmp_path)
    start_time = time.monotonic()
    while "warning" not in (run.path / "log.txt").read_text() and time.monotonic() - start_time < 60:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert newest.name in (run.path / "log.txt").read_text()


def test_two_processes_cannot_run_the_same_directory(tmp_path):
    arguments = [*COUNTER, "--steps", 100_000]
    first = start(*arguments, cwd=tmp_path)
    while not list(tmp_path.glob("runs/**/claim")) and first.poll() is None:
        time.sleep(0.05)
    output = dreamproof(*arguments, cwd=tmp_path, status=1)
    assert "busy" in output and "being run by process" in (the_run(tmp_path / "runs").path / "log.txt").read_text()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    process = start(*COUNTER, "--steps", 100_000, cwd=tmp_path)
    while not list(tmp_path.glob("runs/**/claim")) and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)  # only the parent
    process.wait()
    run = the_run(tmp_path / "runs")
    start_time = time.monotonic()
    # `queued` too: the worker makes its claim a moment before it writes that it runs.
    while run.state["state"] in ("queued", "running") and time.monotonic() - start_time < 60:
        time.sleep(0.2)
    assert run.state["state"] == "preempted" and "parent gone" in run.state["message"]


def test_losing_every_update_ends_the_run_as_diverged(tmp_path):
    output = dreamproof(*COUNTER, "--set", "agent.optimizer.lr=1e30", "--set", "agent.optimizer.warmup=0", "--steps", 3000,
                        cwd=tmp_path, status=1)  # fmt: skip
    run = the_run(tmp_path / "runs")
    assert run.state["state"] == "diverged" and ("not finite" in run.state["message"] or "mean loss" in run.state["message"]), (
        output
    )
    assert run.state["step"] < 3000 and run.rows("metrics")[-1]["step"] == run.state["step"]
    assert not run.done


def test_a_full_disk_stops_the_run_loses_nothing_and_says_what_to_do(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        assert not os.environ.get("CI"), "mounting a tmpfs is needed in CI"
        pytest.skip("needs the right to mount a tmpfs")
    try:
        arguments = ["run", "--task", "counter/image", "--agent", "random", "--steps", 1_000_000, "--checkpoint-every", 0.1]
        output = dreamproof(*arguments, "--runs", disk / "runs", cwd=tmp_path, status=1)
        assert "Traceback" not in output
        run = the_run(disk / "runs")
        message = run.state["message"] or output
        assert "free" in message.lower() or "space" in message.lower(), message
        saved = checkpoint.load(run.path / "checkpoint")
        assert saved is not None and saved.step > 0
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_random_agent_returns_what_the_counter_predicts(tmp_path):
    arguments = ["--task", "counter/vector", "--agent", "random", "--size", "nano", "--steps", 40, "--episodes", 100]
    dreamproof("run", *arguments, cwd=tmp_path)
    returns = [r["return"] for r in the_run(tmp_path / "runs").rows("episodes") if r["split"] == "eval"]
    assert len(returns) == 100
    assert abs(np.mean(returns) - 10) < 4 * np.sqrt(5) / 10  # binomial(20, 1/2): sd sqrt(5), 4 standard errors
