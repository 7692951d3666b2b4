"""Axes -> runs, dotted changes, and what makes two runs the same run."""

import json

import pytest

from harness import config, envs, study
from harness.errors import BadInput

GRID = {
    "name": "grid",
    "tasks": ["counter/vector", "counter/image"],
    "size": "nano",
    "ablations": ["none", "no_free_bits"],
    "train_noise": {"counter/vector": ["clean", "state_gaussian:std=1,unit=absolute"], "counter": ["clean", "g10"]},
    "seeds": 2,
    "evaluate": {"noise": ["clean"]},
}


def grid(**changes):
    return config.validate(study.Study, GRID | changes, "test")


def test_a_factorial_grid_has_every_cell_once_seeds_outermost():
    runs = study.expand(grid())
    assert len(runs) == 2 * 2 * 2 * 2 and len({r.run_id for r in runs}) == 16
    assert [r.seed for r in runs] == [0] * 8 + [1] * 8
    noises = {(r.task, str(r.train_noise)) for r in runs}
    assert ("counter/vector", "state_gaussian:std=1,unit=absolute") in noises and (
        "counter/image",
        "gaussian:sigma=10",
    ) in noises


def test_one_at_a_time_varies_around_the_first_value_of_every_axis():
    runs = study.expand(grid(design="one-at-a-time", seeds=1, tasks=["counter/image"]))
    assert [(r.ablation, str(r.train_noise)) for r in runs] == [
        ("none", "clean"),
        ("none", "gaussian:sigma=10"),
        ("no_free_bits", "clean"),
    ]


def test_references_are_one_unablated_clean_run_per_task_and_seed():
    runs = [r for r in study.expand(grid(references=["random"])) if r.agent.kind == "random"]
    assert {(r.task, r.ablation, str(r.train_noise), r.seed) for r in runs} == {
        (t, "none", "clean", s) for t in GRID["tasks"] for s in (0, 1)
    }


def test_the_suite_gives_the_defaults():
    run = study.single("atari100k/asterix")
    suite = envs.suite("atari100k/asterix")
    assert (run.steps, run.env.envs, run.train.ratio) == (suite.steps, suite.envs, suite.ratio) == (100_000, 1, 256)
    assert (run.train.batch_size, run.train.batch_length, run.replay.capacity) == (16, 64, 5_000_000)


def test_places_in_set_reach_their_tasks_only():
    runs = study.expand(grid(set={"train.ratio": 8, "counter/image": {"train.ratio": 16}}))
    assert {(r.task, r.train.ratio) for r in runs} == {("counter/vector", 8), ("counter/image", 16)}


def test_stored_configs_come_back_equal_and_hash_alike():
    for run in study.expand(grid()):
        again = config.parse(json.loads(json.dumps(run.dump())))
        assert again == run and again.run_id == run.run_id


def test_identity_is_what_changes_the_trained_agent():
    base = study.single("counter/vector", size="nano")
    same = [
        study.single("counter/vector", size="nano", evaluate={"noise": ["clean"], "episodes": 99}),
        study.single("counter/vector", size="nano", study="elsewhere"),
    ]
    other = [
        study.single("counter/vector", size="nano", seed=1),
        study.single("counter/vector", size="nano", steps=17),
        study.single("counter/vector", size="nano", precision="bfloat16"),
        study.single("counter/vector", size="nano", ablation="no_free_bits"),
        study.single("counter/vector", size="nano", changes={"agent.kl.rep": 0.2}),
        study.single("counter/vector", size="1m"),
    ]
    assert {run.digest for run in same} == {base.digest}
    assert len({run.digest for run in [base, *other]}) == 1 + len(other)


def test_run_ids_are_readable_and_safe_as_folder_names():
    run = study.single("atari100k/asterix", ablation="no_free_bits", train_noise="g10", seed=3)
    assert run.run_id.startswith("asterix.no_free_bits.gaussian-sigma10.s3-")
    assert not set(run.run_id) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")


def test_an_ablation_changes_exactly_what_it_declares():
    from harness import ablate

    for name in ablate.names():
        base = study.single("counter/vector", size="nano")
        touched = set(config.diff(base, ablate.apply(base, ablate.parse(name), "test")))
        declared = set(ablate.parse(name).changes)
        assert touched - {"ablation"} <= {p for p in touched if any(p == d or p.startswith(d + ".") for d in declared)} | {
            "ablation"
        }
        assert bool(touched - {"ablation"}) == (name != "none")


def test_an_ablation_that_is_already_so_is_an_error():
    with pytest.raises(BadInput, match="changes nothing"):
        study.single("counter/vector", changes={"agent.kl.free_nats": 0.0}, ablation="no_free_bits")


@pytest.mark.parametrize("name", study.names())
@pytest.mark.parametrize("scaled", [False, True])
def test_shipped_studies_are_valid_at_every_scale(name, scaled):
    loaded = study.load(name)
    for scale in loaded.scales if scaled else ():
        small = study.load(name, scale)
        assert small.name == f"{name}-{scale}"
        shape = {(r.task, r.ablation, str(r.train_noise), r.agent.kind) for r in study.expand(small)}
        assert shape == {(r.task, r.ablation, str(r.train_noise), r.agent.kind) for r in study.expand(loaded)}
    assert loaded.description


def test_the_founding_study_is_all_there():
    loaded = study.load("asterix-noise")
    runs = [r for r in study.expand(loaded) if r.agent.kind == "dreamer"]
    assert {r.seed for r in runs} == set(range(5)) and {r.steps for r in runs} == {100_000}
    sigmas = {"clean", "gaussian:sigma=10", "gaussian:sigma=20"}
    assert sigmas <= {str(r.train_noise) for r in runs} and sigmas <= set(map(str, runs[0].evaluate.noise))
    assert runs[0].evaluate.episodes == 100


# Arms: a study's own ablations.


def test_an_arm_is_an_ablation_of_the_study_s_own():
    arms = {"short": {"agent.horizon": 5}, "soft": {"agent.kl": {"kind": "repo", "target": 10}}}
    runs = study.expand(
        grid(arms=arms, ablations=["none", "short", "soft"], seeds=1, tasks=["counter/image"], train_noise=["clean"])
    )
    none, short, soft = runs
    assert config.diff(none, short) == {"ablation": ("none", "short"), "agent.horizon": (15, 5)}
    assert (soft.agent.kl.kind, soft.agent.kl.target, soft.agent.kl.init) == ("repo", 10, 1e-3)
    assert short.run_id.startswith("image.short.clean.s0-")


@pytest.mark.parametrize(
    ("arms", "ablations", "message"),
    [
        ({"no_unimix": {"agent.horizon": 5}}, ["none", "no_unimix"], "take no ablation's name"),
        ({"a b": {"agent.horizon": 5}}, ["a b"], "Use letters, digits and _"),
        ({"short": {"agent.horizon": 5}}, ["none"], "would not run"),
        ({"short": {"agent.horizons": 5}}, ["short"], "Did you mean horizon"),
        ({"short": {"agent.horizon": 15}}, ["short"], "changes nothing here"),
        ({"short": {"agent.horizon": 5}}, ["short", "shrot"], "Did you mean 'short'"),
    ],
)
def test_an_arm_that_cannot_be_is_an_error(arms, ablations, message):
    with pytest.raises(BadInput, match=message):
        study.expand(grid(arms=arms, ablations=ablations))
