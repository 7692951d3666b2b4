"""A few episodes of random actions in a user's environment: what is right, what is wrong, and the cure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from harness import envs, preview
from harness.doctor import Diagnosis
from harness.door import Door
from harness.env import Env, random_action
from harness.errors import BadInput, RunFailed

EPISODES = 3
MOST_STEPS = 2000  # of an episode: what goes on for longer may never end
FEW_STEPS_PER_SECOND = 20


@dataclass
class _Play:
    """What was observed in the episodes: lengths, rewards, whether each came to an end, seconds."""

    lengths: list[int] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    seconds: float = 0.0


def options(task: str, changes: Mapping[str, object]) -> dict[str, object]:
    """The suite's options with dotted changes: env.options.NAME, or env.options.kwargs.NAME. BadInput for any other path."""
    tree: dict[str, object] = dict(envs.suite(task).options)
    for path, value in changes.items():
        if not path.startswith("env.options."):
            raise BadInput(f"--set {path}: doctor --task takes env.options.NAME=VALUE only.")
        *parents, last = path.removeprefix("env.options.").split(".")
        node = tree
        for name in parents:
            inner = node.setdefault(name, {})
            if not isinstance(inner, dict):
                raise BadInput(f"--set {path}: '{name}' is {inner!r}, which has no parts.")
            node = inner
        node[last] = value
    envs.check(task)
    envs.check_options(task, tree)
    return tree


def examine(task: str, options: Mapping[str, object]) -> list[Diagnosis]:
    """Every check of one environment. What cannot even be made is the only line."""
    try:
        view = preview.preview_in_process(task, options)
    except BadInput as error:
        return [Diagnosis("environment", "broken", str(error), "correct it, or give it other env.options")]
    env = Door(envs.make(task, **options), task, quiet=True)
    try:
        return [*_spaces(view), *_behaviour(env)]
    finally:
        env.close()


def _spaces(view: preview.Preview) -> Iterator[Diagnosis]:
    for key, space in view.declared.items():
        yield Diagnosis(f"space {key}", "works", space)
    observed = ", ".join(f"{key} {space}" for key, space in view.obs.items())
    yield Diagnosis("agent sees", "works", "; ".join([observed, *view.notes]))
    yield Diagnosis("agent acts", "works", view.action)


def _behaviour(env: Env) -> Iterator[Diagnosis]:
    play = _Play()
    try:
        first = [_play_episode(env, seed, play) for seed in range(EPISODES)]
        again = _play_episode(env, 0, _Play())
    except RunFailed as failure:
        yield Diagnosis("values", "broken", str(failure), "the environment must return what it declares")
        return
    yield Diagnosis("values", "works", f"{sum(play.lengths)} steps are as declared")
    yield _seeding(first, again)
    yield _episodes(play)
    low, high = min(play.rewards), max(play.rewards)
    yield Diagnosis("rewards", "works", f"from {low:g} to {high:g}" + ("; all are equal" if low == high else ""))
    speed = sum(play.lengths) / max(play.seconds, 1e-9)
    remedy = "make its step cheaper, or step several in processes of their own (--env-workers)"
    yield Diagnosis("speed", "works" if speed > FEW_STEPS_PER_SECOND else "broken", f"{speed:.0f} steps per second", remedy)


def _play_episode(env: Env, seed: int, play: _Play) -> list[bytes]:
    """One episode under actions that its seed fixes -> everything that was observed; its figures are added to `play`."""
    rng, begin = np.random.default_rng(seed), time.perf_counter()
    obs, is_over, length = env.reset(seed), False, 0
    trace = [b"".join(obs[key].tobytes() for key in sorted(obs))]
    while not is_over and length < MOST_STEPS:
        step = env.step(random_action(env.spec.action, rng))
        length += 1
        is_over = step.terminated or step.truncated
        play.rewards.append(step.reward)
        trace.append(b"".join(step.obs[key].tobytes() for key in sorted(step.obs)) + repr((step.reward, is_over)).encode())
    play.lengths.append(length)
    play.ends.append(is_over)
    play.seconds += time.perf_counter() - begin
    return trace


def _seeding(first: list[list[bytes]], again: list[bytes]) -> Diagnosis:
    remedy = (
        "call super().reset(seed=seed) and draw every random number from self.np_random. Until then a resumed run is not "
        "exact, and noises are not compared on the same episodes"
    )
    if first[0][0] != again[0]:
        return Diagnosis("seeding", "broken", "two resets with one seed differ", remedy)
    if first[0] != again:
        step = next((n for n, pair in enumerate(zip(first[0], again, strict=False)) if pair[0] != pair[1]), len(again))
        return Diagnosis("seeding", "broken", f"the same seed and actions lead elsewhere from step {step} on", remedy)
    same = len({trace[0] for trace in first}) == 1
    return Diagnosis("seeding", "works", "an episode repeats exactly" + ("; every seed starts alike" if same else ""))


def _episodes(play: _Play) -> Diagnosis:
    lengths = f"{min(play.lengths)} to {max(play.lengths)} steps" if len(set(play.lengths)) > 1 else f"{play.lengths[0]} steps"
    if all(play.ends):
        return Diagnosis("episodes", "works", lengths)
    remedy = "bound episodes: --set env.options.max_episode_steps=N (suite gym)"
    return Diagnosis("episodes", "broken", f"one had not ended after {MOST_STEPS} steps", remedy)
