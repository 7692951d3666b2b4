"""Any Gymnasium space: what the agent sees and does, what the environment gets, and what is refused before anything starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import space_envs
from gymnasium import spaces
from test_runs import same, the_run

from agents.protocol import JointSpace, Space
from agents.random.agent import RandomAgent
from harness import envs
from harness.env import random_action
from harness.errors import BadInput
from harness.provenance import fingerprint

TESTS = Path(__file__).parent


def make(kind):
    return envs.make(f"gym/space_envs:{kind}-v0")


def simulator(env):
    """The user's environment below everything."""
    return env._env.unwrapped


@pytest.mark.parametrize("kind", space_envs.KINDS)
def test_every_kind_plays(kind):
    """Observations are as the spec says; the environment itself refuses an action that is not in its space."""
    env, rng = make(kind), np.random.default_rng(0)
    obs = env.reset(3)
    for _ in range(space_envs.LENGTH):
        assert obs.keys() == env.spec.obs.keys()
        assert all(obs[key].shape == s.shape and obs[key].dtype == s.dtype for key, s in env.spec.obs.items())
        step = env.step(random_action(env.spec.action, rng))
        assert step.reward == 1.0 and isinstance(step.reward, float)
        obs = step.obs
    assert step.truncated and not step.terminated
    assert fingerprint(make(kind)) == fingerprint(make(kind))


@pytest.mark.parametrize("kind", space_envs.ACTIONS)
def test_the_random_agent_covers_every_action_space(kind):
    env, rng = make(kind), np.random.default_rng(0)
    agent = RandomAgent(env.spec)
    env.reset(0)
    actions = []
    for _ in range(40):
        _, action, _ = agent.act({}, {}, rng.random((1, agent.num_uniforms)))
        env.reset(0)
        env.step(action[0])
        flat = spaces.flatten(env._env.action_space, simulator(env).action)
        actions.append(np.asarray(flat, np.float64))
    assert (np.stack(actions) != actions[0]).any(0).all()  # nothing of it stands still


def test_names_and_values_of_nested_observations():
    env = make("Nested")
    obs = env.reset(0)
    assert set(obs) == {"body.joints", "body.gear", "t.0", "t.1"}
    assert obs["body.gear"].shape == (3,) and obs["body.gear"].sum() == 1 and obs["t.1"].shape == (2,)
    assert set(make("Dotted").reset(0)) == {"joint.pos", "values", "training"}
    assert set(make("Pair").reset(0)) == {"0", "1.x"}


def encoded(kind, value):
    env = make(kind)
    simulator(env).observation_space.sample = lambda: value
    return env.reset(0)


def test_classes_are_one_hots_side_by_side():
    obs = encoded("Choices", np.array([[2, 0], [1, 4]]))["vector"]
    np.testing.assert_array_equal(obs, [0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(encoded("Switches", np.array([[1, 0], [0, 1]], np.int8))["vector"], [1, 0, 0, 1])
    np.testing.assert_array_equal(encoded("Scalar", np.float32(2.5))["vector"], [2.5])
    np.testing.assert_array_equal(encoded("Whole", np.array([[-3, 9], [0, 1]], np.int16))["vector"], [-3, 9, 0, 1])


def test_many_classes_cost_a_vector_and_no_matrix():
    env = make("Many")
    simulator(env).observation_space.sample = lambda: 12_345
    env.reset(0)
    tracemalloc.start()
    obs = env.reset(0)["vector"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20  # bytes; an identity matrix would take 1.6 GB
    assert obs.shape == (20_000,) and obs.argmax() == 12_345 and obs.sum() == 1


@pytest.mark.parametrize("value", [-1, 20_000, 2.5])
def test_a_class_outside_its_space_is_no_other_class(value):
    with pytest.raises(Exception, match=str(value)):
        encoded("Many", value)


def action_in_env(kind, parts):
    """What the environment gets for the agent's action, by head."""
    env = make(kind)
    env.reset(0)
    joint = isinstance(env.spec.action, JointSpace)
    env.step(env.spec.action.join({k: np.asarray(v) for k, v in parts.items()}) if joint else np.asarray(parts["action"]))
    return simulator(env).action


def test_actions_have_the_environments_own_structure():
    action = action_in_env("Heads", {"gear": 3, "buttons": [1, 0, 1], "steer": [0.5, -1]})
    assert action["gear"] == 3 and action["buttons"].tolist() == [1, 0, 1] and action["steer"].tolist() == [0.5, -1]
    assert action["buttons"].dtype == np.int8 and action["steer"].dtype == np.float32
    action = action_in_env("Deep", {"arm.left": [1, -1], "in.0": 1, "in.1.keys.0": 0, "in.1.keys.1": 2})
    assert isinstance(action["in"], tuple) and action["in"][0] == 1 and action["in"][1]["keys"].tolist() == [0, 2]
    assert action_in_env("Unequal", {"0.0": 1, "0.1": 2, "1.0": 0, "1.1": 4}).tolist() == [[2, 2], [0, 2]]
    assert action_in_env("Equal", {"action": [3, 0, 2]}).tolist() == [3, 0, 2]
    assert action_in_env("Started", {"action": 0}) == -1 and action_in_env("One", {"action": 2}) == {"only": 2}
    assert action_in_env("Number", {"action": np.float32(0)}) == 0.5 and action_in_env("Number", {"action": 0}).shape == ()
    np.testing.assert_allclose(action_in_env("Matrix", {"action": [[-1, 0, 1]] * 2}), [[-2, 0.5, 3]] * 2)
    np.testing.assert_allclose(action_in_env("Wide", {"action": [-1, 1]}), [-1.7e308, 1.7e308])
    assert action_in_env("Bytes", {"action": [1, 0.5]}).tolist() == [255, 191]  # 191.25: whole numbers are rounded
    assert action_in_env("Long", {"action": [-1, 1]}).tolist() == [-(2**63), 2**63 - 1]
    np.testing.assert_allclose(action_in_env("Asymmetric", {"action": [7, 0.5]}), [10, 2])


def test_which_heads_the_agent_has():
    heads = {kind: make(kind).spec.heads for kind in ("Heads", "Equal", "Unequal", "Grid")}
    assert heads["Heads"] == {
        "buttons": Space((3,), "int32", 2),
        "gear": Space((), "int32", 4),
        "steer": Space((2,), "float32"),
    }
    assert heads["Equal"] == {"action": Space((3,), "int32", 4)} and heads["Grid"] == {"action": Space((2, 2), "int32", 2)}
    assert {name: s.classes for name, s in heads["Unequal"].items()} == {"0.0": 2, "0.1": 3, "1.0": 4, "1.1": 5}


@pytest.mark.parametrize(
    "kind, words",
    [
        ("Text", ["'told'", "Text"]),
        ("Graph", ["Graph"]),
        ("Sequence", ["'1'", "Sequence"]),
        ("Huge", ["'id'", "1000000000 classes"]),
        ("Clash", ["'a.b'", "rename"]),
        ("Nothing", ["no value"]),
        ("Unbounded", ["'push'", "finite", "TransformAction"]),
        ("HalfBounded", ["finite"]),
        ("SayText", ["'1'", "Text"]),
        ("ActClash", ["'a.b'", "rename"]),
        ("NoAction", ["nothing to choose"]),
    ],
)
def test_what_cannot_be_is_refused_by_name(kind, words):
    with pytest.raises(BadInput) as error:
        make(kind)
    assert all(word in str(error.value) for word in [f"gym/space_envs:{kind}-v0", *words]), error.value


# ---- Through the command line

TINY = ["--size", "nano", "--threads", 1, "--set", "env.envs=1", "--set", "train.batch_size=4",
        "--set", "train.batch_length=16", "--set", "train.ratio=16", "--set", "train.log_every=50",
        "--episodes", 1]  # fmt: skip


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The user's module is on the path of every process that a test starts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))


def dreamproof(*arguments, cwd, status=0):
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    process = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert process.returncode == status, process.stdout + process.stderr
    return process


def train(kind, tmp_path, *options):
    dreamproof("run", "--task", f"gym/space_envs:{kind}-v0", *TINY, *options, cwd=tmp_path)
    run = the_run(tmp_path / "runs")
    assert run.state["state"] == "done" and run.state["updates"] > 0
    return run


def test_plan_refuses_what_cannot_be(tmp_path):
    study = "name: s\ntasks: ['gym/space_envs:{}-v0']\nsteps: 100\nseeds: 1\n"
    (tmp_path / "text.yaml").write_text(study.format("Text"))
    process = dreamproof("plan", "text.yaml", cwd=tmp_path, status=2)
    assert "told" in process.stderr and "Traceback" not in process.stderr


@pytest.mark.slow
def test_three_heads_learn_with_the_sizes_of_a_real_run(tmp_path):
    task = "gym/space_envs:Heads-v0"
    dreamproof("run", "--task", task, "--size", "nano", "--steps", 1100, "--episodes", 1, cwd=tmp_path)
    run = the_run(tmp_path / "runs")
    assert run.state["state"] == "done" and run.state["updates"] > 0
    metrics = run.rows("metrics")[-1]
    assert {f"actor/{head}/entropy" for head in ("gear", "buttons", "steer")} <= metrics.keys()


@pytest.mark.parametrize("kind", ["Reserved", "Deep", "Choices"])
def test_kinds_train_and_keep_their_names(kind, tmp_path):
    run = train(kind, tmp_path, "--steps", 120)
    recons = {key.removeprefix("loss/recon_") for key in run.rows("metrics")[-1] if key.startswith("loss/recon_")}
    assert recons == set(make(kind).spec.obs)
    row = run.rows("episodes")[-1]
    assert row["split"] == "eval" and row["return"] == space_envs.LENGTH
    json.dumps(run.rows("metrics"), allow_nan=False)


@pytest.mark.slow
def test_a_run_of_several_heads_killed_at_random_is_the_run_that_was_not(tmp_path):
    arguments = ["run", "--task", "gym/space_envs:Deep-v0", *TINY, "--steps", 300, "--checkpoint-every", 0.1]
    dreamproof(*arguments, "--runs", "whole", cwd=tmp_path)
    command = [sys.executable, "-m", "harness", *map(str, arguments), "--runs", "killed"]
    process = subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    while not list(tmp_path.glob("killed/**/manifest.json")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    dreamproof(*arguments, "--runs", "killed", "--env-workers", 1, cwd=tmp_path)
    whole, killed = the_run(tmp_path / "whole"), the_run(tmp_path / "killed")
    assert killed.state["attempt"] == 2 and whole.state["attempt"] == 1
    same(whole, killed)
