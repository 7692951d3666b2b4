"""A user's module of environments, one per kind: `gym/own_envs:NAME-v0`."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Base(gymnasium.Env):
    """Episodes of 20 steps with random observations of `space`."""

    space: spaces.Space = spaces.Box(-1, 1, (3,), np.float32)

    def __init__(self):
        self.observation_space, self.action_space, self.time = self.space, spaces.Discrete(2), 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observe(), {}

    def step(self, action):
        self.time += 1
        return self.observe(), self.reward(), False, self.time >= 20, {}

    def reward(self):
        return 1.0

    def observe(self):
        box = self.observation_space
        values = self.np_random.random(box.shape)
        if box.dtype == np.uint8:
            return (values * 255.99).astype(np.uint8)
        low, high = np.maximum(box.low, -1), np.minimum(box.high, 255)
        return (low + values * (high - low)).astype(box.dtype)

    @property
    def wrong(self):
        return self.time == 3


def register(kind, name=None):
    gymnasium.register(f"{name or kind.__name__}-v0", entry_point=kind)


for name, top, shape, dtype in (
    ("Side84", 255, (84, 84, 3), np.uint8),
    ("Screen", 255, (210, 160, 3), np.uint8),
    ("Side63", 255, (63, 63, 3), np.uint8),
    ("Oblong", 255, (100, 60, 3), np.uint8),
    ("Poster", 255, (300, 512, 3), np.uint8),
    ("Stacked", 255, (4, 84, 84), np.uint8),
    ("Grey", 255, (64, 64), np.uint8),
    ("Float1", 1, (64, 64, 3), np.float32),
    ("Float255", 255, (64, 64, 3), np.float32),
    ("Plain", 255, (64, 64, 3), np.uint8),
):
    register(type(name, (Base,), {"space": spaces.Box(0, top, shape, dtype)}))


class ChannelFirst(Base):
    """The images of Plain, channel first."""

    space = spaces.Box(0, 255, (3, 64, 64), np.uint8)

    def observe(self):
        return (self.np_random.random((64, 64, 3)) * 255.99).astype(np.uint8).transpose(2, 0, 1)


class Counting(Base):
    """Shows how many steps it has taken, and its action."""

    space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action = 0

    def step(self, action):
        self.action = action
        return super().step(action)

    def observe(self):
        return np.array([self.time, self.action], np.float32)


class Endless(Base):
    def step(self, action):
        return (*super().step(action)[:3], False, {})


class EndlessLater(Base):
    """Its episodes have 20 steps until 56 steps were taken in this process; evaluation then goes on for 1000."""

    steps_in_process = 0

    def step(self, action):
        EndlessLater.steps_in_process += 1
        limit = 20 if EndlessLater.steps_in_process < 57 else 1000
        return (*super().step(action)[:3], self.time >= limit, {})


class Level(Base):
    space = spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def __init__(self, level: int, speed: float = 1.0):
        super().__init__()
        self.level = level

    def observe(self):
        return np.array([self.level], np.float32)


class NanReward(Base):
    def reward(self):
        return float("nan") if self.wrong else 1.0


class InfObservation(Base):
    space = spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def observe(self):
        return np.array([0, np.inf if self.wrong else 0, 0], np.float32)


class BeyondRange(Base):
    def observe(self):
        return np.array([0, 300.7 if self.wrong else 0, 0], np.float32)


class Wraps(Base):
    space = spaces.Box(0, 255, (3,), np.uint8)

    def observe(self):
        return np.array([0, 300.7, 0]) if self.wrong else np.zeros(3, np.uint8)


class OtherShape(Base):
    def observe(self):
        return np.zeros(4 if self.wrong else 3, np.float32)


class OtherType(Base):
    def observe(self):
        return np.zeros(3, np.float64 if self.wrong else np.float32)


class Vanishes(Base):
    space = spaces.Dict({"joints": spaces.Box(-1, 1, (2,), np.float32), "gear": spaces.Discrete(3)})

    def observe(self):
        return {"gear": 1} if self.wrong else {"joints": np.zeros(2, np.float32), "gear": 1}


class TwoRewards(Base):
    def reward(self):
        return np.ones(2) if self.wrong else 1.0


class ArrayReward(Base):
    def reward(self):
        return np.array([1.0])


class Explodes(Base):
    def reward(self):
        if self.wrong:
            raise ZeroDivisionError("the physics exploded")
        return 1.0


class InitRaises(Base):
    def __init__(self):
        raise ValueError("no level file at /nowhere")


class ResetRaises(Base):
    def reset(self, *, seed=None, options=None):
        raise OSError("no display")


class Unseeded(Base):
    def observe(self):
        return np.random.default_rng().random(3).astype(np.float32)


class DriftsLater(Base):
    """Its seed fixes the first observation alone."""

    def observe(self):
        return super().observe() if self.time == 0 else np.random.default_rng().random(3).astype(np.float32)


for kind in (
    *(Counting, ChannelFirst, Endless, EndlessLater, Level, NanReward, InfObservation, BeyondRange, Wraps, OtherShape),
    *(OtherType, Vanishes, TwoRewards, ArrayReward, Explodes, InitRaises, ResetRaises, Unseeded, DriftsLater),
):
    register(kind)
