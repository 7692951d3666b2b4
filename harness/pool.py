"""A bounded pool of runs on this machine: one process and one progress bar each. Ctrl-C stops all runs after a checkpoint."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness import failures
from harness.child import gl_environment, python_command
from harness.errors import printable
from harness.rundir import RunDir
from harness.stop import Stop

if TYPE_CHECKING:
    from rich.progress import TaskID

POLL = 0.2  # seconds between two looks at the workers
LINE_EVERY = 15.0  # seconds between plain progress lines of one run
EXIT_STATUS = {"done": 0, "failed": 1, "diverged": 1, "busy": 3, "preempted": 75}  # of a worker process, by the run's state

Worker = subprocess.Popen[bytes]


def run_all(
    runs: Sequence[RunDir], *, parallel: int, arguments: Sequence[str], stop: Stop, retry: bool = False
) -> dict[RunDir, str]:
    """Run each directory in a process of its own, `parallel` at a time, in order -> the final state of each.

    `arguments` go to every worker (`python -m harness work RUN ...`). A request to stop is passed on to the workers, which
    write a checkpoint; runs that have not started stay `queued`. With `retry` a failed run goes to the end of the queue,
    until it has failed the same way three times (`harness.failures`).
    """
    queue, stopping = list(runs), False
    workers: dict[RunDir, Worker] = {}
    states: dict[RunDir, str] = {}
    printed: dict[RunDir, str] = {}  # notices
    with _progress(len(runs)) as progress:
        while workers or (queue and not stop.reason):
            while queue and len(workers) < parallel and not stop.reason:
                run = queue.pop(0)
                workers[run] = _start_worker(run, arguments)
                progress.start(run)
            if stop.reason and not stopping:
                stopping = True
                progress.print("Stopping after a checkpoint; press Ctrl-C again to stop at once.")
                for worker in workers.values():
                    worker.send_signal(signal.SIGTERM)
            for run, worker in list(workers.items()):
                status = worker.poll()
                notice = run.state.get("notice", "")
                if notice != printed.get(run, ""):
                    printed[run] = notice
                    progress.print(f"notice: {run.name}: {notice}")
                if status is None:
                    progress.update(run)
                    continue
                del workers[run]
                states[run] = _final_state(run, status)
                progress.finish(run, states[run])
                if retry and _needs_retry(run, states[run]):
                    queue.append(run)
            try:
                time.sleep(POLL)
            except KeyboardInterrupt:
                for worker in workers.values():
                    worker.kill()
                raise
    return states


def _needs_retry(run: RunDir, state: str) -> bool:
    """Whether a run with this final state gets another attempt here. A failure is recorded on the way."""
    if state == "preempted":
        return True
    try:
        return state == "failed" and failures.record_failure(run, run.state["message"] or "no reason given")
    except OSError as error:
        print(f"{run.path}: failure not recorded: {error}", file=sys.stderr)
        return False


def _start_worker(run: RunDir, arguments: Sequence[str]) -> Worker:
    with open(run.path / "log.txt", "ab") as log:
        command = python_command("-m", "harness", "work", str(run.path), "--parent", str(os.getpid()))
        command += ["--command", shlex.join(sys.argv), *arguments]
        environment = {**os.environ, **gl_environment(), "DREAMPROOF_DEBUG": "1"}  # the log is where tracebacks belong
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def _final_state(run: RunDir, status: int) -> str:
    """The state that a worker left at its end; a worker that died before it could is `failed`, with the reason."""
    states = {number: state for state, number in EXIT_STATUS.items() if state not in ("failed", "diverged")}
    if status in states:
        return states[status]
    if status == 1 and run.state["state"] in ("failed", "diverged"):
        return run.state["state"]
    cause = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    message = f"the worker process ended without a message ({cause}) {failures.progress_phrase(run)}; see the end of log.txt"
    last_line = failures.read_tail(run.path / "log.txt", 1)
    if status in (1, 2) and last_line.startswith("dreamproof: "):
        message = last_line.removeprefix("dreamproof: ")
    try:
        # A run that is done stays so where only a further evaluation failed.
        run.set_state(message=message, state="done" if run.done else "failed")
    except OSError as error:
        print(f"{run.path}: {message}; state not written: {error}", file=sys.stderr)
    return "failed"


class _Progress(Protocol):
    """What the pool reports to: plain lines or bars."""

    def __enter__(self) -> _Progress: ...

    def __exit__(self, *_: object) -> None: ...

    def print(self, text: str) -> None: ...

    def start(self, run: RunDir) -> None: ...

    def update(self, run: RunDir) -> None: ...

    def finish(self, run: RunDir, state: str) -> None: ...


def _progress(total: int) -> _Progress:
    return _ProgressBars(total) if sys.stderr.isatty() else _ProgressLines(total)


def _status(state: dict[str, Any]) -> str:
    """The newest return and, during evaluation, how far it is."""
    parts = []
    if state.get("last_return") is not None:
        parts.append(f"return {state['last_return']:.4g}")
    if state.get("phase") == "evaluate":
        parts.append(printable(state.get("message", "")))
    return ", ".join(parts)


def _reason(run: RunDir, state: str) -> str:
    """`: message` of a run that is not done."""
    message = run.state.get("message", "") if state != "done" else ""
    return f": {message}" if message else ""


class _ProgressLines:
    """Plain lines, for logs and pipes."""

    def __init__(self, total: int):
        self._total, self._finished = total, 0
        self._last_line: dict[RunDir, tuple[float, int]] = {}  # time and step of a run's newest line

    def __enter__(self) -> _ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def print(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def start(self, run: RunDir) -> None:
        self._last_line[run] = (time.monotonic(), run.state.get("step", 0))
        self.print(f"start {run.name}")

    def update(self, run: RunDir) -> None:
        last_time, last_step = self._last_line[run]
        if time.monotonic() - last_time < LINE_EVERY:
            return
        state = run.state
        step, steps = state.get("step", 0), state.get("steps", run.config["steps"])
        rate = (step - last_step) / (time.monotonic() - last_time)
        self._last_line[run] = (time.monotonic(), step)
        self.print(f"  {run.name}: step {step} of {steps}, {rate:.0f} steps/s {_status(state)}".rstrip())

    def finish(self, run: RunDir, state: str) -> None:
        self._finished += 1
        self.print(f"{state} {run.name} ({self._finished} of {self._total}){_reason(run, state)}")


class _ProgressBars:
    """A live bar per run and one for all runs, on a terminal."""

    def __init__(self, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._total_bar = self._progress.add_task("runs", total=total, rate="", status="")
        self._bars: dict[RunDir, TaskID] = {}

    def __enter__(self) -> _ProgressBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def print(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False)

    def start(self, run: RunDir) -> None:
        steps = run.config["steps"]
        self._bars[run] = self._progress.add_task(
            printable(run.name), total=steps, completed=run.state.get("step", 0), rate="", status="starting"
        )

    def update(self, run: RunDir) -> None:
        state = run.state
        bar = self._bars[run]
        speed = self._progress.tasks[self._progress.task_ids.index(bar)].speed
        rate = f"{speed:.0f} steps/s" if speed else ""
        self._progress.update(bar, completed=state.get("step", 0), rate=rate, status=_status(state))

    def finish(self, run: RunDir, state: str) -> None:
        self._progress.remove_task(self._bars.pop(run))
        self._progress.advance(self._total_bar, 1 if state == "done" else 0)
        line = printable(f"{state} {run.name}{_reason(run, state)}")
        self._progress.console.print(line, markup=False, highlight=False)
