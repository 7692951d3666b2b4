"""Loading: the cache gives what the files hold, never what they held; a writer beside the reader tears nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_results import row, write_run

from harness import rundir
from harness.bench import _synthetic_study
from results import tables
from results.reading import cache, load, rows

ROOT = Path(__file__).parent.parent


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Twenty runs that were changed long ago, and a cache for however little."""
    monkeypatch.setattr(cache, "LEAST", 1)
    monkeypatch.setattr(cache, "SETTLED", -1.0)
    _synthetic_study.write_study(tmp_path / "runs", 20, 12)
    return tmp_path / "runs"


def stored(root):
    return root / ".cache" / f"episodes-{cache.VERSION}.npz"


def plain(root):
    """Without any cache."""
    return load.read_runs(rundir.find_runs([root]))


def same(one, other):
    pd.testing.assert_frame_equal(one.runs, other.runs)
    pd.testing.assert_frame_equal(one.episodes, other.episodes)


def a_run(root):
    return rundir.find_runs([root])[3].path


def test_a_cached_load_equals_the_first_and_reads_no_rows(grid, monkeypatch):
    first = load.load([grid])
    assert stored(grid).exists()
    same(first, plain(grid))
    monkeypatch.setattr(rows, "read", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(load, "_read_facts", lambda run: pytest.fail(f"{run.path} was read"))
    same(load.load([grid]), first)


def change(path, text):
    (path / "episodes.jsonl").write_text(text)


def lines(path):
    return (path / "episodes.jsonl").read_text().splitlines(keepends=True)


CHANGES = {
    "a row more": lambda path: change(path, "".join([*lines(path), lines(path)[0].replace('"episode": 0', '"episode": 9')])),
    "rows cut": lambda path: change(path, "".join(lines(path)[:-2])),
    "no rows": lambda path: (path / "episodes.jsonl").unlink(),
    "another state": lambda path: rundir.RunDir(path).set_state(message="other"),
    "not done": lambda path: rundir.RunDir(path).mark_done(False),
    "another seed": lambda path: rundir.write_json(path / "config.json", rundir.RunDir(path).config | {"seed": 77}),
    "gone": lambda path: shutil.rmtree(path),
    "copied": lambda path: shutil.copytree(path, path.with_name("again")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_stale_is_shown(grid, change):
    before = load.load([grid])
    change(a_run(grid))
    after = load.load([grid])
    same(after, plain(grid))
    with pytest.raises(AssertionError):
        same(after, before)


def test_a_change_that_keeps_size_and_mtime_is_seen(grid):
    path = a_run(grid) / "episodes.jsonl"
    load.load([grid])
    stat, text = path.stat(), path.read_text()
    time.sleep(0.02)
    with open(path, "r+") as file:
        file.write(text.replace('"terminated": true', '"terminated": null', 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino) == (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    same(load.load([grid]), plain(grid))
    assert load.load([grid]).episodes.terminated.isna().sum() == 1


def test_what_was_changed_a_moment_ago_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LEAST", 1)
    _synthetic_study.write_study(tmp_path, 3, 8)
    load.load([tmp_path])
    assert not stored(tmp_path).exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"x" * 5000, None])
def test_a_broken_cache_is_as_good_as_none(grid, content):
    first = load.load([grid])
    stored(grid).write_bytes(stored(grid).read_bytes()[:-100] if content is None else content)
    same(load.load([grid]), first)


def test_a_place_that_cannot_be_written_is_no_failure(grid):
    (grid / ".cache").write_text("a file is in the way")
    same(load.load([grid]), plain(grid))


def test_every_kind_of_value_comes_back_as_it_was(grid):
    odd = [
        {"mark": "a", "n": 2**60, "x": None},
        {"mark": None, "n": -5, "x": 0.1 + 0.2, "flag": True},
        {"mark": "ä|", "extra": [1]},
    ]
    for i, more in enumerate(odd):
        with open(a_run(grid) / "episodes.jsonl", "a") as file:
            file.write(json.dumps(row(100_000, "clean", 50 + i, float("nan") if i else 1e300) | more) + "\n")
    same(load.load([grid]), load.load([grid]))
    same(load.load([grid]), plain(grid))


def test_a_few_runs_and_one_run_leave_no_cache(tmp_path):
    path = write_run(tmp_path, {"clean": [1.0, 2.0]})
    load.load([tmp_path]), load.load([path])
    assert not list(tmp_path.rglob(".cache"))


def test_runs_in_hidden_folders_and_inside_runs_are_none(tmp_path):
    path = write_run(tmp_path, {"clean": [1.0]})
    shutil.copytree(path, tmp_path / ".importing-x" / "run")
    shutil.copytree(path, path / "checkpoint" / "run")
    assert [run.path for run in rundir.find_runs([tmp_path])] == [path]


def test_one_study_and_all_studies_show_the_same_of_it(grid):
    same(load.load([grid]), load.load([grid / "grid"]))
    same(load.load([grid, grid / "grid"]), load.load([grid]))


WRITER = """
import json, sys, time
from pathlib import Path
from harness import rundir
root, until = Path(sys.argv[1]), time.time() + float(sys.argv[2])
config = json.loads(Path(sys.argv[3]).read_text())
seed = 100
print("ready", flush=True)
while time.time() < until:
    seed += 1
    run = rundir.RunDir.create(root / "grid" / f"live.s{seed}", config | {"seed": seed}, sync=False)
    log = rundir.Log(run.path / "episodes.jsonl")
    for step in (500, 1000):
        for i in range(6):
            of_row = {"split": "eval", "step": step, "noise": "clean", "episode": i, "seed": i, "policy": "sample"}
            text = json.dumps(of_row | {"frames": 4 * step, "return": float(step), "length": 3}).encode() + b"\\n"
            log._file.write(text[:40])
            log._file.flush()  # a row in two pieces: a reader may meet the first alone
            log._file.write(text[40:])
            log._file.flush()
        run.set_state(sync=False, state="running", step=step)
    log.cut(log.offset)
    run.set_state(sync=False, state="done", step=1000)
    run.mark_done()
"""


def test_loading_while_runs_are_being_written(grid):
    """A real writer: no load fails, no row is torn, and a run that is done shows its last checkpoint, never an earlier one."""
    config = a_run(grid) / "config.json"
    command = [sys.executable, "-c", WRITER, str(grid), "4", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        counts, unfinished = [], 0
        while writer.poll() is None:
            results = load.load([grid])
            live = results.episodes[results.episodes.run.str.startswith("live")]
            assert set(live["return"]) <= {500.0, 1000.0} and set(live["length"]) <= {3}
            final = load.final_episodes(results)
            final = final[final.run.str.startswith("live")]
            assert (final["return"] == 1000.0).all() and (final.groupby("run").size() == 6).all()
            unfinished += int((~results.runs.done).sum())
            counts.append(len(results.runs))
    assert writer.returncode == 0 and counts[-1] > counts[0] + 3 and counts == sorted(counts)
    same(load.load([grid]), plain(grid))


def test_a_half_finished_grid_gives_tables_with_flags(grid):
    for run in rundir.find_runs([grid])[:5]:
        run.mark_done(False)
        run.set_state(state="running", step=10)
    (rundir.find_runs([grid])[6].path / "episodes.jsonl").write_bytes(b"")
    long = tables.build("scores", [grid]).long
    assert long["flags"].str.contains("unfinished").any() and long.runs_missing.sum() == 6
    assert "unfinished" in tables.build("robustness", [grid], reps=200).render("md")
    assert np.isfinite(long.score.dropna()).all()
