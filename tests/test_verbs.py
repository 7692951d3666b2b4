"""Verbs know of each other: printed commands work, a plain `run` is a queue, studies stand for runs and take overrides."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import build, local_queue, rundir, study
from harness.cli import _values
from harness.errors import BadInput

BIN = Path(sys.executable).parent
STUDY = {
    "name": "four",
    "agent": "random",
    "tasks": ["counter/vector"],
    "size": "nano",
    "seeds": 2,
    "evaluate": {"noise": ["clean", "state_gaussian:std=1"], "episodes": 2},
    "resources": {"parallel": 2},
}
SLOW = {"set": {"env.options.length": 100_000}, "resources": {"parallel": 1}}


def write_study(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "four.yaml").write_text(json.dumps(STUDY | changes))
    return folder


def shell(command, cwd, status=0):
    """stdout and stderr of a command line, as a user types it."""
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(cwd)}
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=cwd, timeout=120, env=environment)
    output = process.stdout + process.stderr
    assert process.returncode == status and "Traceback" not in output, (command, process.returncode, output)
    return output


def start(command, cwd):
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(cwd)}
    return subprocess.Popen(
        [BIN / "dreamproof", *command.split()],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed_commands(output):
    """Every command of an output, from `dreamproof` (or the `cd` before it) to the end of its line or its quotes."""
    commands = re.findall(r"(?:cd \S+ && )?dreamproof [a-z][^`\n]*", output)
    return [command.strip().rstrip(".") for command in commands]


def wait_for(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.1)


def states(folder):
    return sorted(run.state["state"] for run in rundir.find_runs([folder / "runs"]))


def fail(folder):
    run = rundir.find_runs([folder / "runs"])[0]
    run.mark_done(False)
    run.set_state(state="failed", message="RuntimeError: a test said so")


def diverge(folder):
    run = rundir.find_runs([folder / "runs"])[0]
    run.mark_done(False)
    run.set_state(state="diverged", message="a test said so")


def queue(folder):
    run = rundir.find_runs([folder / "runs"])[0]
    run.mark_done(False)
    run.set_state(state="queued", message="")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that has run by the command that `status` printed before there was anything; and what both printed."""
    folder = write_study(tmp_path_factory.mktemp("finished") / "a b")
    before = shell("dreamproof status four.yaml", folder, status=2)
    (command,) = printed_commands(before)
    assert command == "dreamproof run four.yaml"
    return folder, shell(command, folder)


@pytest.fixture
def copy(finished, tmp_path):
    """The finished study in a folder of its own; its recorded command was typed elsewhere."""
    subprocess.run(["cp", "-r", finished[0], tmp_path / "copy"], check=True)
    for path in (tmp_path / "copy/runs/four/.jobs").glob("*/pool.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"cwd": str(tmp_path / "copy")}))
    return tmp_path / "copy"


def test_the_end_of_a_run_names_the_next_command(finished):
    folder, output = finished
    (command,) = printed_commands(output)
    assert command == "dreamproof table robustness runs/four" and "state_gaussian:std=1" in shell(command, folder)
    assert printed_commands(shell("dreamproof status four.yaml", folder)) == [command]


@pytest.mark.parametrize("spoil", [fail, diverge, queue])
@pytest.mark.parametrize("called", ["four.yaml", "runs/four"])
def test_each_command_that_status_prints_mends(copy, spoil, called):
    spoil(copy)
    output = shell(f"dreamproof status {called}", copy, status=int(spoil in (fail, diverge)))
    commands = printed_commands(output)
    assert commands and "dreamproof submit" not in output
    for command in commands:
        shell(command, copy)
    assert states(copy) == ["done", "done"]


def test_commands_work_from_another_folder(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(copy)
    with local_queue.entered(rundir.find_runs([copy / "runs"]), ["dreamproof", "run", "four.yaml"]):
        queue(copy)
    monkeypatch.chdir(tmp_path)
    (command,) = printed_commands(shell(f"dreamproof status four --runs {copy / 'runs'}", tmp_path))
    assert command == f"cd {copy} && dreamproof run four.yaml"
    shell(command, tmp_path)
    assert states(copy) == ["done", "done"]


@pytest.mark.parametrize(
    "command",
    [
        "table runs four.yaml",
        "table robustness four",
        "plot robustness four.yaml --out a.png",
        "report four.yaml --reps 200",
        "export csv four.yaml --out a.csv",
        "evaluate four.yaml --noise state_gaussian:std=2 --episodes 2",
        "table runs vector.random.clean.s0*",
    ],
)
def test_a_study_stands_for_its_runs(copy, command):
    name = next(path.name for path in (copy / "runs/four").glob("vector.random.clean.s0-*"))
    assert shell(f"dreamproof {command.replace('vector.random.clean.s0*', name)}", copy).strip()


def test_a_study_without_runs_is_named_with_the_command_that_starts_it(tmp_path):
    write_study(tmp_path)
    output = shell("dreamproof table runs four.yaml", tmp_path, status=2)
    assert "No runs of four.yaml yet: no runs/four" in output and printed_commands(output) == ["dreamproof run four.yaml"]
    assert "Did you mean 'quickstart'" in shell("dreamproof table runs quickstrat", tmp_path, status=2)


def test_status_and_cancel_know_of_a_plain_run(tmp_path):
    write_study(tmp_path, **SLOW)
    process = start("run four.yaml", tmp_path)
    try:
        wait_for(lambda: (tmp_path / "runs").exists() and "running" in states(tmp_path))
        output = shell("dreamproof status four.yaml", tmp_path)
        assert "1 running, 1 queued" in output and "nothing is wrong" in output
        output = shell("dreamproof cancel four.yaml", tmp_path)
        assert "2 runs of this machine stopped after a checkpoint" in output
        assert printed_commands(output) == ["dreamproof run four.yaml"]
        assert process.wait(10) == 1 and printed_commands(process.stderr.read()) == ["dreamproof run four.yaml"]
    finally:
        process.kill()
    assert states(tmp_path) == ["preempted", "queued"]
    assert "2 not done and at work nowhere: dreamproof run four.yaml" in shell("dreamproof status four.yaml", tmp_path)


def test_a_second_interrupt_is_no_bug_and_a_killed_pool_is_said_to_be(tmp_path):
    for folder, numbers in (("twice", [signal.SIGINT, signal.SIGINT]), ("killed", [signal.SIGKILL])):
        write_study(tmp_path / folder, **SLOW)
        process = start("run four.yaml", tmp_path / folder)
        wait_for(lambda folder=tmp_path / folder: (folder / "runs").exists() and "running" in states(folder))
        for number in numbers:
            os.kill(process.pid, number)
            time.sleep(0.05)
        process.wait(30)
        wait_for(lambda folder=tmp_path / folder: states(folder) == ["preempted", "queued"])
        output = shell("dreamproof status four.yaml", tmp_path / folder)
        assert "bug" not in output and "lost" not in output and "submit" not in output
        assert printed_commands(output) == ["dreamproof run four.yaml"]


def test_a_process_that_is_gone_is_no_job(copy):
    run = rundir.find_runs([copy / "runs"])[0]
    run.mark_done(False)
    run.set_state(state="running")
    assert "lost" in (output := shell("dreamproof status four.yaml", copy)) and "[killed] its process is gone" in output


def test_wall_time_is_time_at_work(copy):
    run = rundir.find_runs([copy / "runs"])[0]
    run.set_state(state="done", started=1000.0, seconds=61.0)
    rows = json.loads(shell("dreamproof table runs four.yaml --format json", copy))
    assert next(row["wall_seconds"] for row in rows if row["run"] == run.name) == 61


# Overrides


def test_overrides_change_every_cell_and_its_name(tmp_path):
    content = STUDY | {"agent": "dreamer", "steps": 900, "set": {"counter": {"train.ratio": 8}}}
    write_study(tmp_path, **content)
    base = study.load_runs(tmp_path / "four.yaml")[1]
    changed = study.load_runs(tmp_path / "four.yaml", None, study.StudyOverrides(400, [3, 5], {"train.ratio": 16}))[1]
    assert [(run.steps, run.seed, run.train.ratio) for run in changed] == [(400, 3, 16), (400, 5, 16)]
    assert not {run.digest for run in changed} & {run.digest for run in base}
    output = shell("dreamproof plan four.yaml --steps 4e2 --seeds 3,5 --set train.ratio=16", tmp_path)
    assert "400 steps" in output and "seeds 3, 5" in output


def test_overrides_are_said_and_lead_to_runs_of_other_names(copy, monkeypatch):
    words = ["dreamproof", "run", "four.yaml", "--seeds", "3", "--set", "env.options.length=10"]
    output = shell(" ".join(words), copy)
    assert "four: every cell with seeds=3, env.options.length=10" in output
    runs = rundir.find_runs([copy / "runs"])
    assert len(runs) == 2 + 3
    monkeypatch.chdir(copy)
    with local_queue.entered(runs, words):  # as a command that is stopped while one of its runs is not done
        queue(copy)
    commands = printed_commands(shell("dreamproof status four.yaml", copy))
    assert commands == ["dreamproof run four.yaml --seeds 3 --set env.options.length=10"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e5", 100_000), ("100k", 100_000), ("1_000", 1000), ("2m", 2_000_000), ("1.5k", 1500), ("2.5e3", 2500), ("7", 7)],
)
def test_step_counts_are_read_as_people_write_them(text, number):
    assert _values.parse_count(text) == number


@pytest.mark.parametrize("text", ["1.5", "1e-3", "k", "1_0", "1e", "-5", "1e99", "0x10", "١٠", "1 000", "nan", ""])
def test_other_texts_are_no_step_counts(text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        _values.parse_count(text)


@pytest.mark.parametrize("text", ["", "a", "1,", "1.5", "-1", "3;4"])
def test_bad_seeds_are_refused(text):
    with pytest.raises(BadInput, match="--seeds"):
        _values.parse_seeds(text)


def test_bad_overrides_are_refused_with_their_path(tmp_path):
    write_study(tmp_path)
    assert "train.ratoi" in shell("dreamproof plan four.yaml --set train.ratoi=3", tmp_path, status=2)
    assert "100k" in shell("dreamproof run four.yaml --steps 1.5", tmp_path, status=2)
    assert "--size" in shell("dreamproof run four.yaml --size 1m", tmp_path, status=2)
    assert "Did you mean 'four.yaml'" in shell("dreamproof plan four.yml", tmp_path, status=2)


# Training that is none


@pytest.mark.parametrize(("envs", "start"), [(1, None), (4, None), (3, 50)])
def test_the_first_update_comes_at_the_step_that_is_said(envs, start):
    changes = {"env.envs": envs, "train.batch_size": 2, "train.batch_length": 4, "train.start": start, "train.ratio": 8}
    run = study.single("counter/vector", size="nano", steps=400, changes=changes)
    env = build.environment(run)
    agent = build.agent(run, env.spec, device="cpu", threads=1)
    vector = build.training_vector(run, env.spec, num_uniforms=agent.num_uniforms, processes=0)

    class Silent:
        add_episode = add_metrics = staticmethod(lambda *_, **__: None)

    training = build.training(run, vector, agent, Silent())
    while not agent.updates:
        training.advance()
    assert training.step == build.first_update_step(run)


def test_a_study_too_short_for_an_update_is_said_to_be(tmp_path):
    write_study(tmp_path, agent="dreamer", steps=400, set={"env.envs": 1})
    output = shell("dreamproof plan four.yaml", tmp_path)
    assert "notice: 2 of 2 runs make no update: counter/vector ends after 400 steps" in output and "step 1088" in output
    assert "notice" not in shell("dreamproof plan four.yaml --steps 2k", tmp_path)


# Files


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("table runs four --out x.xyz", [".xyz", ".md", ".tex"]),
        ("table runs four --format csv --out x.tex", ["disagree", ".csv"]),
        ("plot robustness four --out f.gif", [".gif", ".png", ".svg"]),
        ("plot robustness four --format pdf --out f.png", ["disagree", ".pdf"]),
        ("report four --out r.pdf", [".pdf", ".html"]),
    ],
)
def test_a_format_that_the_suffix_does_not_say_is_refused(copy, command, words):
    output = shell(f"dreamproof {command}", copy, status=2)
    assert all(word in output for word in words) and not list(copy.glob("[xfr].*"))


def test_the_suffix_says_the_format_and_tables_say_the_version(copy):
    shell("dreamproof table robustness four --out x.tex && dreamproof table robustness four --out x.csv", copy)
    shell("dreamproof table robustness four --out x.html && dreamproof table robustness four --out x", copy)
    assert "\\begin{tabular}" in (copy / "x.tex").read_text() and (copy / "x.csv").read_text().startswith("task,")
    for name in ("x.html", "x"):
        assert "Made by dreamproof" in (copy / name).read_text()
    assert "Made by" not in (copy / "x.csv").read_text() + (copy / "x.tex").read_text()


# Diff, clean, completion, explain, bench


def test_diff_names_settings_and_the_first_row(copy):
    one, other = (run.name for run in rundir.find_runs([copy / "runs"]))
    output = shell(f"dreamproof diff {one} runs/four/{other}", copy)
    assert re.search(r"^  seed  0 -> 1$", output, re.M) and "episodes.jsonl: the first difference is in row 1" in output
    tree = json.loads(shell(f"dreamproof diff {one} {one} --json", copy))
    assert tree == {"settings": {}, "made with": {}, "episodes": None, "metrics": None}
    log = copy / "runs/four" / other / "episodes.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    subprocess.run(["cp", "-r", copy / "runs/four" / other, copy / "runs/four/twin"], check=True)
    rows[2] |= {"return": -1.0, "seconds": 99.0}
    (copy / "runs/four/twin/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = json.loads(shell(f"dreamproof diff {other} twin --json", copy))
    assert tree["episodes"]["row"] == 3 and list(tree["episodes"]["fields"]) == ["return"]
    assert "Did you mean" in shell(f"dreamproof diff twni {other}", copy, status=2)


def test_clean_says_what_and_deletes_only_with_yes(copy):
    unfinished = rundir.find_runs([copy / "runs"])[0]
    queue(copy)
    before = {path for path in copy.rglob("*") if path.is_file()}
    assert "1 not done" in shell("dreamproof status four", copy)
    output = shell("dreamproof clean four", copy)
    assert "--yes" in output and unfinished.name not in output
    assert before == {path for path in copy.rglob("*") if path.is_file()}
    table = shell("dreamproof table robustness four", copy)
    assert "deleted." in shell("dreamproof clean four --yes", copy)
    gone = {path for path in before if not path.exists()}
    assert gone and all("checkpoint" in path.parts for path in gone) and (unfinished.path / "checkpoint").exists()
    assert shell("dreamproof table robustness four", copy) == table


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run --task counter/v", "counter/vector"),
        ("run --ablation no_free", "no_free_bits"),
        ("run --noise state_", "state_gaussian"),
        ("run qui", "quickstart"),
        ("status fo", "four.yaml"),
        ("table rob", "robustness"),
        ("table robustness fo", "four"),
        ("explain cur", "curves"),
        ("pl", "plan"),
    ],
)
def test_completion_offers_values(finished, words, expected):
    line = f"dreamproof {words}"
    command = f"COMP_WORDS='{line}' COMP_CWORD={len(line.split()) - 1} _DREAMPROOF_COMPLETE=bash_complete dreamproof"
    assert f"plain,{expected}" in shell(command, finished[0]).splitlines()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tmp_path, name):
    script = shell(f"dreamproof completion {name}", tmp_path)
    assert "_DREAMPROOF_COMPLETE" in script
    if name == "bash":
        (tmp_path / "script").write_text(script)
        shell("source ./script && complete -p dreamproof", tmp_path)


@pytest.mark.parametrize("name", ["curves", "robustness", "sb3", "parquet", "dreamerv3-torch"])
def test_everything_that_is_listed_is_explained(tmp_path, name):
    assert f"dreamproof {'table' if name in ('curves', 'robustness') else ''}" in shell(f"dreamproof explain {name}", tmp_path)


def test_a_run_is_explained_in_words(copy):
    run = rundir.find_runs([copy / "runs"])[1]
    output = shell(f"dreamproof explain {run.name}", copy)
    assert "random (preset" in output and "on counter/vector, trained under clean" in output and "seed 1" in output
    assert "progress: done" in output


def test_bench_without_a_subject_measures_nothing(tmp_path):
    output = shell("dreamproof bench", tmp_path)
    assert "Usage:" in output and "Subjects: act" in output and "all" in output and not list(tmp_path.iterdir())


def test_bench_leaves_nothing_behind_when_it_is_stopped(tmp_path):
    process = start("bench checkpoint --size nano --obs vector --steps 20000", tmp_path)
    wait_for(lambda: list(tmp_path.glob(".bench-*")) or process.poll() is not None)
    process.terminate()
    process.wait(60)
    assert not list(tmp_path.glob(".bench-*"))


@pytest.mark.parametrize("width", [60, 80, 110])
def test_bars_keep_their_numbers_and_shorten_names(tmp_path, monkeypatch, width):
    from rich.console import Console

    from harness import progress_bars

    monkeypatch.setattr(progress_bars, "Console", lambda stderr: Console(file=io.StringIO(), width=width))
    runs = []
    for seed in range(3):
        run = study.single("counter/vector", size="nano", ablation="no_free_bits", seed=seed, steps=100_000)
        runs.append(rundir.RunDir.create(tmp_path / "single" / run.run_id, run.dump()))
    bars = progress_bars.ProgressBars(runs)
    bars.start(runs[0])
    for step in (1000, 2000, 3000):
        runs[0].set_state(state="running", step=step, last_return=12.5)
        bars.update(runs[0])
        time.sleep(0.1)
    out = io.StringIO()
    Console(file=out, width=width).print(bars._progress.get_renderable())
    grid, line = out.getvalue().splitlines()
    for text in (grid, line):
        assert len(text) <= width and re.search(r"\d+:\d\d", text) and "-:--" not in text and "/s" in text
    assert "runs 0/3" in grid and "3000/300000" in grid and "3000/100000" in line
    assert line.startswith("vector.") and ("…" in line) == (width < 110) and "return 12.5" in line
