"""A user's environment: what the agent sees of it, what is refused before anything starts, and the door on every step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import envs, preview, rundir
from harness.door import Door
from harness.errors import BadInput, RunFailed

HERE = Path(__file__).parent
SMALL = ["--size", "nano", "--steps", "40", "--episodes", "1", "--threads", "1", "--no-compile"]
SMALL += ["--set", "train.batch_size=2", "--set", "train.batch_length=8", "--set", "train.ratio=2"]


def dreamproof(*arguments, cwd, module=HERE / "own_envs.py"):
    """A verb as a user types it, with the module of environments on PYTHONPATH and an empty cache."""
    variables = {**os.environ, "PYTHONPATH": str(module.parent), "XDG_CACHE_HOME": str(cwd / "cache")}
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300)


@pytest.fixture
def make_env(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return lambda name, **options: Door(envs.make(f"gym/own_envs:{name}-v0", **options), f"gym/own_envs:{name}-v0", quiet=True)


# ---- What the agent sees

VIEWS = {
    "Side84": ((80, 80, 3), "84x84 is resized to 80x80"),
    "Screen": ((208, 160, 3), "210x160 is resized to 208x160"),
    "Side63": ((64, 64, 3), "63x63 is resized to 64x64"),
    "Oblong": ((96, 64, 3), "100x60 is resized to 96x64"),
    "Poster": ((64, 64, 3), "300x512 is resized to 64x64"),
    "ChannelFirst": ((64, 64, 3), "read as channel first"),
    "Stacked": ((80, 80, 4), "read as channel first"),
    "Grey": ((64, 64, 1), "read as a grey image"),
    "Float1": ((64, 64, 3), "from 0 to 1 is scaled"),
    "Float255": ((64, 64, 3), "from 0 to 255 is scaled"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_images_in_any_size_and_layout(make_env, name):
    shape, words = VIEWS[name]
    env = make_env(name)
    assert env.spec.obs["image"].shape == shape and env.spec.obs["image"].dtype == "uint8"
    assert any(words in note for note in env.notes)
    assert env.reset(0)["image"].std() > 0


def test_pixels_keep_their_values(make_env):
    np.testing.assert_array_equal(make_env("ChannelFirst").reset(3)["image"], make_env("Plain").reset(3)["image"])
    bright = make_env("Float255").reset(3)["image"].astype(int)
    assert abs(bright - make_env("Float1").reset(3)["image"]).max() <= 1
    np.testing.assert_array_equal(make_env("Grey", layout="vector").reset(3)["vector"].shape, (4096,))


def test_options_force_size_colour_and_layout(make_env):
    assert make_env("Side84", resize=32).spec.obs["image"].shape == (32, 32, 3)
    assert make_env("Side84", resize=[48, 96], grey=True).spec.obs["image"].shape == (48, 96, 1)
    assert make_env("ChannelFirst", layout="vector").spec.obs["vector"].shape == (3 * 64 * 64,)
    for options, words in (
        ({"resize": "none"}, ["resize=none", "84x84", "multiples of 16"]),
        ({"resize": 50}, ["50x50", "multiples of 16"]),
        ({"resizes": 64}, ["resizes", "Did you mean 'resize'"]),
        ({"layout": "hw"}, ["layout=hw", "(84, 84, 3)"]),
        ({"sticky": 2}, ["sticky", "2"]),
    ):
        with pytest.raises(BadInput) as refusal:
            make_env("Side84", **options)
        assert all(word in str(refusal.value) for word in words), refusal.value


def test_steps_per_action_sticky_actions_and_the_longest_episode(make_env):
    env = make_env("Counting", action_repeat=3)
    env.reset(0)
    step = env.step(np.int32(1))
    assert step.obs["vector"][0] == 3 and step.reward == 3.0
    limited = make_env("Endless", max_episode_steps=5)
    limited.reset(0)
    assert [limited.step(np.int32(0)).truncated for _ in range(5)] == [False] * 4 + [True]
    sticky = make_env("Counting", sticky=0.5)
    histories = []
    for _ in range(2):
        sticky.reset(4)
        histories.append([sticky.step(np.int32(n % 2)).obs["vector"][1] for n in range(40)])
    assert histories[0] == histories[1] and 5 < sum(a != n % 2 for n, a in enumerate(histories[0])) < 35


def test_arguments_are_given_and_checked(make_env):
    assert make_env("Level", kwargs={"level": 7}).reset(0)["vector"][0] == 7
    for kwargs, words in (
        ({}, ["needs the argument level", "env.options.kwargs.level"]),
        ({"levle": 7}, ["levle", "Did you mean 'level'"]),
        ({"level": "high"}, ["level", "'high'", "int"]),
    ):
        with pytest.raises(BadInput) as refusal:
            make_env("Level", kwargs=kwargs)
        assert all(word in str(refusal.value) for word in words), refusal.value


# ---- The door

WRONG = {  # the environment is wrong at its step 3
    "NanReward": ["reward", "nan", "finite"],
    "InfObservation": ["vector", "inf", "Box"],
    "BeyondRange": ["vector", "300.7", "Box(-1.0, 1.0"],
    "Wraps": ["vector", "float64", "uint8"],
    "OtherShape": ["vector", "(4,)", "(3,)"],
    "OtherType": ["vector", "float64", "float32"],
    "Vanishes": ["joints", "missing"],
    "TwoRewards": ["reward", "(2,)", "a number"],
    "Explodes": ["ZeroDivisionError", "the physics exploded"],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_door_names_environment_key_step_got_and_declared(make_env, name):
    env = make_env(name)
    env.reset(5)
    with pytest.raises(RunFailed) as failure:
        for _ in range(4):
            env.step(np.int32(0))
    words = [f"gym/own_envs:{name}-v0", "step 3", "seed 5", *WRONG[name]]
    assert all(word in str(failure.value) for word in words), failure.value


def test_a_reward_in_an_array_is_a_number(make_env):
    env = make_env("ArrayReward")
    env.reset(0)
    reward = env.step(np.int32(0)).reward
    assert reward == 1.0 and type(reward) is float


def test_values_beyond_the_range_are_taken_if_asked(make_env):
    env = make_env("BeyondRange", bounds="ignore")
    env.reset(0)
    assert max(env.step(np.int32(0)).obs["vector"].max() for _ in range(4)) == np.float32(300.7)


# ---- Verbs


def test_a_run_says_what_it_sees_and_ends_at_the_door(tmp_path):
    result = dreamproof("run", "--task", "gym/own_envs:NanReward-v0", *SMALL, cwd=tmp_path)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert all(word in result.stderr for word in ("own_envs:NanReward-v0", "reward", "nan", "step 3"))
    (run,) = rundir.find_runs([tmp_path / "runs"])
    assert run.state["state"] == "failed" and "NaN" not in (run.path / "state.json").read_text()


def test_what_cannot_be_made_is_one_paragraph(tmp_path):
    cases = {
        "InitRaises": "ValueError: no level file at /nowhere",
        "ResetRaises": "OSError: no display",
        "Level": "needs the argument level",
        "Missing": "Missing",
    }
    for name, words in cases.items():
        result = dreamproof("run", "--task", f"gym/own_envs:{name}-v0", *SMALL, cwd=tmp_path)
        assert result.returncode == 2 and words in result.stderr, result.stderr
        assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_plan_says_what_the_agent_sees_without_a_simulator(tmp_path):
    study = tmp_path / "four.yaml"
    study.write_text("name: four\nsize: nano\ntasks: [gym/own_envs:Oblong-v0]\nsteps: 40\nset: {env.options.grey: true}\n")
    first = dreamproof("plan", study, cwd=tmp_path)
    assert first.returncode == 0 and "image 96x64x1" in first.stdout and "100x60 is resized to 96x64" in first.stdout
    (stored,) = (tmp_path / "cache" / "dreamproof" / "environments").glob("*.json")
    assert str(HERE / "own_envs.py") in json.loads(stored.read_text())["files"]
    stamp = stored.stat().st_mtime_ns
    assert dreamproof("plan", study, cwd=tmp_path).stdout == first.stdout and stored.stat().st_mtime_ns == stamp


def test_a_changed_module_is_looked_at_again(tmp_path):
    module = tmp_path / "own" / "own_envs.py"
    module.parent.mkdir()
    module.write_text((HERE / "own_envs.py").read_text())
    study = tmp_path / "four.yaml"
    study.write_text("name: four\nsize: nano\ntasks: [gym/own_envs:Oblong-v0]\nsteps: 40\n")
    assert "image 96x64x3" in dreamproof("plan", study, cwd=tmp_path, module=module).stdout
    module.write_text(module.read_text().replace("(100, 60, 3)", "(100, 80, 3)"))
    assert "image 96x80x3" in dreamproof("plan", study, cwd=tmp_path, module=module).stdout


def test_an_option_at_its_default_gives_no_other_run():
    from harness import study

    plain = study.single("gym/CartPole-v1", size="nano")
    assert study.single("gym/CartPole-v1", size="nano", changes={"env.options.action_repeat": 1}).digest == plain.digest
    other = study.single("gym/CartPole-v1", size="nano", changes={"env.options.max_episode_steps": 30})
    assert other.digest != plain.digest and other.env.options == {"max_episode_steps": 30}


def test_a_run_trains_on_what_it_recognised_and_marks_an_ignored_seed(tmp_path):
    result = dreamproof("run", "--task", "gym/own_envs:Unseeded-v0", *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "ignores its seed" in result.stderr
    (run,) = rundir.find_runs([tmp_path / "runs"])
    assert run.provenance["environment"]["seeded"] is False and run.state["seeded"] is False
    table = dreamproof("table", "robustness", "runs", "--reps", "200", "--format", "csv", cwd=tmp_path)
    assert "unseeded" in table.stdout, table.stderr
    assert "ignores its seed" in dreamproof("check", "runs", cwd=tmp_path).stdout


def test_an_evaluation_that_does_not_end_is_noticed(tmp_path):
    run = ["run", "--task", "gym/own_envs:EndlessLater-v0", *SMALL]
    result = dreamproof(*run, cwd=tmp_path)
    assert "an evaluation episode has gone on for 301 steps" in result.stderr and "max_episode_steps" in result.stderr, (
        result.stderr
    )
    assert result.stderr.count("notice:") == 1


def test_no_json_holds_nan(tmp_path):
    log = rundir.Log(tmp_path / "rows.jsonl")
    log.add({"return": float("inf"), "inner": [float("nan"), 1.0]})
    rundir.write_json(tmp_path / "state.json", {"last_return": float("nan")})
    assert json.loads((tmp_path / "rows.jsonl").read_text()) == {"return": None, "inner": [None, 1.0]}
    assert json.loads((tmp_path / "state.json").read_text()) == {"last_return": None}


def test_atari_departs_from_its_protocol_only_where_asked():
    from harness import study

    game = envs.make("atari100k/breakout", life_loss=True)
    game.reset(0)
    assert any(game.step(np.int32(n % 4)).terminated for n in range(400)) and game._ale.lives() == 4
    assert envs.make("atari100k/breakout", actions="full").spec.action.classes == 18
    plain = study.single("atari100k/breakout", size="nano")
    assert study.single("atari100k/breakout", size="nano", changes={"env.options.sticky": 0.0}).digest == plain.digest
    with pytest.raises(BadInput, match=r"sticky=1.5.*\[0, 1\)"):
        study.single("atari100k/breakout", size="nano", changes={"env.options.sticky": 1.5})


def test_a_look_finds_an_ignored_seed(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    assert not preview.preview_in_process("gym/own_envs:Unseeded-v0", {}).seeded
    assert preview.preview_in_process("gym/own_envs:Plain-v0", {}).seeded


DOCTOR = {  # exit status, words
    "Oblong": (0, ["image 96x64x3", "100x60 is resized to 96x64", "20 steps", "steps per second", "everything that is needed"]),
    "Unseeded": (1, ["broken", "two resets with one seed differ", "self.np_random"]),
    "DriftsLater": (1, ["broken", "lead elsewhere from step 1", "self.np_random"]),
    "Endless": (1, ["broken", "had not ended after 2000 steps", "max_episode_steps"]),
    "NanReward": (1, ["broken", "reward", "nan", "step 3"]),
    "InitRaises": (1, ["broken", "no level file at /nowhere"]),
}


@pytest.mark.parametrize("name", DOCTOR)
def test_the_doctor_says_what_is_wrong_and_how_to_cure_it(name, tmp_path):
    status, words = DOCTOR[name]
    result = dreamproof("doctor", "--task", f"gym/own_envs:{name}-v0", cwd=tmp_path)
    assert result.returncode == status, result.stdout + result.stderr
    assert all(word in result.stdout for word in words) and "Traceback" not in result.stderr, result.stdout


def test_the_doctor_takes_options(tmp_path):
    bounded = ("--set", "env.options.max_episode_steps=9")
    result = dreamproof("doctor", "--task", "gym/own_envs:Endless-v0", *bounded, cwd=tmp_path)
    assert result.returncode == 0 and "9 steps" in result.stdout, result.stdout + result.stderr
    refused = dreamproof("doctor", "--task", "gym/own_envs:Endless-v0", "--set", "env.options.resiz=9", cwd=tmp_path)
    assert refused.returncode == 2 and "Did you mean 'resize'" in refused.stderr


def test_an_environment_that_ignores_its_seed_goes_on_with_its_next_episode(make_env, capsys):
    from harness import noise
    from harness.vector import EnvSlot, Episode

    def slot(name):
        return EnvSlot(make_env(name), noise.parse("clean"), lambda number: Episode.training(0, 0, number))

    for name, length in (("Plain", 3), ("Unseeded", 0)):
        before, after = slot(name), slot(name)
        for _ in range(3):
            before.advance(np.int32(1))
        after.load(before.state())
        assert after.episode_row()["length"] == length
    assert "ignores its seed" in capsys.readouterr().err
