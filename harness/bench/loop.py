"""The whole loop at the suite's train ratio, acting, stepping and learning: steps per second, by number of processes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness import build, study
from harness.bench import Options, Row, summarize, time_calls
from harness.loop import Training
from harness.rundir import RunDir

OPTIONS = ("task", "size", "dtype", "device", "threads")
COLUMNS = {
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
TASKS = ("dmc/cartpole_swingup", "dmc_vision/walker_walk")
CASES = tuple({"task": task, "size": "nano", "threads": 1} for task in TASKS)
WORKERS = (0, 1, 2)
ENVS = 4
TICKS = 4  # at a time, so that each measurement holds as many updates


def measure(options: Options) -> Iterator[Row]:
    task = options.task or TASKS[0]
    for workers in WORKERS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            training = _new_training(options, task, workers, Path(folder))
            while training.agent.updates < 3:  # the first updates also set things up
                training.advance()
            first_update, first_step = training.agent.updates, training.step
            times = [seconds / TICKS for seconds in time_calls(partial(_advance, training))]
            row: Row = {"subject": "loop", "task": task, "size": options.size, "device": training.agent.device}
            row |= {"threads": options.threads, "envs": ENVS, "env_workers": workers} | summarize("seconds_per_tick", times)
            row["steps_per_second"] = ENVS / row["seconds_per_tick"]
            row["updates_per_tick"] = (training.agent.updates - first_update) / ((training.step - first_step) / ENVS)
            yield row | {"seconds_stepping": _stepping_seconds(training)}
            training.interaction.vector.close()


def _new_training(options: Options, task: str, workers: int, folder: Path) -> Training:
    changes = {"env.envs": ENVS, "train.start": 1024}
    run = study.single(task, size=options.size, precision=options.dtype, changes=changes)
    probe = build.environment(run)
    agent = build.agent(run, probe.spec, device=options.device, threads=options.threads)
    probe.close()
    vector = build.training_vector(run, probe.spec, num_uniforms=agent.num_uniforms, processes=workers)
    return build.training(run, vector, agent, build.recorder(run, RunDir.create(folder / "run", run.dump())))


def _advance(training: Training) -> None:
    for _ in range(TICKS):
        training.advance()


def _stepping_seconds(training: Training) -> float:
    """Seconds from an action to the next observation of every environment, with no other work meanwhile."""
    vector = training.interaction.vector
    action = training.interaction.tick().step["action"]

    def step() -> None:
        vector.advance(action)
        vector.current()

    return summarize("x", time_calls(step, min_calls=50))["x"]
