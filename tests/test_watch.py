"""`--watch` of table and plot: real processes beside runs that grow; what was shown is what a table made now would be."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_results import row, write_run

from harness.cli import cli
from harness.rundir import write_file
from results import tables

ROOT = Path(__file__).parent.parent
PATIENCE = 60  # seconds until a test gives up


@pytest.fixture
def watching(tmp_path):
    """Starts `dreamproof ... --watch`; the test ends every process that still runs."""
    processes = []

    def start(*arguments, interrupt=signal.SIG_DFL):
        """`interrupt`: what SIGINT does at the start; a test run under nohup would hand its own choice down."""
        command = [sys.executable, "-m", "harness", *map(str, arguments), "--watch", "0.5"]
        log = open(tmp_path / f"output-{len(processes)}", "w+")  # noqa: SIM115 (lives as long as the process)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, env=environment,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, interrupt))  # fmt: skip
        processes.append((process, log))
        return process, lambda: Path(log.name).read_text()

    yield start
    for process, log in processes:
        process.kill()
        process.wait()
        log.close()


def until(condition, process):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None and time.monotonic() < limit, "the condition did not come true"
        time.sleep(0.05)


def add(run, score, torn=""):
    with open(run / "episodes.jsonl", "a") as file:
        file.write(json.dumps(row(1000, "clean", 7, score)) + "\n" + torn)


def test_a_table_is_shown_again_when_runs_have_written_and_ctrl_c_ends_it_well(tmp_path, watching):
    root = tmp_path / "runs"
    run = write_run(root, {"clean": [1.0, 3.0]})
    write_run(root, {"clean": [5.0]}, seed=1)
    first = tables.build("robustness", [root], reps=200).render()
    process, output = watching("table", "robustness", root, "--reps", 200)
    until(lambda: output() == first, process)
    add(run, 8.0, torn='{"split": "eval", "st')
    second = tables.build("robustness", [root], reps=200).render()
    assert "4.50" in second and "4.50" not in first  # mean of the seeds' means 4 and 5
    until(lambda: output() == first + second, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0 and output() == first + second


def test_a_watch_that_starts_with_ctrl_c_ignored_ends_on_sigterm(tmp_path, watching):
    root = tmp_path / "runs"
    write_run(root, {"clean": [1.0]})
    process, output = watching("table", "robustness", root, "--reps", 200, interrupt=signal.SIG_IGN)
    until(output, process)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_what_is_unchanged_is_not_made_again(tmp_path):
    """The watch's own parts: a look without a change gives the same object; every kind of change gives another."""
    from harness import watch
    from results.reading import changes

    run = write_run(tmp_path / "runs", {"clean": [1.0]}, done=False)
    calls = []
    look = watch.remake_when_changed(lambda: changes.file_keys([tmp_path / "runs"]), lambda: calls.append(1) or len(calls))
    assert (look(), look()) == (1, 1)
    add(run, 2.0)
    assert (look(), look()) == (2, 2)
    (run / "done").touch()
    assert look() == 3
    write_file(run / "state.json", b"{}")
    assert look() == 4
    write_run(tmp_path / "runs", {"clean": [1.0]}, seed=1)
    assert (look(), look()) == (5, 5)


def test_a_plot_waits_for_something_to_draw_and_is_never_half_written(tmp_path, watching):
    root, out = tmp_path / "runs", tmp_path / "figures" / "a.svg"
    run = write_run(root, {"clean": []}, done=False)
    process, output = watching("plot", "bars", root, "--reps", 200, "--out", out)
    until(lambda: "Waiting for it" in output(), process)
    assert not out.exists()
    add(run, 2.0)
    (run / "done").touch()
    beside = out.with_suffix(".csv")
    until(beside.exists, process)
    before = out.stat().st_ino
    assert out.read_text().rstrip().endswith("</svg>")
    add(run, 9.0)
    until(lambda: out.stat().st_ino != before and out.read_text().rstrip().endswith("</svg>"), process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0 and sorted(path.name for path in out.parent.iterdir()) == ["a.csv", "a.svg"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("table", "robustnes", "runs"), "Did you mean"),
        (("plot", "curves", "nothing"), "No such run directory"),
    ],
)
def test_bad_input_ends_a_watch_before_it_begins(tmp_path, watching, arguments, word):
    write_run(tmp_path / "runs", {"clean": [1.0]})
    process, output = watching(*arguments)
    assert process.wait(PATIENCE) == 2 and word in output()


def test_seconds_are_seconds_and_not_too_few():
    for seconds in ("0.1", "runs"):
        done = CliRunner().invoke(cli, ["table", "runs", "runs", "--watch", seconds])
        assert done.exit_code == 2 and "--watch" in done.output and seconds in done.output
