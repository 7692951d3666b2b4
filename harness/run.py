"""One run from its directory to `done`: train, checkpoint, resume, evaluate, and say truthfully how it ended."""

from __future__ import annotations

import json
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness import adapt, build, checkpoint, config, envs, provenance
from harness.claim import ClaimLost, RunBusy
from harness.config import EvaluateConfig, RunConfig
from harness.env import Env
from harness.errors import BadInput, RunFailed
from harness.evaluate import Grid, missing
from harness.loop import Training
from harness.recorder import Recorder
from harness.rundir import RunDir, write_json
from harness.schedule import Every
from harness.stop import Stop

Evaluate = Callable[[int], bool]  # evaluate the model of this step; False where it was stopped

HEARTBEAT = 2.0  # seconds between updates of state.json
SHARE = 20  # a checkpoint comes no sooner than this many times what the last one cost
CHECK = 100  # updates between looks at whether the run has diverged: not by the clock, so that it is repeatable


@dataclass(frozen=True)
class Machine:
    """What a run runs on: recorded with it, no part of its identity."""

    device: str = "auto"
    threads: int = 1
    env_workers: int | None = None  # processes in which environments step; None: one where learning is on a GPU, else none
    checkpoint_every: float = 5.0  # seconds, at least
    command: str = ""  # what the user typed

    def workers(self, device: str) -> int:
        """Processes for environments where learning is on `device`."""
        return int(device == "cuda") if self.env_workers is None else self.env_workers


def execute(run: RunDir, machine: Machine, stop: Stop) -> str:
    """Bring a run as far as it goes and return its state: done, preempted, failed, diverged or busy."""
    try:
        with run.claim():
            return _execute_claimed(run, machine, stop)
    except (RunBusy, ClaimLost) as error:
        print(error, file=sys.stderr, flush=True)
        return "busy"


def _execute_claimed(run: RunDir, machine: Machine, stop: Stop) -> str:
    before = run.state
    try:
        run.set_state(state="running", attempt=before["attempt"] + 1, started=before.get("started") or round(time.time(), 3))
        state, message = _execute(run, machine, stop)
    except ClaimLost:
        raise
    except (BadInput, RunFailed) as error:
        state, message = "failed", str(error)
    except OSError as error:
        state, message = "failed", f"{type(error).__name__}: {error}. Mend it and give the same command again."
    except Exception as error:
        traceback.print_exc()
        state, message = "failed", f"{type(error).__name__}: {error} (log.txt has the traceback)"
    print(f"{state}: {message}" if message else state, file=sys.stderr, flush=True)
    try:
        run.set_state(state=state, message=message)
    except OSError as error:
        print(f"{run.path}: state not written: {error}", file=sys.stderr)
    return state


def extend(run: RunDir, machine: Machine, stop: Stop, noises: Sequence[str], episodes: int) -> str:
    """Evaluate a finished run under more noises or for more episodes; rows that exist are not computed again."""
    parsed = config.parse(run.config, str(run.path))
    grid = config.parse({**run.config, "evaluate": {**run.config["evaluate"], "noise": noises, "episodes": episodes}})
    with run.claim():
        saved = checkpoint.load(run.path / "checkpoint", replay=False)
        trained = saved is not None and saved.step >= parsed.steps
        if not trained:
            raise BadInput(f"{run.path} has not finished training: run it first.")
        env = build.environment(parsed)
        agent = build.agent(parsed, env.spec, device=machine.device, threads=machine.threads)
        env.close()
        agent.load(saved.arrays["agent"])
        recorder = build.recorder(parsed, run)
        player = build.evaluation(parsed, agent)
        finished = _evaluate(run, grid.evaluate, player, recorder, stop, saved.step, agent.updates)
        player.close()
    return "done" if finished else "preempted"


def _compile_mode(run: RunDir, parsed: config.RunConfig, device: str) -> bool:
    """As the run was begun, and kept for all its attempts: another mode would round differently half way."""
    compile = run.state.get("compile")
    if compile is None:
        compile = build.compiles(parsed, device)
        run.set_state(compile=compile)
    build.check_device(device, compile=compile)
    return compile


def _execute(run: RunDir, machine: Machine, stop: Stop) -> tuple[str, str]:
    parsed = config.parse(run.config, str(run.path))
    probe = build.environment(parsed)
    compile = _compile_mode(run, parsed, machine.device)
    agent = build.agent(parsed, probe.spec, device=machine.device, threads=machine.threads, compile=compile)
    workers = machine.workers(agent.device)
    vector = build.training_vector(parsed, probe.spec, num_uniforms=agent.num_uniforms, processes=workers)
    recorder = build.recorder(parsed, run)
    training = build.training(parsed, vector, agent, recorder)
    memory = training.replay.max_bytes(parsed.steps)
    print(f"The replay will hold at most {memory / 1e9:.2f} GB in memory.", file=sys.stderr, flush=True)
    _restore(run, training, recorder, parsed.source)
    ran_on = {"device": agent.device, "threads": machine.threads, "env_workers": workers}
    ran_on |= {"precision": parsed.precision, "compile": compile}
    _write_provenance(run, parsed, probe, machine.command, ran_on)
    probe.close()
    player = build.evaluation(parsed, agent)

    def evaluate(step: int) -> bool:
        return _evaluate(run, parsed.evaluate, player, recorder, stop, step, agent.updates)

    try:
        steps, every = parsed.steps, parsed.evaluate.every
        problem = _train(run, training, recorder, machine, stop, steps=steps, every=every, evaluate=evaluate)
        if problem:
            return "diverged", problem
        if training.step < steps:
            return "preempted", f"stopped by {stop.reason} at step {training.step}; the same command continues it"
        if not evaluate(training.step):
            return "preempted", f"stopped by {stop.reason} while evaluating; the same command continues it"
    finally:
        training.interaction.vector.close()
        player.close()
    run.mark_done()
    return "done", ""


def _train(
    run: RunDir,
    training: Training,
    recorder: Recorder,
    machine: Machine,
    stop: Stop,
    *,
    steps: int,
    every: int,
    evaluate: Evaluate,
) -> str | None:
    """Train to the end or until asked to stop; a checkpoint stands at either. Returns why the run diverged, or None."""
    if training.step >= steps:
        return None
    pace, problem, due, checked = _Pace(machine.checkpoint_every), None, Every(every), Every(CHECK)
    due(training.step), checked(training.agent.updates)
    while training.step < steps and not stop.reason and not problem:
        training.advance()
        at_end = training.step >= steps
        recorder.log_metrics(training.step, training.agent.updates, _extra(training), final=at_end)
        if due(training.step) and not at_end and not evaluate(training.step):
            return None  # the half evaluation is behind the last checkpoint and will be done again
        if checked(training.agent.updates):
            problem = recorder.divergence()
        if pace.beat():
            _heartbeat(run, training, recorder, steps)
        if pace.checkpoint_due() and not at_end:
            pace.saved(_save(run, training, recorder))
    problem = problem or recorder.divergence()
    if problem:
        recorder.log_metrics(training.step, training.agent.updates, _extra(training), final=True)
    _save(run, training, recorder, replay=not problem and training.step < steps)
    _heartbeat(run, training, recorder, steps)
    return problem


def _evaluate(run: RunDir, grid: EvaluateConfig, player: Grid, recorder: Recorder, stop: Stop, step: int, updates: int) -> bool:
    """Every missing (noise, episode) of the grid for the model of `step`. False where it was stopped in between."""
    todo = missing(run.rows("episodes"), grid.noise, grid.episodes, grid.policy, step)
    total, done, beat = sum(map(len, todo.values())), 0, 0.0
    for noise, numbers in todo.items():
        for row in player.rows(noise, numbers, grid.policy, lambda: bool(stop.reason)):
            labels = {"noise": str(noise), "policy": grid.policy, "split": "eval"}
            recorder.add_episode(row, step=step, updates=updates, **labels)
            done += 1
            if time.monotonic() - beat > HEARTBEAT:
                beat = time.monotonic()
                run.set_state(sync=False, phase="evaluate", message=f"evaluating: {done} of {total} episodes")
        if stop.reason:
            return False
    return True


def _save(run: RunDir, training: Training, recorder: Recorder, *, replay: bool = True) -> float:
    """Checkpoint; returns the seconds it took. A finished run's model is kept without its replay."""
    begun = time.monotonic()
    run.check_claim()
    recorded, offsets = recorder.state()
    checkpoint.save(
        run.path / "checkpoint",
        step=training.step,
        meta={"recorder": offsets, "ratio": training.ratio.state(), "updates": training.agent.updates},
        arrays={"agent": training.agent.state(), "interaction": training.interaction.state(), "recorder": recorded},
        replay=training.replay if replay else None,
    )
    return time.monotonic() - begun


def _restore(run: RunDir, training: Training, recorder: Recorder, source: str | None) -> None:
    saved = checkpoint.load(run.path / "checkpoint")
    if saved is None:
        if source is not None:
            adapt.load_source_weights(training.agent, run.path.parents[1] / source)
        recorder.reset()
        return
    if saved.warning:
        print(f"warning: {saved.warning}", file=sys.stderr, flush=True)
        run.set_state(message=saved.warning)
    training.step = saved.step
    training.agent.load(saved.arrays["agent"])
    training.ratio.load(saved.meta["ratio"])
    offsets = dict(saved.meta["recorder"])
    if saved.has_replay:
        saved.restore_replay(training.replay)
        training.interaction.load(saved.arrays["interaction"])
    else:  # trained to the end: evaluation rows behind the checkpoint are finished work
        offsets["episodes"] = _whole_rows(run)
    recorder.load(saved.arrays["recorder"], offsets)


def _whole_rows(run: RunDir) -> int:
    """Bytes of episodes.jsonl up to its last complete line."""
    content = (run.path / "episodes.jsonl").read_bytes()
    return content.rfind(b"\n") + 1


def _write_provenance(run: RunDir, parsed: RunConfig, probe: Env, command: str, ran_on: dict[str, Any]) -> None:
    """Where and with what this run was made; later attempts on other versions are listed under `resumed`."""
    path = run.path / "provenance.json"
    modules = envs.suite(parsed.task).modules
    now = provenance.collect(modules=modules, task=parsed.task, env=probe, command=shlex.split(command)) | ran_on
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError):
        write_json(path, now | {"resumed": []})
        return
    changed = {key: value for key, value in now.items() if value != before.get(key)}
    changed.pop("command", None)
    if changed and changed not in before["resumed"]:
        write_json(path, before | {"resumed": [*before["resumed"], changed]})


def _heartbeat(run: RunDir, training: Training, recorder: Recorder, steps: int) -> None:
    run.set_state(
        sync=False,
        phase="train",
        step=training.step,
        steps=steps,
        updates=training.agent.updates,
        seconds=recorder.seconds,
        last_return=recorder.last_return,
    )


def _extra(training: Training) -> dict[str, float]:
    return {"replay/items": len(training.replay), "replay/bytes": training.replay.nbytes}


class _Pace:
    """When to say that the run is alive, and when to checkpoint. Wall-clock time: neither changes a result."""

    def __init__(self, seconds: float):
        self._beat = self._save = time.monotonic()
        self._least = self._gap = seconds

    def beat(self) -> bool:
        due = time.monotonic() - self._beat > HEARTBEAT
        if due:
            self._beat = time.monotonic()
        return due

    def checkpoint_due(self) -> bool:
        return time.monotonic() - self._save > self._gap

    def saved(self, seconds: float) -> None:
        self._save = time.monotonic()
        self._gap = max(self._least, SHARE * seconds)
