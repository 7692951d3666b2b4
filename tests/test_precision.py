"""Numeric precision and compile mode in tables, through the command line: kept apart, named, and compared only when asked."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from scipy import stats
from test_results import row as evaluation_row
from test_results import write_run

LEVEL = {"a": [10.0, 12.0, 17.0], "b": [70.0, 75.0, 71.0]}


def table(name, root, *options):
    command = [sys.executable, "-m", "harness", "table", name, str(root), "--format", "csv", "--reps", "200", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(csv.DictReader(io.StringIO(done.stdout)))


def write(root, kind, **axes):
    """Three runs whose only evaluation returns are LEVEL[kind], with a training episode of the same return."""
    for seed, value in enumerate(LEVEL[kind]):
        extra = [evaluation_row(100 * k, "clean", k, value, split="train") for k in range(1, 11)]
        write_run(root, {"clean": [value]}, seed=seed, name=f"{kind}{seed}", extra=extra, **axes)


@pytest.mark.parametrize(
    ("axes", "column", "values", "flag"),
    [
        ({"precision": "bfloat16"}, "precision", {"float32", "bfloat16"}, "mixed_precision"),
        ({"compile": True}, "variant", {"compile=absent", "compile=true"}, "mixed_variant"),
    ],
)
def test_runs_of_another_precision_or_compile_mode_are_kept_apart(tmp_path, axes, column, values, flag):
    write(tmp_path, "a")
    write(tmp_path, "b", **axes)
    robust = table("robustness", tmp_path)
    assert sorted(float(r["mean"]) for r in robust) == [13, 72] and {r[column] for r in robust} == values
    assert all(flag in r["flags"].split(";") for r in robust)
    curves = [r for r in table("curves", tmp_path) if r["measure"] == "last tenth"]
    assert sorted(float(r["mean"]) for r in curves) == [13, 72] and {r[column] for r in curves} == values
    scores = table("scores", tmp_path)
    assert sorted(float(r["score"]) for r in scores) == [13, 72]
    assert all(any(value in r["method"] for r in scores) for value in values)
    assert len({r[column] for r in table("runs", tmp_path)}) == 2
    assert table("ablations", tmp_path) == []


def run(root, *options, compiler):
    command = [sys.executable, "-m", "harness", "run", "--task", "counter/vector", "--runs", str(root), "--device", "cpu"]
    command += ["--steps", "40", "--episodes", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CXX": compiler}, check=False)


def modes(root):
    """What config.json, state.json and provenance.json of the only run say of compiling."""
    (path,) = root.glob("*/*/config.json")
    stored = [json.loads(path.with_name(f"{name}.json").read_text())["compile"] for name in ("config", "state", "provenance")]
    return tuple(stored)


def test_where_nothing_is_said_a_run_is_compiled_where_that_pays_and_keeps_its_mode(tmp_path):
    """A run of 40 steps has no update, so that nothing is compiled here; `true` stands for a compiler that is there."""
    cases = {"nano": ("nano", "true", False), "with": ("1m", "true", True), "without": ("1m", "no-such-compiler", False)}
    for name, (size, compiler, expected) in cases.items():
        done = run(tmp_path / name, "--size", size, compiler=compiler)
        assert done.returncode == 0, done.stderr
        assert modes(tmp_path / name) == ("auto", expected, expected)
    one, two = (next((tmp_path / name).glob("*/*")).name for name in ("with", "without"))
    assert one == two, "the same run, whatever the machine has"
    rows = table("runs", tmp_path / "with", str(tmp_path / "without"))
    assert {row["variant"] for row in rows} == {"compile=true", "compile=false"}
    # It goes on as it was begun.
    for name in ("with", "without"):
        (tmp_path / name / "single" / one / "done").unlink()
    assert run(tmp_path / "without", "--size", "1m", compiler="true").returncode == 0
    assert modes(tmp_path / "without") == ("auto", False, False)
    failed = run(tmp_path / "with", "--size", "1m", compiler="no-such-compiler")
    assert failed.returncode == 1 and "C++ compiler" in failed.stderr and "Traceback" not in failed.stderr


def test_doctor_names_the_compiler():
    for compiler, state in (("true", "works"), ("no-such-compiler", "missing")):
        command = [sys.executable, "-m", "harness", "doctor", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CXX": compiler}, check=False)
        (check,) = (line for line in json.loads(done.stdout) if line["what"] == "compiler")
        assert (check["state"], check["found"]) == (state, compiler) and "g++" in check["mend"]


def test_a_run_that_has_yet_to_begin_is_not_told_apart_from_those_that_have(tmp_path):
    for name, compiled in (("done", True), ("other", True), ("queued", None)):
        path = write_run(tmp_path, {"clean": [1.0]}, seed=len(name), name=name, done=compiled is not None, compile="auto")
        state = json.loads((path / "state.json").read_text()) | ({} if compiled is None else {"compile": compiled})
        (path / "state.json").write_text(json.dumps(state))
    assert {row["variant"] for row in table("runs", tmp_path)} == {""}


def test_what_is_asked_for_is_there_or_refused(tmp_path):
    refused = run(tmp_path, "--size", "1m", "--compile", compiler="no-such-compiler")
    assert refused.returncode == 2 and "C++ compiler" in refused.stderr and not list(tmp_path.iterdir())
    assert run(tmp_path, "--size", "1m", "--no-compile", compiler="true").returncode == 0
    assert modes(tmp_path) == (False, False, False)


def test_an_arm_that_is_another_precision_is_compared_with_the_baseline_and_says_so(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b", ablation="half", precision="bfloat16")
    (row,) = table("ablations", tmp_path, "--margin", "0.1")
    welch = stats.ttest_ind(LEVEL["b"], LEVEL["a"], equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert float(row["delta"]) == pytest.approx(59) and float(row["p"]) == pytest.approx(welch.pvalue)
    assert (float(row["ci_low"]), float(row["ci_high"])) == pytest.approx((low, high))
    assert (row["precision"], row["flags"]) == ("bfloat16", "other_precision")


def test_a_baseline_of_the_same_precision_comes_first(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b", ablation="half", precision="bfloat16")
    for seed in range(3):
        write_run(tmp_path, {"clean": [70.0 + seed]}, seed=seed, name=f"c{seed}", precision="bfloat16")
    (row,) = table("ablations", tmp_path)
    assert float(row["delta"]) == pytest.approx(1) and row["flags"] == ""
