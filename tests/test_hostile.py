"""Malformed and malicious input: refused at the door with one paragraph, never a traceback, nothing written elsewhere."""

import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from test_cli import ROOT, assert_refused, dreamproof

from harness import noise
from harness.errors import BadInput

# ---- The last net


PLANTED = """
import click, harness.cli as c
@click.command()
def planted():
    {}['left\\x1b[31m']
c.cli.add_command(c._options.debug(planted))
c.main()
"""


def planted(*arguments, tmp_path):
    """A verb with a bug, as a process."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PLANTED, "planted", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_an_unexpected_exception_is_one_paragraph_and_a_file(tmp_path):
    process = planted(tmp_path=tmp_path)
    assert process.returncode == 1
    assert len(process.stderr.strip().splitlines()) == 1 and "Traceback" not in process.stderr
    assert "KeyError" in process.stderr and "(planted)" in process.stderr and "\x1b" not in process.stderr
    (stored,) = tmp_path.glob("dreamproof-error-*.txt")
    assert str(stored) in process.stderr and "Traceback (most recent call last)" in stored.read_text()


@pytest.mark.parametrize("arguments", [("planted", "--debug"), ("--debug", "table", "runs", "nowhere")])
def test_debug_prints_the_traceback(arguments, tmp_path):
    process = planted("--debug", tmp_path=tmp_path) if arguments[0] == "planted" else dreamproof(*arguments, cwd=tmp_path)
    assert "Traceback (most recent call last)" in process.stderr
    assert process.stderr.splitlines()[-1].startswith("dreamproof: ")
    assert process.returncode == (1 if arguments[0] == "planted" else 2)


def test_escape_sequences_of_arguments_do_not_reach_the_terminal(tmp_path):
    process = dreamproof("table", "runs", "\x1b]0;title\x07", cwd=tmp_path)
    assert_refused(process, r"\x1b]0;title\x07")
    assert "\x1b" not in process.stderr


# ---- Names that become paths, labels


def score_file(folder, name="x-y.json.gz", **changes):
    """A DreamerV3 score file with one record."""
    record = {"task": "a_b", "method": "m", "seed": "0", "xs": [1, 2], "ys": [3.0, None]} | changes
    path = folder / name
    path.write_bytes(gzip.compress(json.dumps([record]).encode()))
    return path


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("name", "changes", "options"),
    [
        ("x-y.json.gz", {"task": "../../b"}, ()),
        ("x-y.json.gz", {"method": ".."}, ()),
        ("x-y.json.gz", {"seed": "\x1b[31m"}, ()),
        ("..-y.json.gz", {}, ()),
        ("x-y.json.gz", {}, ("--benchmark", "..")),
        ("x-y.json.gz", {}, ("--benchmark", "../../escape")),
        ("x-y.json.gz", {"xs": [1, 10**400]}, ()),
        ("x-y.json.gz", {"method": ["m"]}, ()),
    ],
)
def test_an_import_writes_below_out_or_nowhere(name, changes, options, tmp_path):
    file = score_file(tmp_path, name, **changes)
    before = everything_in(tmp_path)
    process = dreamproof("import", "dreamerv3", file, "--out", tmp_path / "new" / "out", *options, cwd=tmp_path)
    assert_refused(process)
    assert everything_in(tmp_path) == before, "neither beside the target, nor the target's new parents"


def test_an_import_has_the_mode_that_the_user_asks_for(tmp_path):
    file = score_file(tmp_path)
    command = [sys.executable, "-m", "harness", "import", "dreamerv3", str(file), "--out", str(tmp_path / "out")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    subprocess.run(["/bin/sh", "-c", 'umask 077; exec "$@"', "sh", *command], check=True, env=environment)
    assert {oct(path.stat().st_mode & 0o077) for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]} == {"0o0"}


CATCH = ("run", "--task", "catch/sparse", "--size", "nano", "--steps", "10")


@pytest.mark.parametrize(
    "label", ["study=../../X", "task=counter/count", "preset=repo", "size=400m", "ablation=repo", "seed=3"]
)
def test_labels_cannot_be_set(label, tmp_path):
    assert_refused(dreamproof(*CATCH, "--set", label, cwd=tmp_path), f"'{label.partition('=')[0]}'", "Use ")
    assert everything_in(tmp_path) == []


def study_file(folder, text):
    path = folder / "study.yaml"
    path.write_text("name: s\ntasks: [catch/sparse]\nsize: nano\nsteps: 10\n" + text)
    return path


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("set: {study: ../X}", ["study", "name"]),
        ("set: {catch: {size: 400m}}", ["size", "--size"]),
        ("set: {catch: 3}", ["catch", "mapping"]),
        ("set: {version: 1}", ["version"]),
        ("set: {source: ../../a}", ["source"]),
        ("ablations: [a]\narms: {a: {preset: repo}}", ["preset"]),
        ("train_noise: []", ["train_noise", "at least one"]),
        ("references: [random]\ntrain_noise: {catch: []}", ["train_noise", "at least one"]),
        ("evaluate: {noise: []}", ["evaluate.noise", "at least one"]),
        ("seeds: []", ["seeds", "at least one"]),
        ("description: 2026-02-30", ["study.yaml, line 5", "Quote it"]),
        ("description: !!int abc", ["study.yaml, line 5", "abc"]),
        ("set: {agent.horizon: 1e400}", ["study.yaml, line 5", "1e400"]),
        ("set: {train.ratio: " + "9" * 400 + "}", ["study.yaml, line 5", "64 bits"]),
        ("set: {train.ratio: 1:30}", ["study.yaml, line 5", "base 60"]),
        ("description: " + "[" * 3000 + "]" * 3000, ["study.yaml, line 5", "nested"]),
        ("set: &a [*a]", ["study.yaml, line 5", "alias"]),
        ("? [a, b]\n: c", ["study.yaml, line 5", "key"]),
        ("description: !!python/object/apply:os.system [ls]", ["study.yaml"]),
        (BOMB, ["alias"]),
    ],
)  # fmt: skip
def test_a_study_is_refused_with_its_line(text, words, tmp_path):
    file = study_file(tmp_path, text)
    assert_refused(dreamproof("plan", file, cwd=tmp_path, timeout=20), *words)


def test_figures_are_written_below_out(tmp_path):
    score_file(tmp_path, "atari57-y.json.gz")
    for out in ("../escape.md", "/tmp/escape.md", "a/../../escape.md"):
        (tmp_path / "list.yaml").write_text(f"- {{verb: table, name: runs, runs: atari57-y.json.gz, out: {out}}}\n")
        assert_refused(dreamproof("reproduce", tmp_path / "list.yaml", cwd=tmp_path), "entry 1", "below")


@pytest.mark.parametrize(("form", "out"), [("dreamerv3", "out"), ("archive", "out.tar.gz")])
def test_an_export_writes_below_out_or_nowhere(form, out, tmp_path):
    run_folder(tmp_path / "runs", config_json=lambda old: old.replace(b'"study": "b0"', b'"study": "../../x"'))
    before = everything_in(tmp_path)
    assert_refused(dreamproof("export", form, "runs", "--out", f"new/{out}", cwd=tmp_path), "../../x".replace("/", "-"))
    assert everything_in(tmp_path) == before


# ---- Readers look at shapes at the door


def run_folder(root, method="m", **files):
    """A run directory of one imported run; `files` replace the content of its files."""
    from results import importers
    from results.importers._run import ImportOptions

    number = len(list(root.parent.glob("*-y.json.gz")))
    importers.import_files("dreamerv3", [score_file(root.parent, f"b{number}-y.json.gz", method=method)], root, ImportOptions())
    (folder,) = (path.parent for path in root.glob(f"b{number}/*/config.json"))
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content if isinstance(content, bytes) else content(path.read_bytes()))
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state_json", b"[]"),
        ("state_json", b'{"state": "done", "step": "x"}'),
        ("state_json", b'{"state": "done", "step": %s}' % (b"9" * 400)),
        ("state_json", b'{"state": ["done"]}'),
        ("state_json", b"[" * 100_000),
        ("config_json", b"[]"),
        ("config_json", lambda old: old.replace(b'"m"', b"7")),
        ("config_json", lambda old: old.replace(b'"seed": 0', b'"seed": true')),
        ("config_json", lambda old: old.replace(b'"steps": 0', b'"steps": "many"')),
        ("episodes_jsonl", lambda old: old.replace(b'"return": 3.0', b'"return": true')),
        ("episodes_jsonl", lambda old: old.replace(b'"step": 1', b'"step": "x"')),
        ("episodes_jsonl", lambda old: old.replace(b'"step": 1', b'"step": %s' % (b"9" * 400))),
        ("episodes_jsonl", lambda old: old.replace(b'"split": "train"', b'"split": 3')),
        ("episodes_jsonl", lambda old: old + b"[" * 100_000 + b"\n"),
    ],
)
def test_a_file_of_another_shape_is_named(name, content, tmp_path):
    folder = run_folder(tmp_path / "runs", **{name: content})
    for arguments in (("table", "runs"), ("check",)):
        assert_refused(dreamproof(*arguments, tmp_path / "runs", cwd=tmp_path), str(folder / name.replace("_", ".")))


@pytest.mark.parametrize("text", ["1_0", "١٠", "true", "0x10", "1e400x"])
def test_only_plain_digits_are_numbers(text, tmp_path):
    (tmp_path / "a.csv").write_text(f"task,method,seed,step,return\na/b,m,0,5,{text}\n")
    assert_refused(dreamproof("table", "runs", tmp_path / "a.csv", cwd=tmp_path), "line 2", "return")
    with pytest.raises(BadInput, match="sigma"):
        noise.parse(f"gaussian:sigma={text}")


@pytest.mark.parametrize("step", [float("nan"), -1.0, 0.5, 1e300])
def test_steps_of_evaluations_are_whole_numbers(step, tmp_path):
    folder = tmp_path / "ppo" / "CartPole-v1_1"
    folder.mkdir(parents=True)
    np.savez(folder / "evaluations.npz", timesteps=[10, step], results=[[1.0], [2.0]], ep_lengths=[[1], [2]])
    process = dreamproof(
        "import", "sb3", tmp_path / "ppo", "--out", tmp_path / "out", "--layout", "{method}/{task}_{seed}/*", cwd=tmp_path
    )
    assert_refused(process, "evaluations.npz", "timesteps[1]")


# ---- Archives, links, text


def member(archive, name, content=b"{}", **changes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../config.json", {}),
        ("/tmp/config.json", {}),
        ("a/config.json", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("a/config.json", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
        ("a/config.json", {"type": tarfile.CHRTYPE}),
        (".hidden/config.json", {}),
        ("a/\x1b]0;t/config.json", {}),
        ("a/" + "n" * 300 + "/config.json", {}),
    ],
)
def test_an_archive_is_unpacked_within_bounds(name, changes, tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        member(archive, name, **changes)
    process = dreamproof("table", "runs", tmp_path / "x.tar.gz", cwd=tmp_path)
    assert_refused(process, "x.tar.gz")
    assert len(process.stderr.strip().splitlines()) == 1 and "\x1b" not in process.stderr


def test_an_archive_that_declares_a_terabyte_or_a_nul_is_refused_at_once(tmp_path):
    info = tarfile.TarInfo("a/config.json")
    info.size = 10**12
    (tmp_path / "huge.tar.gz").write_bytes(gzip.compress(info.tobuf()))
    assert_refused(dreamproof("table", "runs", tmp_path / "huge.tar.gz", cwd=tmp_path, timeout=20), "declares")
    nul = tarfile.TarInfo("x")
    nul.pax_headers, nul.size = {"path": "a/b\0c/config.json"}, 0
    (tmp_path / "nul.tar.gz").write_bytes(gzip.compress(nul.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))
    assert_refused(dreamproof("table", "runs", tmp_path / "nul.tar.gz", cwd=tmp_path), "nul.tar.gz")


def test_linked_runs_are_read_and_lost_ones_named_under_the_table(tmp_path):
    root = tmp_path / "runs"
    run_folder(root, method="inside")
    outside = (
        run_folder(tmp_path / "elsewhere" / "runs", method="outside") if (tmp_path / "elsewhere").mkdir() is None else None
    )
    (root / "linked").symlink_to(outside)
    (root / "twice").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "lost").symlink_to(tmp_path / "gone")
    process = dreamproof("table", "runs", root, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("b.inside.") == process.stdout.count("b.outside.") == 1, process.stdout
    assert "(1): " in process.stdout and str(root / "lost") in process.stdout


NASTY = r"m$_{x}$\alpha[/b]|<b>`%&#"


def test_mark_up_in_names_is_text_in_every_output(tmp_path):
    run_folder(tmp_path / "runs", method=NASTY)
    show = lambda form: dreamproof("table", "runs", tmp_path / "runs", "--format", form, cwd=tmp_path).stdout  # noqa: E731
    assert NASTY in show("csv") and json.dumps(NASTY, ensure_ascii=False)[1:-1] in show("json")
    assert r"m\$_{x}\$\alpha[/b]\|\<b>\`%&#" in show("md")
    assert r"m\$\_\{x\}\$\textbackslash{}alpha[/b]\textbar{}\textless{}b\textgreater{}`\%\&\#" in show("tex")
    assert "&lt;b&gt;" in show("html") and "<b>" not in show("html")
    process = dreamproof("plot", "curves", tmp_path / "runs", "--out", tmp_path / "c.svg", "--reps", "100", cwd=tmp_path)
    assert process.returncode == 0, process.stderr


def test_control_characters_in_stored_names_are_shown(tmp_path):
    run_folder(tmp_path / "runs", config_json=lambda old: old.replace(b'"m"', b'"m\\u001b]0;t\\u0007"'))
    for form in ("md", "csv", "json", "html"):
        process = dreamproof("table", "runs", tmp_path / "runs", "--format", form, cwd=tmp_path)
        assert "\x1b" not in process.stdout and r"x1b]0;t" in process.stdout, (form, process.stdout)


def test_a_failure_text_that_looks_like_mark_up_is_printed(tmp_path, capsys):
    from harness import progress_bars, rundir

    run = rundir.RunDir.create(tmp_path / "r", {"version": 1, "steps": 5})
    run.set_state(state="failed", message="KeyError: [/b] \x1b[2J")
    with progress_bars.ProgressBars([run]) as bars:
        bars.start(run)
        bars.update(run)
        bars.finish(run, "failed")
    assert r"[/b] \x1b[2J" in capsys.readouterr().err


# ---- Checkpoints

SHORT = ("run", "--task", "counter/vector", "--agent", "random", "--episodes", "1", "--checkpoint-every", "0")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """Two short runs that differ in their seed, with at least two checkpoints each."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        process = dreamproof(*SHORT, "--steps", "20000", "--seed", seed, "--runs", root, cwd=root)
        assert process.returncode == 0, process.stderr
    return sorted(path.parent for path in root.glob("single/*/done"))


def copies(two_runs, tmp_path):
    shutil.copytree(two_runs[0].parent, tmp_path / "single")
    return [tmp_path / "single" / run.name for run in two_runs]


def newest(run):
    return sorted((run / "checkpoint").glob("step-*"))[-1]


def test_the_checkpoint_of_another_run_is_refused(two_runs, tmp_path):
    one, other = copies(two_runs, tmp_path)
    shutil.rmtree(one / "checkpoint")
    shutil.copytree(other / "checkpoint", one / "checkpoint")
    process = dreamproof("evaluate", one, "--noise", "clean", "--episodes", "2", cwd=tmp_path)
    assert process.returncode == 1 and "was written by another run" in process.stderr, process.stderr
    (one / "done").unlink()
    process = dreamproof(*SHORT, "--steps", "20000", "--seed", "0", "--runs", tmp_path, cwd=tmp_path)
    assert process.returncode == 1 and "was written by another run" in process.stderr, process.stderr


def test_a_bad_byte_in_the_newest_checkpoint_is_named_with_the_cure(two_runs, tmp_path):
    run = copies(two_runs, tmp_path)[0]
    assert len(list((run / "checkpoint").glob("step-*"))) == 2
    file = max(newest(run).glob("*.safetensors"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    process = dreamproof("evaluate", run, "--noise", "clean", "--episodes", "2", cwd=tmp_path)
    for word in (newest(run).name, file.name, "differs from its checksum", "last good one is of step", str(run / "done")):
        assert process.returncode == 1 and word in process.stderr, process.stderr
    assert json.loads((run / "state.json").read_text())["state"] == "done"
    (run / "done").unlink()  # the cure that is printed
    before = (run / "episodes.jsonl").read_text()
    process = dreamproof(*SHORT, "--steps", "20000", "--seed", "0", "--runs", tmp_path, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    without_time = lambda text: [{**json.loads(line), "seconds": 0} for line in text.splitlines()]  # noqa: E731
    assert without_time((run / "episodes.jsonl").read_text()) == without_time(before)


def test_the_rows_of_another_task_are_refused(two_runs, tmp_path):
    run = copies(two_runs, tmp_path)[0]
    rows = (run / "episodes.jsonl").read_text()
    (run / "episodes.jsonl").write_text(rows.replace("counter/vector", "counter/image"))
    assert_refused(dreamproof("table", "runs", tmp_path, cwd=tmp_path), "counter/image", "file of another run")
