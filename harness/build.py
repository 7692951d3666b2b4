"""RunConfig -> objects. The only file of the harness that reads one; everything after it receives what it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from agents.protocol import Agent, Spec
from harness import envs, plugins
from harness.config import RunConfig
from harness.env import Env
from harness.errors import BadInput
from harness.evaluate import Grid, Lists
from harness.lanes import LaneProcesses
from harness.loop import Interaction, Training
from harness.noise import Noise
from harness.recorder import Recorder
from harness.replay import Replay
from harness.rundir import RunDir
from harness.schedule import Ratio
from harness.vector import FLAGS, Episode, Lane, Vector


def environment(config: RunConfig) -> Env:
    return envs.make(config.task, **config.env.options)


def agent(config: RunConfig, spec: Spec, *, device: str, threads: int, compile: bool | None = None) -> Agent:
    """`compile`: how the run was begun; None: what its configuration comes to here."""
    compile = compiles(config, device) if compile is None else compile
    how = {"device": device, "precision": config.precision, "threads": threads, "compile": compile}
    return config.agent.build(spec, seed=config.seed, updates=updates(config), **how)


def compiles(config: RunConfig, device: str) -> bool:
    """Whether the agent's steps are compiled on this machine."""
    asked = config.compile
    return _pays(config.size, config.agent.learns, device) if asked == "auto" else asked


def _pays(size: str, learns: bool, device: str) -> bool:
    """A nano run never wins back what compiling takes; on a GPU a whole update is one launch, and nothing else was tried."""
    if size == "nano" or not learns:
        return False
    place = plugins.load("agents", "device")
    return place.resolve(device) == "cpu" and place.has_compiler()


def check_device(device: str, *, compile: bool = False) -> None:
    """BadInput before anything starts where the device, or the compiler, that was asked for is not there."""
    try:
        if device == "cuda" or compile:  # only then, because it takes a second to ask
            place = plugins.load("agents", "device")
            place.check_compiler(place.resolve(device)) if compile else place.resolve(device)
    except ValueError as error:
        raise BadInput(str(error)) from None


def updates(config: RunConfig) -> int:
    """Gradient updates of the whole run, at least one; the few that go without until the replay has a batch count too."""
    return max(1, int(config.steps * config.train.ratio / (config.train.batch_size * config.train.batch_length)))


def training_vector(config: RunConfig, spec: Spec, *, num_uniforms: int, processes: int) -> Vector | LaneProcesses:
    """One lane per environment, each with an endless list of training episodes; in this process where `processes` is 0."""
    described = config.train_noise.bind_task(config.task)
    makes = [
        partial(_training_lane, config.task, config.env.options, described, partial(Episode.training, config.seed, index))
        for index in range(config.env.envs)
    ]
    if processes:
        return LaneProcesses(makes, spec, num_uniforms=num_uniforms, processes=processes)
    return Vector([make() for make in makes], spec)


def _training_lane(task: str, options: Mapping[str, Any], described: Noise, episode_at: Callable[[int], Episode]) -> Lane:
    return Lane(envs.make(task, **options), described, episode_at)


def evaluation(config: RunConfig, agent: Agent) -> Grid:
    """The player of evaluation episodes: a lane per environment with a fixed list of published episodes each."""

    def vector(environments: Sequence[Env], eval_noise: Noise, lists: Lists) -> Vector:
        described = eval_noise.bind_task(config.task)
        pairs = zip(environments, lists, strict=True)
        lanes = [Lane(env, described, _listed(config.seed, numbers)) for env, numbers in pairs]
        return Vector(lanes, environments[0].spec)

    return Grid(agent, lambda: environment(config), vector)


def _listed(seed: int, numbers: Sequence[int]) -> Callable[[int], Episode | None]:
    return lambda n: Episode.evaluation(seed, numbers[n]) if n < len(numbers) else None


def recorder(config: RunConfig, run: RunDir) -> Recorder:
    return Recorder(
        run.log("episodes"),
        run.log("metrics"),
        labels={"task": config.task, "noise": str(config.train_noise), "policy": "sample"},
        repeat=config.env.options.get("repeat", envs.suite(config.task).repeat),
        every=config.train.log_every,
    )


def replay(config: RunConfig, spec: Spec, agent: Agent) -> Replay:
    return Replay(
        {**spec.obs, **FLAGS, "action": spec.action, **agent.extra_spaces},
        latents=tuple(agent.extra_spaces),
        envs=config.env.envs,
        capacity=config.replay.capacity,
        length=agent.context + config.train.batch_length,
        online=config.replay.online,
    )


def training(config: RunConfig, vector: Vector | LaneProcesses, agent: Agent, recorder: Recorder) -> Training:
    size, length = config.train.batch_size, config.train.batch_length
    return Training(
        interaction=Interaction(vector, agent),
        agent=agent,
        replay=replay(config, vector.spec, agent),
        ratio=Ratio(config.train.ratio, batch=size, length=length),
        recorder=recorder,
        seed=config.seed,
        batch_size=size,
        start=config.train.start or size * length,
    )
