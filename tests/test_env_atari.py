"""Atari: the preprocessing frame by frame against raw emulator frames, the protocols as data, limits, and sticky actions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import ale_py
import numpy as np
import pytest
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv
from PIL import Image

from harness import envs
from harness.envs import _atari, atari, atari100k
from harness.errors import RunFailed

SHORT = _atari.AtariProtocol(size=64, grey=False, sticky=0.0, actions="minimal", noops=0, limit=42)


class Plain:
    """The same episode, worked out from a freshly loaded emulator with whole RGB frames and one resize per observation."""

    def __init__(self, game: str, protocol: _atari.AtariProtocol, seed: int):
        self.protocol, self.random, self.before = protocol, np.random.Generator(np.random.Philox(seed)), 0
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.setInt("random_seed", 12345)
        self.ale.loadROM(roms.get_rom_path(game))
        full = protocol.actions == "full"
        self.legal = self.ale.getLegalActionSet() if full else self.ale.getMinimalActionSet()
        self.ale.reset_game()
        for _ in range(self.random.integers(0, 31)):
            self.ale.act(0)
        self.frames = [self.ale.getScreenRGB()] * 2

    def step(self, action: int) -> tuple[float, bool]:
        reward, raw_action = 0.0, self.legal[action].value
        draws = self.random.random(4) if self.protocol.sticky else np.ones(4)
        for i in range(4):
            self.before = raw_action if draws[i] >= self.protocol.sticky else self.before
            reward += self.ale.act(self.before)
            if i >= 2:
                self.frames = [self.frames[1], self.ale.getScreenRGB()]
            if self.ale.game_over():
                return reward, True
        return reward, False

    def image(self) -> np.ndarray:
        size = (self.protocol.size, self.protocol.size)
        small = np.array(Image.fromarray(np.amax(self.frames, 0)).resize(size, Image.BILINEAR))
        if not self.protocol.grey:
            return small
        return (small * np.array([0.299, 0.587, 1 - (0.299 + 0.587)])).sum(-1).astype(np.uint8)[:, :, None]


@pytest.mark.parametrize(
    ("suite", "game"),
    [
        (atari100k, "asterix"),
        (atari100k, "breakout"),
        (atari100k, "freeway"),
        (atari100k, "private_eye"),
        (atari, "asterix"),
        (atari, "breakout"),
        (atari, "video_pinball"),
    ],
)
def test_every_observation_equals_an_independent_computation(suite, game):
    seed = 2**30 + 5
    env, plain = suite.make(game), Plain(game, suite.PROTOCOL, seed)
    env.reset(1), [env.step(np.int32(1)) for _ in range(30)]
    np.testing.assert_array_equal(env.reset(seed)["image"], plain.image())
    for action in np.random.default_rng(0).integers(env.spec.action.classes, size=300):
        step, (reward, over) = env.step(action), plain.step(action)
        np.testing.assert_array_equal(step.obs["image"], plain.image())
        assert (step.reward, step.terminated, step.truncated) == (reward, over, False)
        if over:
            break


@pytest.mark.parametrize("game", ["pong", "asterix", "ms_pacman"])
def test_ales_own_vector_environment_pools_alike_and_resizes_otherwise(game):
    """Why it is not used: its frames are ours at native size, bit for bit, and no frame is at 64x64 (OpenCV's area filter)."""
    env = _atari.make(game, replace(SHORT, limit=108_000), "truncated")
    options = {"grayscale": False, "stack_num": 1, "noop_max": 0, "use_fire_reset": False, "reward_clipping": False}
    sizes = ((210, 160), (64, 64))
    large, small = (AtariVectorEnv(game, 1, img_height=h, img_width=w, **options) for h, w in sizes)
    large.reset(seed=0), small.reset(seed=0), env.reset(0)
    pooled, apart = [], []
    env.native = lambda frame: pooled.append(frame) or frame
    for action in np.random.default_rng(0).integers(env.spec.action.classes, size=150):
        step = env.step(action)
        for theirs, ours, alike in ((large, pooled[-1], True), (small, step.obs["image"], False)):
            frames, rewards, terminated, *_ = theirs.step(np.array([action]))
            assert np.array_equal(frames[0, 0], ours) == alike
            assert (rewards[0], terminated[0]) == (step.reward, step.terminated)
        apart.append(np.abs(frames[0, 0].astype(int) - step.obs["image"]))
        if step.terminated:
            break
    assert 0.09 <= np.mean(np.array(apart) > 0) <= 0.54 and 40 <= np.max(apart) <= 53


def test_the_protocols_are_the_published_ones():
    assert _atari.AtariProtocol(64, False, 0.0, "minimal", noops=30, limit=108_000) == atari100k.PROTOCOL
    assert _atari.AtariProtocol(96, True, 0.25, "full", noops=30, limit=108_000) == atari.PROTOCOL
    assert len(atari100k.TASKS) == 26 and len(atari.TASKS) == 57 and set(atari100k.TASKS) < set(atari.TASKS)
    assert envs.make("atari100k/pong").spec.action.classes == 6
    assert envs.make("atari/pong").spec.action.classes == 18
    assert envs.make("atari/pong").spec.obs["image"].shape == (96, 96, 1)


@pytest.mark.parametrize("game", _atari.GAMES)
def test_every_game_shows_the_known_colours(game):
    env = _atari.make(game, SHORT, "truncated")
    env.reset(0)
    for action in np.random.default_rng(0).integers(env.spec.action.classes, size=10):
        env.step(action)
        colours = env._resizer.pool(np.stack([env._screens[env._newest]] * 2))
        np.testing.assert_array_equal(colours, env._ale.getScreenRGB())


def test_the_time_limit_truncates_or_terminates_as_asked():
    for option, terminated in (("truncated", False), ("terminal", True)):
        env = _atari.make("pong", SHORT, option)
        env.reset(0)
        steps = [env.step(np.int32(0)) for _ in range(11)]  # 42 frames: ten whole steps and two frames
        assert not any(s.terminated or s.truncated for s in steps[:-1])
        assert (steps[-1].terminated, steps[-1].truncated) == (terminated, not terminated)


def test_the_first_observation_is_not_pooled_with_the_episode_before():
    env = envs.make("atari100k/breakout")
    first = env.reset(3)["image"]
    for action in [1, 1, 2, 2, 3, 3] * 5:
        env.step(np.int32(action))
    np.testing.assert_array_equal(env.reset(3)["image"], first)


def test_noops_are_spread_over_0_to_30():
    env = envs.make("atari100k/freeway")
    power_on = envs.make("atari100k/freeway")._ale
    power_on.reset_game()
    begin = power_on.getEpisodeFrameNumber()
    counts = []
    for seed in range(60):
        env.reset(seed)
        counts.append(env._ale.getEpisodeFrameNumber() - begin)
    assert min(counts) >= 0 and max(counts) <= 30 and len(set(counts)) > 15


def test_a_quarter_of_raw_frames_repeat_the_action_before():
    env = envs.make("atari/pong")
    env.reset(0)
    requested = np.repeat(np.arange(20_000) % 18, 4)
    actions = np.concatenate([env._sticky_actions(action) for action in np.arange(20_000) % 18])
    repeats = actions != requested
    assert repeats[::4].mean() == pytest.approx(0.25, abs=0.01)
    assert repeats[1::4].mean() == pytest.approx(0.25**2, abs=0.006)
    assert all(b in (a, request) for (a, b), request in zip(pairwise(actions), requested[1:], strict=True))


def test_native_noise_meets_the_pooled_frame_before_resizing():
    env = envs.make("atari/breakout")
    env.reset(0)
    frames = []
    env.native = lambda frame: frames.append(frame) or 255 - frame
    small = np.array(Image.fromarray(255 - env._resizer.pool(env._screens)).resize((96, 96), Image.BILINEAR))
    obs = env._obs()["image"]
    assert frames[0].shape == (210, 160, 3) and frames[0].dtype == np.uint8
    np.testing.assert_array_equal(obs, _atari._to_grey(small))


def test_ale_0_10_is_refused(monkeypatch):
    monkeypatch.setattr(ale_py, "__version__", "0.10.2")
    with pytest.raises(RunFailed, match=r"0\.10\.2 has broken discrete actions"):
        envs.make("atari100k/pong")
