"""Plans: counts, differences and costs against numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import config, plan, plan_page, rundir, study

STUDY = """
name: grid
tasks: [counter/vector, counter/image]
size: nano
ablations: [none, no_free_bits]
seeds: 3
steps: 1000
references: [random]
set: {train.ratio: 8}
resources: {cpus: 2, gpus: 0, hours: 4, memory: 8G, pack: 2, parallel: 6}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(STUDY)
    return path


def runs(file, **axes):
    all_runs = study.load_runs(file)[1]
    return [r for r in all_runs if all(getattr(r, axis) == value for axis, value in axes.items()) and r.agent.kind == "dreamer"]


def begin(root, run, state="running", step=0, seconds=0.0, device="cpu"):
    """A run directory as a run leaves it."""
    folder = rundir.RunDir.create(root / run.study / run.run_id, run.dump())
    folder.set_state(state=state, step=step)
    rundir.write_json(folder.path / "provenance.json", {"device": device})
    if seconds:
        log = folder.log("episodes")
        log.add({"split": "train", "seconds": seconds / 3})
        log.add({"split": "eval", "seconds": seconds})
        log.close()
    if state == "done":
        folder.mark_done()
    return folder


def cell(study_plan, task, ablation, agent="dreamer"):
    (match,) = [c for c in study_plan.cells if (c.task, c.ablation, c.agent) == (task, ablation, agent)]
    return match


def test_nothing_has_begun(file, tmp_path):
    study_plan = plan.plan_study(file, None, tmp_path / "runs")
    assert len(study_plan.cells) == 2 * 3 and study_plan.states == {"missing": 18}
    assert (
        study_plan.remaining_cost == plan.Cost(runs=18, core_hours=18 * 4 * 2, gpu_hours=0, bounded=18)
        and study_plan.past_cost.runs == 0
    )
    assert all((e.hours, e.measured) == (4, 0) for e in study_plan.estimates) and len(study_plan.estimates) == 4
    assert [(a.tasks, a.runs, a.at_once, a.resources.memory) for a in study_plan.arrays] == [(9, 18, 3, "8G")]


def test_the_difference_of_a_cell_is_exact(file, tmp_path):
    study_plan = plan.plan_study(file, None, tmp_path)
    assert cell(study_plan, "counter/image", "none").changes == {}
    assert cell(study_plan, "counter/image", "no_free_bits").changes == {"agent.kl.free_nats": (1.0, 0.0)}
    assert cell(study_plan, "counter/image", "none", "random").changes == {
        "steps": (1000, 1),
        "agent.kind": ("dreamer", "random"),
        "train.ratio": (8.0, 0.0),
    }


def test_a_training_noise_is_a_difference(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\ntasks: [counter/image]\nsize: nano\ntrain_noise: [g20, clean]\n")
    noisy, clean = plan.plan_study(path, None, tmp_path).cells
    assert noisy.changes == {"train_noise": ("clean", "gaussian:sigma=20")} and clean.changes == {}


@pytest.mark.parametrize("name", study.names())
def test_every_difference_turns_the_base_into_the_cell(name, tmp_path):
    loaded, all_runs = study.load_runs(name)
    cells = {
        (c.task, c.ablation, c.train_noise): c for c in plan.plan_study(name, None, tmp_path).cells if c.agent == loaded.agent
    }
    for run in all_runs:
        if run.agent.kind == loaded.agent:
            leaves = config.flatten(study.base_run(loaded, run.task))
            for path, (old, new) in cells[run.task, run.ablation, str(run.train_noise)].changes.items():
                assert leaves.get(path) == old
                leaves[path] = new
            expected = config.flatten(run)
            assert {p: x for p, x in leaves.items() if x is not None and p not in ("ablation", "seed")} == {
                p: x for p, x in expected.items() if x is not None and p not in ("ablation", "seed")
            }


def test_states_are_counted(file, tmp_path):
    one, two, three = runs(file, task="counter/vector", ablation="none")
    begin(tmp_path, one, "done", step=1000)
    begin(tmp_path, two, "running", step=250)
    begin(tmp_path, three, "failed", step=0)
    begin(tmp_path, runs(file, task="counter/vector", ablation="no_free_bits")[0], "diverged", step=500)
    study_plan = plan.plan_study(file, None, tmp_path)
    assert cell(study_plan, "counter/vector", "none").states == {"done": 1, "failed": 1, "running": 1}
    assert study_plan.states == {"done": 1, "diverged": 1, "failed": 1, "missing": 14, "running": 1}
    # Neither what is done nor what diverged is run again; a quarter of another run is behind it.
    assert study_plan.remaining_cost.runs == 16 and study_plan.remaining_cost.core_hours == pytest.approx((15 + 0.75) * 4 * 2)


def test_cost_is_measured_on_finished_runs(file, tmp_path):
    one, two, three = runs(file, task="counter/vector", ablation="none")
    begin(tmp_path, one, "done", step=1000, seconds=360)
    begin(tmp_path, two, "done", step=1000, seconds=720)
    begin(tmp_path, three, "running", step=500, seconds=100)
    study_plan = plan.plan_study(file, None, tmp_path)
    estimates = {(e.task, e.agent): e for e in study_plan.estimates}
    assert estimates["counter/vector", "dreamer"] == plan.Estimate("counter/vector", "dreamer", pytest.approx(0.15), 2)
    assert estimates["counter/image", "dreamer"].measured == 0
    # Four runs of the vector task are left, one of them by half; twelve are bounded: six of the image task, six references.
    assert (study_plan.remaining_cost.runs, study_plan.remaining_cost.bounded) == (16, 12)
    assert study_plan.remaining_cost.core_hours == pytest.approx(2 * (3.5 * 0.15 + 12 * 4))
    assert (study_plan.past_cost.runs, study_plan.past_cost.core_hours) == (3, pytest.approx(2 * 1180 / 3600))


def test_runs_of_other_studies_are_measured_where_they_do_the_same_work(file, tmp_path):
    def pilot(seconds, steps=100, device="cpu", **changes):
        run = study.single("counter/image", size="nano", steps=steps, study="pilot", changes={"train.ratio": 8, **changes})
        begin(tmp_path, run, "done", step=steps, seconds=seconds, device=device)

    pilot(36)
    pilot(7, device="cuda", **{"agent.horizon": 10})
    pilot(9, **{"train.batch_size": 4})
    estimates = {(e.task, e.agent): e for e in plan.plan_study(file, None, tmp_path).estimates}
    assert estimates["counter/image", "dreamer"] == plan.Estimate("counter/image", "dreamer", pytest.approx(0.1), 1)


def test_directories_that_cannot_be_compared_are_no_measure(file, tmp_path):
    (tmp_path / "imported" / "x").mkdir(parents=True)
    rundir.write_json(tmp_path / "imported" / "x" / "config.json", {"version": rundir.VERSION, "task": "counter/image"})
    (tmp_path / "imported" / "x" / "done").touch()
    assert all(e.measured == 0 for e in plan.plan_study(file, None, tmp_path).estimates)


def test_a_grown_evaluation_grid_opens_a_finished_run_again(file, tmp_path):
    run = runs(file, task="counter/vector", ablation="none")[0]
    begin(tmp_path, run, "done", step=1000)
    file.write_text(STUDY + "evaluate: {noise: [clean], episodes: 50}\n")
    study_plan = plan.plan_study(file, None, tmp_path)
    assert cell(study_plan, "counter/vector", "none").states == {"missing": 2, "queued": 1}
    assert study_plan.remaining_cost.runs == 18 and study_plan.remaining_cost.core_hours == pytest.approx(17 * 4 * 2)


def test_everything_done_leaves_nothing(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\ntasks: [counter/vector]\nsize: nano\nsteps: 10\n")
    for run in study.load_runs(path)[1]:
        begin(tmp_path, run, "done", step=10, seconds=5)
    study_plan = plan.plan_study(path, None, tmp_path)
    assert (
        study_plan.states == {"done": 1}
        and not study_plan.arrays
        and not study_plan.estimates
        and study_plan.remaining_cost.runs == 0
    )
    assert "left: nothing" in plan_page.plan_to_text(study_plan)


def test_the_page_says_it_all_in_a_hundred_columns(file, tmp_path):
    text = plan_page.plan_to_text(plan.plan_study(file, None, tmp_path))
    for line in (
        "18 runs in 6 cells (factorial; seeds 0, 1, 2): 18 missing",
        "counter/vector (base: v3, nano, 1000 steps, clean)",
        "agent.kl.free_nats: 1.0 -> 0.0",
        "left: at most 144 core-hours, 0 GPU-hours for 18 runs",
        "counter/image, dreamer: 4 h a run, at most (resources.hours)",
        "array: 9 tasks of up to 2 runs, each 4 CPU, 16G, 4 h, 3 at a time",
    ):
        assert line in text, text
    for name in study.names():
        assert max(map(len, plan_page.plan_to_text(plan.plan_study(name, None, Path("nowhere"))).split("\n"))) <= 100


def test_a_plan_is_plain_data(file, tmp_path):
    tree = json.loads(json.dumps(plan.plan_to_json(plan.plan_study(file, None, tmp_path))))
    assert tree["runs"] == 18 and tree["states"] == {"missing": 18} and len(tree["cells"]) == 6
    assert tree["cells"][1]["changes"] == {"agent.kl.free_nats": [1.0, 0.0]}
    assert tree["arrays"][0]["resources"]["cpus"] == 2 and tree["left"]["core_hours"] == 144
