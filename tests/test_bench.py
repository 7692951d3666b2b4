"""Benchmarks: what is counted against numbers worked out by hand, what is refused, what the page looks like."""

import contextlib
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import measure
from agents.nn.layers import Linear
from harness import bench, plugins
from harness.bench import Options, _other_work, _page, train
from harness.cli import look
from harness.errors import BadInput

ROOT = Path(__file__).parent.parent


def dreamproof(*arguments, cwd, status=0):
    command = [sys.executable, "-m", "harness", "bench", *map(str, arguments)]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=300)
    assert process.returncode == status, process.stderr
    return process


def test_operations_of_products_and_convolutions_are_counted_forward_and_backward():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    image, kernel = torch.ones(1, 2, 8, 8), torch.ones(4, 2, 3, 3, requires_grad=True)
    assert measure.count_flops(lambda: a @ b) == 2 * 3 * 5 * 7
    assert measure.count_flops(lambda: (a @ b).sum().backward()) == 3 * 2 * 3 * 5 * 7
    tall, layer = torch.randn(5000, 3, requires_grad=True), Linear(3, 7)  # another product, for many rows
    assert measure.count_flops(lambda: layer(tall).sum().backward()) == 3 * 2 * 5000 * 3 * 7
    conv = 2 * (4 * 6 * 6) * (2 * 3 * 3)
    flops = measure.count_flops(lambda: torch.nn.functional.conv2d(image, kernel).sum().backward())
    assert flops == 2 * conv  # the image needs no gradient


def test_the_update_counts_what_its_layers_say():
    """Acting once in a vector task: every weight matrix of encoder, core, posterior and policy is used once."""
    agent = train.make_agent(Options(size="nano", obs="vector", threads=1))
    step = train.random_batch(agent, train.SPECS["vector"], np.random.default_rng(0), size=1, length=1)
    obs = {key: step[key][:, 0] for key in ("state", "is_first")}
    counted = measure.count_flops(lambda: agent.act(agent.initial(1), obs, step["reward"][:, :1].repeat(agent.num_uniforms, 1)))
    read = [*agent.world.encoder.parameters(), *agent.world.rssm.core.parameters()]
    read += [*agent.world.rssm.posterior.parameters(), *agent.behavior.actor.parameters()]
    weights = sum(p.numel() for p in read if p.ndim == 2)
    # Rows of the core's weight that all blocks share are stored once and used once; so are all others.
    assert counted == 2 * weights


def test_train_prints_every_figure_as_json(tmp_path):
    done = dreamproof("train", "--size", "nano", "--obs", "vector", "--threads", 1, "--profile", "--json", cwd=tmp_path)
    (row,) = json.loads(done.stdout)
    assert next(key for key in row if "second" in key and "update" in key) == "seconds_per_update"
    assert row["repetitions"] >= 5
    assert row["seconds_per_update_min"] <= row["seconds_per_update"] <= row["seconds_per_update_max"]
    assert row["achieved_rate"] == pytest.approx(row["flops_per_update"] / row["seconds_per_update"])
    assert row["share_of_peak"] == pytest.approx(row["achieved_rate"] / row["matrix_rate"])
    assert row["matrix_rate"] == row["matrix_rate_float32"] and row["matrix_rate_bfloat16"] > 0 and row["copy_rate"] > 0
    assert row["matrix_rate_one_thread"] > 0
    assert 1e8 < row["peak_memory_bytes"] < 1e10 and row["first_update_seconds"] > row["seconds_per_update_min"]
    assert len(row["dearest_operators"]) == 10 and row["other_cores"] >= 0
    shares = [entry["share"] for entry in row["dearest_operators"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1


def test_the_rate_of_one_thread_leaves_the_threads_as_they_were(monkeypatch):
    calls = []
    monkeypatch.setattr(measure, "matrix_rate", lambda device, dtype: calls.append((device, dtype, torch.get_num_threads())))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        measure.matrix_rate_one_thread("bfloat16")
        assert calls == [("cpu", "bfloat16", 1)] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


BAD = {
    "subject": (("trian",), "Did you mean 'train'"),
    "size": (("train", "--size", "12M"), "Did you mean '12m'"),
    "dtype": (("train", "--dtype", "float16"), "bfloat16"),
    "option of another subject": (("train", "--task", "dmc/walker_walk"), "No option 'task' in bench train"),
    "task": (("env", "--task", "dmc/walker_wlak"), "Did you mean 'dmc/walker_walk'"),
    "threads": (("train", "--threads", "0"), "threads"),
    "option without subject": (("--size", "1m"), "--size goes with a subject"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_values_are_refused_in_one_paragraph(arguments, words, tmp_path):
    done = dreamproof(*arguments, cwd=tmp_path, status=2)
    assert words in done.stderr and len(done.stderr.splitlines()) == 1 and not done.stdout


def test_other_subjects_measure_beside_their_limit(tmp_path):
    for subject, options, figures in (
        ("act", {"size": "nano", "obs": "vector", "threads": 1}, ("seconds_per_act", "floor_seconds")),
        ("replay", {"size": "nano", "obs": "vector", "steps": 300}, ("seconds_per_sample", "copy_seconds")),
        ("noise", {"task": "dmc/cartpole_balance"}, ("seconds_per_observation", "copy_seconds")),
    ):
        rows = list(bench.measure(subject, options))
        assert rows and all(row["subject"] == subject and row[name] > 0 for row in rows for name in figures)


def test_environments_are_measured_alone_beside_the_simulator_and_together_in_processes():
    alone, *joined = bench.measure("env", {"task": "dmc/cartpole_balance"})
    assert alone["share_of_bare"] == pytest.approx(alone["steps_per_second"] / alone["bare_steps_per_second"])
    assert [(row["envs"], row["env_workers"]) for row in joined] == [(1, 0), (1, 1), (8, 0), (8, 1), (8, 2)]


def test_the_loop_counts_the_updates_that_the_train_ratio_asks_for(monkeypatch):
    monkeypatch.setattr(plugins.load("harness.bench", "loop"), "WORKERS", (1,))
    (row,) = bench.measure("loop", {"task": "counter/vector", "size": "nano", "threads": 1})
    assert row["env_workers"] == 1 and row["updates_per_tick"] == 4 * 64 / 1024


def test_a_replay_step_takes_its_raw_bytes():
    (row,) = bench.measure("replay", {"size": "nano", "obs": "vector", "steps": 2048})
    assert row["raw_bytes_per_step"] == 17 * 4 + 6 * 4 + 4 + 3 + 128 * 2 + 8  # state, action, reward, flags, deter, stoch
    assert row["bytes_per_step"] == row["raw_bytes_per_step"]  # two full chunks


def test_checkpoints_are_counted_by_the_bytes_that_they_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = list(bench.measure("checkpoint", {"size": "nano", "obs": "vector", "steps": 1500}))
    assert rows[0]["occasion"] == "the first" and rows[-1]["occasion"] == "loading"
    assert rows[0]["written_bytes"] == rows[0]["disk_bytes"] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("subject", bench.subjects())
def test_every_subject_says_what_it_takes_and_shows(subject):
    module = plugins.load("harness.bench", subject)
    assert set(module.OPTIONS) <= set(Options.__dataclass_fields__) and module.COLUMNS
    assert all(set(case) <= set(module.OPTIONS) for case in module.CASES)
    for case in module.CASES:  # as `dreamproof bench` asks for it
        look.bench.make_context("bench", [subject, *_page.case_to_flags(case)])


def test_the_page_holds_a_table_per_subject_between_its_marks(tmp_path):
    rows = [{"task": "dmc/a", "steps_per_second": 12345.6, "other_cores": 2.0}]
    path = tmp_path / "page.md"
    path.write_text(f"before\n{_page.BEGIN}\nold\n{_page.END}\nafter\n")
    _page.write_tables(path, _page.tables_to_markdown({"env": rows}))
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| task | steps / s | other work |\n| --- | --- | --- |\n| dmc/a | 12.3 k | 2 |" in text
    assert "up to 2.0 cores" in text
    assert "![scaling](page-scaling.png)" in _page.tables_to_markdown(
        {"scaling": [{"axis": "size", "other_cores": 0.0}]}, "page"
    )
    path.write_text("no marks")
    with pytest.raises(BadInput, match="no place for the tables"):
        _page.write_tables(path, "")


def test_rows_are_kept_as_csv_with_their_figure(tmp_path):
    rows = [{"axis": axis, "value": v, "what": "one", "seconds": s, "seconds_min": s, "seconds_max": 2 * s}
            for axis, points in {"size": [("nano", 0.1), ("1m", 1.0)], "batch": [(4, 0.2), (8, 0.4)]}.items()
            for v, s in points]  # fmt: skip
    bench._write_rows(rows, "_scaling_figure", tmp_path / "scaling.csv")
    with (tmp_path / "scaling.csv").open() as file:
        assert [(row["value"], float(row["seconds"])) for row in csv.DictReader(file)] == [
            ("nano", 0.1), ("1m", 1.0), ("4", 0.2), ("8", 0.4)
        ]  # fmt: skip
    assert (tmp_path / "scaling.png").stat().st_size > 5000


BURN = "import time\nwhile time.process_time() < 1: pass"


def test_other_work_is_what_this_process_did_not_start():
    """A child's second of work is our own; one that was left to init is another's, however busy the machine is."""
    before = _other_work._own_seconds()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert _other_work._own_seconds() - before >= 1
    other_work = _other_work.OtherWork()
    before, start_time = _other_work._own_seconds(), time.perf_counter()
    burner = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", burner], check=True)
    while not gone(BURN):
        time.sleep(0.05)
    assert other_work.busy_cores() * (time.perf_counter() - start_time) >= 0.8 and _other_work._own_seconds() - before < 0.8


def gone(code):
    """Whether no process runs this code any more."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if code.encode() in path.read_bytes():
                return False
    return True
