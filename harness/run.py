"""One run from its directory to `done`: train, checkpoint, resume, evaluate, and record truthfully how it ended."""

from __future__ import annotations

import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import adapt, build, checkpoint, config, envs, provenance
from harness.claim import ClaimLost, RunBusy
from harness.config import EvaluateConfig
from harness.errors import BadInput, RunFailed
from harness.evaluate import Evaluator, missing_episodes
from harness.preview import UNSEEDED
from harness.recorder import Recorder
from harness.rundir import RunDir, write_json
from harness.schedule import Every
from harness.stop import Stop

HEARTBEAT = 2.0  # seconds between updates of state.json
CHECKPOINT_SHARE = 20  # the time between two checkpoints is at least this many times what the last one took
FAR_LONGER = 3  # times the longest training episode, and LONG_EPISODE steps: an evaluation episode beyond both is noticed
LONG_EPISODE = 300
UNKNOWN_LENGTH = 1500  # steps beyond which one is noticed where no training episode has ended
CHECK_EVERY = 100  # updates between two checks for divergence: not by the clock, so that it is repeatable


@dataclass(frozen=True)
class Machine:
    """What a run uses of this machine: recorded with the run, no part of its identity."""

    device: str = "auto"
    threads: int = 1
    env_workers: int | None = None  # processes in which environments step; None: one where learning is on a GPU, else none
    checkpoint_every: float = 5.0  # seconds, at least
    command: str = ""  # what the user typed

    def worker_count(self, device: str) -> int:
        """Processes for environments where learning is on `device`."""
        return int(device == "cuda") if self.env_workers is None else self.env_workers


def execute_run(run: RunDir, machine: Machine, stop: Stop) -> str:
    """Bring a run as far as it goes and return its state: done, preempted, failed, diverged or busy."""
    try:
        with run.claim():
            return _execute_claimed(run, machine, stop)
    except (RunBusy, ClaimLost) as error:
        print(error, file=sys.stderr, flush=True)
        return "busy"


def _execute_claimed(run: RunDir, machine: Machine, stop: Stop) -> str:
    """Execute the run and write its final state, whatever happens. Raises ClaimLost where it is another process's by now."""
    former = run.state
    try:
        run.set_state(state="running", attempt=former["attempt"] + 1, started=former.get("started") or round(time.time(), 3))
        state, message = Attempt(run, machine, stop).execute()
    except ClaimLost:
        raise
    except (BadInput, RunFailed) as error:
        state, message = "failed", str(error)
    except OSError as error:
        state, message = "failed", f"{type(error).__name__}: {error}. Correct this and run the same command again."
    except Exception as error:
        traceback.print_exc()
        state, message = "failed", f"{type(error).__name__}: {error} (log.txt has the traceback)"
    print(f"{state}: {message}" if message else state, file=sys.stderr, flush=True)
    try:
        run.set_state(state=state, message=message)
    except OSError as error:
        print(f"{run.path}: state not written: {error}", file=sys.stderr)
    return state


def extend_evaluation(run: RunDir, machine: Machine, stop: Stop, noises: Sequence[str], episodes: int) -> str:
    """Evaluate a finished run under more noises or for more episodes; rows that exist are not computed again.

    Returns done or preempted. BadInput where the run has not finished training.
    """
    run_config = config.parse(run.config, str(run.path))
    grid = config.parse({**run.config, "evaluate": {**run.config["evaluate"], "noise": noises, "episodes": episodes}}).evaluate
    with run.claim():
        trained = checkpoint.load_trained(run.path / "checkpoint", run_config.steps, run_config.digest)
        env = build.environment(run_config)
        agent = build.agent(run_config, env.spec, device=machine.device, threads=machine.threads)
        env.close()
        agent.load(trained.arrays["agent"])
        evaluation = Evaluation(run, grid, build.evaluator(run_config, agent), build.recorder(run_config, run), stop)
        finished = evaluation.complete(trained.step, agent.updates)
        evaluation.close()
    return "done" if finished else "preempted"


class Evaluation:
    """A run's grid of evaluation noises and episodes, and what plays them."""

    def __init__(self, run: RunDir, grid: EvaluateConfig, evaluator: Evaluator, recorder: Recorder, stop: Stop):
        self._run, self._grid, self._evaluator, self._recorder, self._stop = run, grid, evaluator, recorder, stop
        self._longest, self._noticed = 0, False  # steps of the longest training episode; whether a longer one was noticed

    def complete(self, step: int, updates: int) -> bool:
        """Play every missing (noise, episode) with the model of `step`. False where a request to stop came in between."""
        grid = self._grid
        rows = self._run.rows("episodes")
        self._longest = max((row["length"] for row in rows if row["split"] == "train"), default=0)
        missing = missing_episodes(rows, grid.noise, grid.episodes, grid.policy, step)
        total, played, last_heartbeat = sum(map(len, missing.values())), 0, 0.0
        for noise, numbers in missing.items():
            for row in self._evaluator.play_episodes(
                noise, numbers, grid.policy, lambda: self._stop.reason is not None, self._notice_length
            ):
                labels = {"noise": str(noise), "policy": grid.policy}
                self._recorder.add_episode(row, step=step, updates=updates, split="eval", **labels)
                played += 1
                if time.monotonic() - last_heartbeat > HEARTBEAT:
                    last_heartbeat = time.monotonic()
                    message = f"evaluating: {played} of {total} episodes"
                    self._run.set_state(sync=False, phase="evaluate", message=message, seconds=self._recorder.seconds)
            if self._stop.reason:
                return False
        return True

    def close(self) -> None:
        self._evaluator.close()

    def _notice_length(self, length: int) -> None:
        """Say once that an evaluation episode is far longer than any in training: it may never end."""
        limit = max(LONG_EPISODE, FAR_LONGER * self._longest) if self._longest else UNKNOWN_LENGTH
        if self._noticed or length <= limit:
            return
        self._noticed = True
        training = f"the longest in training had {self._longest}" if self._longest else "none ended in training"
        self._run.set_state(
            notice=f"an evaluation episode has gone on for {length} steps; {training}. If it never ends: stop, and bound "
            "episodes with --set env.options.max_episode_steps=N (suite gym)."
        )


class Attempt:
    """One attempt at a run: from its last checkpoint, or from the start, as far as it goes. `execute` it once."""

    def __init__(self, run: RunDir, machine: Machine, stop: Stop):
        self._run, self._machine, self._stop = run, machine, stop
        self._config = config.parse(run.config, str(run.path))
        self._probe = build.environment(self._config)  # never trains: its spec and its fingerprint are needed
        self._compile = self._fix_compile()
        threads = machine.threads
        agent = build.agent(self._config, self._probe.spec, device=machine.device, threads=threads, compile=self._compile)
        self._workers = machine.worker_count(agent.device)
        vector = build.training_vector(self._config, self._probe.spec, num_uniforms=agent.num_uniforms, processes=self._workers)
        self._agent, self._recorder = agent, build.recorder(self._config, run)
        self._training = build.training(self._config, vector, agent, self._recorder)
        evaluator = build.evaluator(self._config, agent)
        self._evaluation = Evaluation(run, self._config.evaluate, evaluator, self._recorder, stop)

    def execute(self) -> tuple[str, str]:
        """Restore, train, evaluate -> the run's state and a message for the user: done, preempted or diverged."""
        try:
            self._print_memory()
            self._restore()
            self._write_provenance()
            ending = self._train_and_evaluate()
            self._run.set_state(sync=False, seconds=self._recorder.seconds)
            return ending
        finally:
            self._training.interaction.vector.close()
            self._evaluation.close()

    def _train_and_evaluate(self) -> tuple[str, str]:
        problem = self._train()
        if problem:
            return "diverged", problem
        step = self._training.step
        if step < self._config.steps:
            return "preempted", f"stopped by {self._stop.reason} at step {step}; the same command continues it"
        if not self._evaluation.complete(step, self._agent.updates):
            return "preempted", f"stopped by {self._stop.reason} while evaluating; the same command continues it"
        self._run.mark_done()
        return "done", ""

    # ---- Before training

    def _fix_compile(self) -> bool:
        """Whether to compile, as the first attempt decided: another mode would round differently half way."""
        compile = self._run.state.get("compile")
        if compile is None:
            compile = build.resolve_compile(self._config, self._machine.device)
            self._run.set_state(compile=compile)
        build.check_device(self._machine.device, compile=compile)
        return compile

    def _print_memory(self) -> None:
        memory = self._training.replay.max_bytes(self._config.steps)
        print(f"The replay will hold at most {memory / 1e9:.2f} GB in memory.", file=sys.stderr, flush=True)

    def _restore(self) -> None:
        """Continue from the last good checkpoint; without one start at step 0, with the weights of the source if any."""
        training, source = self._training, self._config.source
        saved = checkpoint.load(self._run.path / "checkpoint", run=self._config.digest)
        if saved is None:
            if source is not None:
                adapt.load_source_weights(self._agent, self._run.path.parents[1] / source)
            self._recorder.reset()
            return
        if saved.warning:
            print(f"warning: {saved.warning}", file=sys.stderr, flush=True)
            self._run.set_state(message=saved.warning)
        training.step = saved.step
        self._agent.load(saved.arrays["agent"])
        training.ratio.load(saved.meta["ratio"])
        recorder_state = dict(saved.meta["recorder"])
        if saved.has_replay:
            saved.restore_replay(training.replay)
            training.interaction.load(saved.arrays["interaction"])
        else:  # trained to the end: evaluation rows after the checkpoint are finished work
            recorder_state["episodes"] = _complete_lines(self._run.path / "episodes.jsonl")
        self._recorder.load(saved.arrays["recorder"], recorder_state)

    def _write_provenance(self) -> None:
        """Where and with what this run is made. Later attempts with other versions are listed under `resumed`."""
        path = self._run.path / "provenance.json"
        task, command = self._config.task, shlex.split(self._machine.command)
        current = provenance.collect(modules=envs.suite(task).modules, task=task, env=self._probe, command=command)
        self._probe.close()
        if not current["environment"]["seeded"]:
            print(UNSEEDED, file=sys.stderr, flush=True)
            self._run.set_state(seeded=False)
        current |= {"device": self._agent.device, "threads": self._machine.threads, "env_workers": self._workers}
        current |= {"precision": self._config.precision, "compile": self._compile}
        try:
            first = self._run.provenance
        except BadInput:
            first = {}
        if not isinstance(first.get("resumed"), list):
            write_json(path, current | {"resumed": []})
            return
        changed = {key: value for key, value in current.items() if value != first.get(key) and key != "command"}
        if changed and changed not in first["resumed"]:
            write_json(path, first | {"resumed": [*first["resumed"], changed]})

    # ---- Training

    def _train(self) -> str | None:
        """Train to the last step or until a request to stop; at either a checkpoint is written. Returns why it diverged."""
        training, steps = self._training, self._config.steps
        if training.step >= steps:
            return None
        clock, problem = _WallClock(self._machine.checkpoint_every), None
        evaluation_due, check_due = Every(self._config.evaluate.every), Every(CHECK_EVERY)
        evaluation_due(training.step), check_due(self._agent.updates)  # what was due before this attempt is not due again
        while training.step < steps and not self._stop.reason and not problem:
            training.advance()
            at_end = training.step >= steps
            self._log_metrics(at_end=at_end)
            evaluates = evaluation_due(training.step) and not at_end
            if evaluates and not self._evaluation.complete(training.step, self._agent.updates):
                return None  # the rows of this evaluation come after the last checkpoint and will be computed again
            if check_due(self._agent.updates):
                problem = self._recorder.divergence()
            if clock.heartbeat_due():
                self._write_heartbeat()
            if clock.checkpoint_due() and not at_end:
                clock.restart_checkpoints(self._save_checkpoint())
        problem = problem or self._recorder.divergence()
        if problem:
            self._log_metrics(at_end=True)
        # A finished run stores its model without the replay.
        self._save_checkpoint(replay=not problem and training.step < steps)
        self._write_heartbeat()
        return problem

    def _log_metrics(self, *, at_end: bool) -> None:
        replay = self._training.replay
        extra = {"replay/items": len(replay), "replay/bytes": replay.nbytes}
        self._recorder.log_metrics(self._training.step, self._agent.updates, extra, at_end=at_end)

    def _save_checkpoint(self, *, replay: bool = True) -> float:
        """Write a checkpoint -> the seconds that it took."""
        start = time.monotonic()
        self._run.check_claim()
        training = self._training
        recorder_arrays, recorder_state = self._recorder.state()
        checkpoint.save(
            self._run.path / "checkpoint",
            step=training.step,
            meta={
                "run": self._config.digest,
                "recorder": recorder_state,
                "ratio": training.ratio.state(),
                "updates": self._agent.updates,
            },
            arrays={
                "agent": self._agent.state(),
                "interaction": training.interaction.state(),
                "recorder": recorder_arrays,
            },
            replay=training.replay if replay else None,
        )
        return time.monotonic() - start

    def _write_heartbeat(self) -> None:
        """Progress in state.json, whose time of update also shows that the run is alive."""
        self._run.set_state(
            sync=False,
            phase="train",
            step=self._training.step,
            steps=self._config.steps,
            updates=self._agent.updates,
            seconds=self._recorder.seconds,
            last_return=self._recorder.last_return,
        )


def _complete_lines(path: Path) -> int:
    """Bytes of a file up to the end of its last complete line."""
    return path.read_bytes().rfind(b"\n") + 1


class _WallClock:
    """When a heartbeat or a checkpoint is due, by wall-clock time. Neither changes a result.

    `checkpoint_every`: seconds between checkpoints, at least.
    """

    def __init__(self, checkpoint_every: float):
        self._last_heartbeat = self._last_checkpoint = time.monotonic()
        self._min_interval = self._interval = checkpoint_every

    def heartbeat_due(self) -> bool:
        """True once per `HEARTBEAT` seconds."""
        is_due = time.monotonic() - self._last_heartbeat > HEARTBEAT
        if is_due:
            self._last_heartbeat = time.monotonic()
        return is_due

    def checkpoint_due(self) -> bool:
        return time.monotonic() - self._last_checkpoint > self._interval

    def restart_checkpoints(self, seconds: float) -> None:
        """Count from now to the next checkpoint; the last one took `seconds`."""
        self._last_checkpoint = time.monotonic()
        self._interval = max(self._min_interval, CHECKPOINT_SHARE * seconds)
