"""Environments: a conformance battery over every suite, and what each suite promises beyond the protocol.

The simulators must be installed: where one is missing these tests fail.
"""

from __future__ import annotations

import os
import subprocess
import sys

os.environ.setdefault("MUJOCO_GL", "egl")  # before anything imports dm_control

import numpy as np
import pytest

from harness import envs, plugins
from harness.env import Env, Suite
from harness.envs import catch, counter, dmc
from harness.errors import BadInput

# (task, actions played by the battery)
BATTERY = [
    ("atari100k/asterix", 60),
    ("atari100k/breakout", 60),
    ("atari/pong", 60),
    ("catch/sparse", 40),
    ("catch/dense", 40),
    ("counter/vector", 30),
    ("counter/image", 30),
    ("counter/vector_continuous", 30),
    ("counter/image_continuous", 30),
    ("counter/vector_terminal", 30),
    ("counter/image_terminal", 30),
    ("dmc/cartpole_swingup", 60),
    ("dmc/walker_walk", 60),
    ("dmc/reacher_hard", 60),
    ("dmc/finger_turn_hard", 60),
    ("dmc/point_mass_hard", 60),
    ("dmc/quadruped_escape", 10),
    ("dmc/humanoid_walk", 30),
    ("dmc_vision/cartpole_swingup", 5),
    ("dmc_vision/reacher_easy", 5),
    ("dmc_vision/quadruped_walk", 3),
    ("gym/CartPole-v1", 40),
    ("gym/Pendulum-v1", 40),
    ("gym/FrozenLake-v1", 40),
]
battery = pytest.mark.parametrize(("task", "steps"), BATTERY)
CONTINUOUS = [task for task, _ in BATTERY if task.startswith("dmc") or task.endswith(("continuous", "Pendulum-v1"))]


def actions(env: Env, seed: int, count: int) -> list[np.ndarray]:
    """Beyond the bounds of continuous actions, on purpose."""
    generator, space = np.random.default_rng(seed), env.spec.action
    if space.discrete:
        return [np.int32(a) for a in generator.integers(space.classes, size=count)]
    return [generator.uniform(-1.5, 1.5, space.shape).astype(np.float32) for _ in range(count)]


def play(env: Env, seed: int, action_list: list[np.ndarray]) -> list[tuple]:
    """(obs, reward, terminated, truncated) of one episode, or its beginning."""
    rows = [(env.reset(seed), 0.0, False, False)]
    for action in action_list:
        step = env.step(action)
        rows.append((step.obs, step.reward, step.terminated, step.truncated))
        if step.terminated or step.truncated:
            break
    return rows


def assert_same(first: list[tuple], second: list[tuple]) -> None:
    assert [row[1:] for row in first] == [row[1:] for row in second]
    for one, other in zip(first, second, strict=True):
        for name in one[0]:
            np.testing.assert_array_equal(one[0][name], other[0][name])


# ---- Every suite


def test_every_suite_is_in_the_battery():
    assert {task.split("/")[0] for task, _ in BATTERY} == set(plugins.names("harness.envs"))


@battery
def test_observations_and_results_are_as_the_spec_says(task, steps):
    env = envs.make(task)
    assert env.native is None
    for obs, reward, terminated, truncated in play(env, 1, actions(env, 0, steps)):
        assert set(obs) == set(env.spec.obs)
        for name, space in env.spec.obs.items():
            assert obs[name].shape == space.shape and obs[name].dtype == space.dtype
            assert obs[name].flags.writeable and np.isfinite(obs[name]).all()
        assert type(reward) is float and type(terminated) is bool and type(truncated) is bool
        assert not (terminated and truncated)
    env.close()


@battery
def test_an_episode_is_a_function_of_seed_and_actions(task, steps):
    fresh, used = envs.make(task), envs.make(task)
    action_list = actions(fresh, 3, steps)
    expected = play(fresh, 5, action_list)
    play(used, 6, actions(used, 4, steps))
    play(used, 7, actions(used, 5, steps // 3))  # left in the middle of an episode
    assert_same(expected, play(used, 5, action_list))
    assert_same(expected, play(fresh, 5, action_list))
    fresh.close(), used.close()


@battery
def test_observations_are_never_overwritten_later(task, steps):
    env = envs.make(task)
    env.reset(0)
    observations = [env.step(action).obs for action in actions(env, 0, 2)]
    copies = [{name: value.copy() for name, value in obs.items()} for obs in observations]
    play(env, 9, actions(env, 9, steps))
    for obs, copy in zip(observations, copies, strict=True):
        for name in obs:
            np.testing.assert_array_equal(obs[name], copy[name])
    env.close()


@pytest.mark.parametrize("task", CONTINUOUS)
def test_actions_beyond_the_bounds_are_clipped(task):
    env = envs.make(task)
    action_list = actions(env, 1, 4)
    assert_same(play(env, 2, action_list), play(env, 2, [np.clip(action, -1, 1) for action in action_list]))
    env.close()


@battery
def test_modalities_are_those_of_the_spec(task, steps):
    env = envs.make(task)
    spaces = env.spec.obs.values()
    assert envs.modalities(task) == (any(s.image for s in spaces), any(s.dtype == "float32" for s in spaces))
    env.close()


@pytest.mark.parametrize("name", plugins.names("harness.envs"))
def test_suites_describe_themselves(name):
    module = plugins.load("harness.envs", name)
    assert isinstance(module.SUITE, Suite) and module.SUITE.source
    assert module.SUITE.steps > 0 and module.SUITE.repeat > 0 and module.SUITE.envs > 0 and module.SUITE.ratio > 0


def test_naming_tasks_imports_no_simulator():
    code = (
        "import sys; from harness import envs; envs.tasks(); envs.check('dmc/walker_walk'); envs.suite('atari/pong');"
        "envs.modalities('dmc_vision/walker_walk');"
        "print({'dm_control', 'mujoco', 'ale_py', 'gymnasium', 'PIL', 'torch'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("dmc/cartpole_swingUp", ["No task", "Did you mean 'dmc/cartpole_swingup'"]),
        ("atari100k/asterik", ["Did you mean 'atari100k/asterix'"]),
        ("atari10k/asterix", ["No suite 'atari10k'", "atari100k"]),
        ("cartpole_swingup", ["suite/task", "dmc/cartpole_swingup"]),
        ("gym/CartPool-v1", ["Did you mean 'gym/CartPole-v1'"]),
        ("gym/no_such_module:Env-v0", ["no_such_module"]),
        (3, ["A task is text"]),
    ],
)
def test_bad_tasks_are_named(task, words):
    with pytest.raises(BadInput) as error:
        envs.make(task)
    for word in words:
        assert word in str(error.value)


def test_bad_options_are_named():
    with pytest.raises(BadInput, match="Did you mean 'repeat'"):
        envs.make("dmc/walker_walk", repeats=2)
    with pytest.raises(BadInput, match="repeat=0"):
        envs.make("dmc/walker_walk", repeat=0)
    with pytest.raises(BadInput, match="truncation='no'"):
        envs.make("atari100k/pong", truncation="no")
    with pytest.raises(BadInput, match="length=0"):
        envs.make("counter/vector", length=0)


# ---- Counter: known in advance


def best(obs: dict[str, np.ndarray]) -> int:
    """The target, read from the observation."""
    if "vector" in obs:
        return int(obs["vector"].argmax()) // 2
    return int(obs["image"][0, :, 0].argmax()) // 32


def returns(task: str, episodes: int, policy) -> np.ndarray:
    env, total = envs.make(task), np.zeros(episodes)
    for episode in range(episodes):
        obs, over = env.reset(episode), False
        while not over:
            step = env.step(policy(obs))
            total[episode] += step.reward
            obs, over = step.obs, step.terminated or step.truncated
    return total


@pytest.mark.parametrize("task", counter.TASKS)
def test_the_best_policy_gets_the_best_return(task):
    continuous = task.endswith("continuous")
    policy = (lambda obs: np.array([2.0 * best(obs) - 1])) if continuous else best
    assert (returns(f"counter/{task}", 8, policy) == counter.returns(task)[1]).all()


@pytest.mark.parametrize("task", ["vector", "vector_continuous", "vector_terminal"])
def test_random_actions_get_the_expected_return(task):
    generator = np.random.default_rng(0)
    continuous = task.endswith("continuous")
    policy = (lambda _: generator.uniform(-1, 1, 1)) if continuous else (lambda _: generator.integers(2))
    got = returns(f"counter/{task}", 3000, policy)
    assert got.mean() == pytest.approx(counter.returns(task)[0], abs=4 * got.std() / np.sqrt(len(got)))


def test_counter_counts():
    env = envs.make("counter/vector")
    rows = play(env, 11, [0, 0, 1, 1] * 10)
    counts = [int(obs["vector"].argmax()) for obs, *_ in rows]
    assert counts == [(counts[0] + t) % 4 for t in range(21)]
    assert [row[3] for row in rows] == [False] * 20 + [True] and not any(row[2] for row in rows)
    assert [row[1] for row in rows[1:]] == [float(a == c // 2) for a, c in zip([0, 0, 1, 1] * 5, counts, strict=False)]
    assert {int(env.reset(seed)["vector"].argmax()) for seed in range(40)} == {0, 1, 2, 3}


def read_cells(image):
    """Ball row and column (None where the paddle has it), paddle column, read off the picture."""
    cells = image[::4, ::4, 0] > 0
    bottom = np.flatnonzero(cells[7])
    above = np.argwhere(cells[:7])
    return (tuple(above[0]) if len(above) else None), bottom


def chase(image, step):
    """Towards the ball, as the picture has it."""
    ball, bottom = read_cells(image)
    assert ball is None or ball[0] == step % 7
    return 1 if ball is None else 1 + int(np.sign(ball[1] - bottom[0]))


@pytest.mark.parametrize("task", catch.TASKS)
def test_random_actions_and_following_the_ball_get_the_expected_returns(task):
    env, generator = envs.make(f"catch/{task}"), np.random.default_rng(0)
    got = np.zeros((2, 2000))
    for seed in range(2000):
        for way in range(2):
            obs = env.reset(seed)
            for step in range(35):
                done = env.step(chase(obs["image"], step) if way else generator.integers(3))
                obs, got[way, seed] = done.obs, got[way, seed] + done.reward
                assert done.truncated == (step == 34) and not done.terminated
    for rows, want in zip(got, catch.returns(task), strict=True):
        assert rows.mean() == pytest.approx(want, abs=4 * rows.std() / np.sqrt(2000) + 1e-9)
    assert catch.returns("sparse") == pytest.approx((5 / 8, 5))


def test_counter_terminates_on_the_first_mistake():
    env = envs.make("counter/vector_terminal", length=3)
    step = env.step(1 - best(env.reset(0)))
    assert step.reward == 0 and step.terminated and not step.truncated
    obs = env.reset(0)
    for expected in (False, False, True):
        step = env.step(best(obs))
        obs = step.obs
        assert step.truncated == expected and not step.terminated


def test_counter_native_noise_is_seen():
    env = envs.make("counter/image")
    env.native = lambda frame: 255 - frame
    assert env.reset(0)["image"].mean() == pytest.approx(255 * 0.75)


# ---- DeepMind Control


def test_dmc_lists_the_tasks_of_the_installed_suite():
    from dm_control import suite

    assert {pair for pair in suite.ALL_TASKS if pair[0] != "lqr"} == set(dmc.NAMES.values())


@pytest.mark.parametrize(("repeat", "steps"), [(1, 1000), (2, 500), (3, 334)])
def test_dmc_episodes_last_1000_simulator_steps(repeat, steps):
    env = envs.make("dmc/pendulum_swingup", repeat=repeat)
    rows = play(env, 0, actions(env, 0, 1001))
    assert len(rows) == steps + 1 and rows[-1][3] and not rows[-1][2]


def test_dmc_repeat_sums_rewards():
    once, twice = envs.make("dmc/cartpole_balance"), envs.make("dmc/cartpole_balance", repeat=2)
    action_list = actions(once, 0, 5)
    single = play(once, 3, [a for a in action_list for _ in range(2)])
    double = play(twice, 3, action_list)
    for i, row in enumerate(double[1:], 1):
        assert row[1] == single[2 * i - 1][1] + single[2 * i][1]
        np.testing.assert_array_equal(row[0]["position"], single[2 * i][0]["position"])


def test_dmc_terminates_only_when_the_discount_is_zero():
    env = envs.make("dmc/cartpole_swingup")
    for discount, terminated in ((0.0, True), (1.0, False)):
        env.reset(0)
        env._sim.task.get_termination = lambda physics, d=discount: d
        step = env.step(np.zeros(1))
        assert (step.terminated, step.truncated) == (terminated, not terminated)
        del env._sim.task.get_termination


def test_dmc_observes_the_suites_own_numbers():
    from dm_control import suite

    env, sim = envs.make("dmc/walker_walk"), suite.load("walker", "walk", task_kwargs={"random": 4})
    expected, got = sim.reset().observation, env.reset(4)
    action = np.linspace(-1, 1, 6)
    time, step = sim.step(action), env.step(action)
    assert step.reward == time.reward and list(got) == list(expected)
    for name, value in time.observation.items():
        np.testing.assert_array_equal(step.obs[name], np.atleast_1d(value).astype(np.float32))


def test_dmc_vision_renders_the_right_camera_and_applies_native_noise():
    env = envs.make("dmc_vision/quadruped_walk")
    plain = env.reset(0)["image"]
    np.testing.assert_array_equal(plain, env._sim.physics.render(64, 64, camera_id=2))
    assert plain.std() > 5
    env.native = lambda frame: 255 - frame
    np.testing.assert_array_equal(env.reset(0)["image"], 255 - plain)


def test_without_a_renderer_state_tasks_work_and_vision_says_why():
    code = (
        "from harness import envs; print(envs.make('dmc/pendulum_swingup').reset(0)['velocity'].shape);"
        "envs.make('dmc_vision/pendulum_swingup').reset(0)"
    )
    broken = os.environ | {"MUJOCO_GL": "egl", "__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=broken)
    assert result.stdout == "(1,)\n"
    assert "RunFailed: Cannot render pendulum_swingup: No OpenGL rendering backend" in result.stderr


# ---- Gymnasium


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_gymnasiums_own_checker_accepts_what_is_wrapped(name):
    import gymnasium
    from gymnasium.utils.env_checker import check_env

    check_env(gymnasium.make(name).unwrapped, skip_render_check=True)


def test_gym_time_limit_truncates_and_falling_terminates():
    env = envs.make("gym/Pendulum-v1")
    rows = play(env, 0, [np.zeros(1)] * 300)
    assert len(rows) == 201 and rows[-1][3] and not rows[-1][2]
    env = envs.make("gym/CartPole-v1")
    rows = play(env, 0, [0] * 300)
    assert len(rows) < 20 and rows[-1][2] and not rows[-1][3]


@pytest.fixture
def odd():
    """A Gymnasium environment with a nested Dict space, an image, and actions that are neither centred nor from 0."""
    import gymnasium
    from gymnasium import spaces

    class Odd(gymnasium.Env):
        observation_space = spaces.Dict(
            {
                "eye": spaces.Box(0, 255, (8, 6, 3), np.uint8),
                "body": spaces.Dict({"joints": spaces.Box(-9, 9, (2, 2)), "gear": spaces.Discrete(3, start=5)}),
            }
        )

        def __init__(self, discrete=False):
            low, high = np.array([0.0, -4.0]), np.array([10.0, 4.0])
            self.action_space = spaces.Discrete(3, start=-1) if discrete else spaces.Box(low, high, dtype=np.float64)

        def reset(self, *, seed=None, options=None):
            return self._observe(), {}

        def step(self, action):
            self.got = action
            return self._observe(), 1, False, False, {}

        def _observe(self):
            return {"eye": np.full((8, 6, 3), 7, np.uint8), "body": {"joints": np.eye(2, dtype=np.float32), "gear": 6}}

    gymnasium.register("Odd-v0", entry_point=lambda **options: Odd(**options))
    gymnasium.register("OddDiscrete-v0", entry_point=lambda: Odd(discrete=True))
    yield
    del gymnasium.registry["Odd-v0"], gymnasium.registry["OddDiscrete-v0"]


def test_gym_flattens_spaces(odd):
    env = envs.make("gym/Odd-v0")
    obs = env.reset(0)
    assert set(obs) == {"eye", "body.joints", "body.gear"}
    np.testing.assert_array_equal(obs["body.joints"], [1, 0, 0, 1])
    np.testing.assert_array_equal(obs["body.gear"], [0, 1, 0])
    assert envs.modalities("gym/Odd-v0") == (True, True)
    env.native = lambda frame: frame + 1
    assert (env.reset(0)["eye"] == 8).all()


def test_gym_scales_actions(odd):
    env = envs.make("gym/Odd-v0")
    env.reset(0)
    for unit, simulator_action in (([-1, -1], [0, -4]), ([0, 0.5], [5, 2]), ([7, 1], [10, 4])):
        env.step(np.array(unit, np.float32))
        np.testing.assert_allclose(env._env.unwrapped.got, simulator_action)
    env = envs.make("gym/OddDiscrete-v0")
    env.reset(0)
    env.step(np.int32(2))
    assert env._env.unwrapped.got == 1
