"""The whole loop, acting, stepping and learning at the suite's train ratio: steps per second, by the processes that step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness import build, study
from harness.bench import Options, Row, spread, timed
from harness.loop import Training
from harness.rundir import RunDir

TAKES = ("task", "size", "dtype", "device", "threads")
TABLE = {
    "task": "task",
    "size": "size",
    "processes": "env_workers",
    "steps / s": "steps_per_second",
    "s / tick": "seconds_per_tick",
    "min": "seconds_per_tick_min",
    "max": "seconds_per_tick_max",
    "updates / tick": "updates_per_tick",
    "stepping alone, s": "seconds_stepping",
    "other work": "other_cores",
}
CASES = (
    {"task": "dmc/cartpole_swingup", "size": "nano", "threads": 1},
    {"task": "dmc_vision/walker_walk", "size": "nano", "threads": 1},
)
WORKERS = (0, 1, 2)
ENVS = 4
TICKS = 4  # at a time, so that each measurement holds as many updates


def measure(options: Options) -> Iterator[Row]:
    task = options.task or CASES[0]["task"]
    for workers in WORKERS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            training = _training(options, task, workers, Path(folder))
            while training.agent.updates < 3:  # the replay is filled, and whatever the first updates set up stands
                training.advance()
            before, begun = training.agent.updates, training.step
            times = [seconds / TICKS for seconds in timed(partial(_ticks, training))]
            row: Row = {"subject": "loop", "task": task, "size": options.size, "device": training.agent.device}
            row |= {"threads": options.threads, "envs": ENVS, "env_workers": workers} | spread("seconds_per_tick", times)
            row["steps_per_second"] = ENVS / row["seconds_per_tick"]
            row["updates_per_tick"] = (training.agent.updates - before) / ((training.step - begun) / ENVS)
            yield row | {"seconds_stepping": _stepping(training)}
            training.interaction.vector.close()


def _training(options: Options, task: str, workers: int, folder: Path) -> Training:
    changes = {"env.envs": ENVS, "train.start": 1024}
    run = study.single(task, size=options.size, precision=options.dtype, changes=changes)
    probe = build.environment(run)
    agent = build.agent(run, probe.spec, device=options.device, threads=options.threads)
    probe.close()
    vector = build.training_vector(run, probe.spec, num_uniforms=agent.num_uniforms, processes=workers)
    return build.training(run, vector, agent, build.recorder(run, RunDir.create(folder / "run", run.dump())))


def _ticks(training: Training) -> None:
    for _ in range(TICKS):
        training.advance()


def _stepping(training: Training) -> float:
    """Seconds until every environment stands again after an action, nothing else going on."""
    vector = training.interaction.vector
    action = training.interaction.tick().step["action"]

    def step() -> None:
        vector.advance(action)
        vector.current()

    return spread("x", timed(step, least=50))["x"]
