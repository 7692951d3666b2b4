"""RunConfig -> objects. The only file of the harness that reads a RunConfig; everything after it receives what it uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from agents.protocol import Agent, Spec
from harness import envs, plugins
from harness.async_vector import AsyncVector
from harness.config import RunConfig
from harness.door import Door
from harness.env import Env
from harness.errors import BadInput
from harness.evaluate import EpisodeLists, Evaluator
from harness.loop import Interaction, Training
from harness.noise import Noise
from harness.recorder import Recorder
from harness.replay import Replay
from harness.rundir import RunDir
from harness.schedule import Ratio, first_update
from harness.vector import FLAGS, EnvSlot, Episode, SyncVector, VectorEnv


def environment(config: RunConfig) -> Env:
    """One environment of the run's task, behind its door, without noise."""
    return _checked_environment(config.task, config.env.options)


def agent(config: RunConfig, spec: Spec, *, device: str, threads: int, compile: bool | None = None) -> Agent:
    """A fresh agent. `compile`: as the first attempt at the run decided; None: decide now, for this machine."""
    return config.agent.build(
        spec,
        seed=config.seed,
        updates=total_updates(config),
        device=device,
        precision=config.precision,
        threads=threads,
        compile=resolve_compile(config, device) if compile is None else compile,
    )


def resolve_compile(config: RunConfig, device: str) -> bool:
    """Whether the agent's steps are compiled on this machine: as configured, or where it pays with "auto"."""
    if config.compile == "auto":
        return _compiling_pays(config.size, config.agent.learns, device)
    return config.compile


def _compiling_pays(size: str, learns: bool, device: str) -> bool:
    """A nano run never wins back the time of compilation. On a GPU an update is one launch; compiling was not tried there."""
    if size == "nano" or not learns:
        return False
    devices = plugins.load("agents", "device")
    return devices.resolve_device(device) == "cpu" and devices.has_compiler()


def check_device(device: str, *, compile: bool = False) -> None:
    """BadInput before anything starts where the requested device or a compiler is not there."""
    try:
        if device == "cuda" or compile:  # only then, because it takes a second to find out
            devices = plugins.load("agents", "device")
            resolved = devices.resolve_device(device)
            if compile:
                devices.check_compiler(resolved)
    except ValueError as error:
        raise BadInput(str(error)) from None


def total_updates(config: RunConfig) -> int:
    """Gradient updates of the whole run, at least one, as if updates started at step 0."""
    return max(1, int(config.steps * config.train.ratio / (config.train.batch_size * config.train.batch_length)))


def first_update_step(config: RunConfig) -> int | None:
    """The policy step at which the run's first update happens; None for runs that never learn."""
    train = config.train
    return first_update(
        ratio=train.ratio * config.agent.learns,
        start=train.start or train.batch_size * train.batch_length,
        length=train.batch_length,
        envs=config.env.envs,
        capacity=config.replay.capacity,
    )


def update_notices(cells: Sequence[RunConfig]) -> list[str]:
    """A sentence about each kind of run that is meant to learn and ends before its first update."""
    first_steps: dict[tuple[str, int, int | None], int] = defaultdict(int)
    for cell in cells:
        if cell.agent.learns and cell.train.ratio and (first_update_step(cell) or cell.steps + 1) > cell.steps:
            first_steps[cell.task, cell.steps, first_update_step(cell)] += 1
    return [
        f"{count} of {len(cells)} runs make no update: {task} ends after {steps} steps, and "
        + (
            f"the first update is at step {first}, when the replay holds a batch (train.batch_size x train.batch_length). "
            f"Give --steps {first} or more, or a smaller batch"
            if first
            else "replay.capacity never holds train.start items"
        )
        for (task, steps, first), count in first_steps.items()
    ]


def training_vector(config: RunConfig, spec: Spec, *, num_uniforms: int, processes: int) -> VectorEnv:
    """The training environments, each with an endless list of episodes; in this process where `processes` is 0."""
    noise = config.train_noise.bind_task(config.task)
    slot_makers = [
        partial(_training_slot, config.task, config.env.options, noise, partial(Episode.training, config.seed, index))
        for index in range(config.env.envs)
    ]
    if processes:
        return AsyncVector(slot_makers, spec, num_uniforms=num_uniforms, processes=processes)
    return SyncVector([make_slot() for make_slot in slot_makers], spec)


def _training_slot(task: str, options: Mapping[str, object], noise: Noise, episode_at: Callable[[int], Episode]) -> EnvSlot:
    return EnvSlot(_checked_environment(task, options), noise, episode_at)


def _checked_environment(task: str, options: Mapping[str, object]) -> Env:
    return Door(envs.make(task, **options), task)


def evaluator(config: RunConfig, agent: Agent) -> Evaluator:
    """What plays the published evaluation episodes with this agent, under any noise."""

    def make_vector(environments: Sequence[Env], eval_noise: Noise, episode_lists: EpisodeLists) -> VectorEnv:
        noise = eval_noise.bind_task(config.task)
        pairs = zip(environments, episode_lists, strict=True)
        slots = [EnvSlot(env, noise, _evaluation_episodes(config.seed, numbers)) for env, numbers in pairs]
        return SyncVector(slots, environments[0].spec)

    return Evaluator(agent, lambda: environment(config), make_vector)


def _evaluation_episodes(run_seed: int, numbers: Sequence[int]) -> Callable[[int], Episode | None]:
    return lambda n: Episode.evaluation(run_seed, numbers[n]) if n < len(numbers) else None


def recorder(config: RunConfig, run: RunDir) -> Recorder:
    """What writes the run's rows of episodes and metrics."""
    return Recorder(
        run.log("episodes"),
        run.log("metrics"),
        labels={"task": config.task, "noise": str(config.train_noise), "policy": "sample"},
        repeat=_frames_per_step(config),
        every=config.train.log_every,
    )


def _frames_per_step(config: RunConfig) -> int:
    """Simulator frames per policy step: the option of that name (dmc: repeat, gym: action_repeat), else the suite's."""
    options = config.env.options
    repeat: int = options.get("repeat") or options.get("action_repeat") or envs.suite(config.task).repeat
    return repeat


def replay(config: RunConfig, spec: Spec, agent: Agent) -> Replay:
    """An empty replay of the steps that this agent stores."""
    return Replay(
        {**spec.entries, **FLAGS, "action": spec.action, **agent.extra_spaces},
        latents=tuple(agent.extra_spaces),
        envs=config.env.envs,
        capacity=config.replay.capacity,
        length=agent.context + config.train.batch_length,
        online=config.replay.online,
    )


def training(config: RunConfig, vector: VectorEnv, agent: Agent, recorder: Recorder) -> Training:
    """The training of this agent at step 0, with an empty replay."""
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
