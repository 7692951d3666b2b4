"""A bounded pool of runs on this machine: a process each, a bar each, and one Ctrl-C that stops them all after a checkpoint."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from harness import failures
from harness.rundir import RunDir
from harness.stop import Stop

POLL = 0.2  # seconds
LINE_EVERY = 15.0  # seconds between plain progress lines of one run
EXIT = {"done": 0, "failed": 1, "diverged": 1, "busy": 3, "preempted": 75}  # of a worker process


def drive(
    runs: Sequence[RunDir], *, parallel: int, arguments: Sequence[str], stop: Stop, again: bool = False
) -> dict[RunDir, str]:
    """Run each directory in a process of its own, `parallel` at a time, in order. Returns how each ended.

    `arguments` go to every worker (`python -m harness work RUN ...`). A stop is passed on to the workers, which
    checkpoint; what had not begun stays `queued`. With `again` a run that failed goes to the end of the queue, until it
    has failed the same way three times (`harness.failures`).
    """
    waiting, going, ended = list(runs), {}, {}
    stopping = False
    with _show(len(runs)) as show:
        while going or (waiting and not stop.asked):
            while waiting and len(going) < parallel and not stop.asked:
                run = waiting.pop(0)
                going[run] = _start(run, arguments)
                show.begin(run)
            if stop.asked and not stopping:
                stopping = True
                show.say("Stopping after a checkpoint; press Ctrl-C again to stop at once.")
                for process in going.values():
                    process.send_signal(signal.SIGTERM)
            for run, process in list(going.items()):
                code = process.poll()
                if code is not None:
                    del going[run]
                    ended[run] = _ending(run, code)
                    show.end(run, ended[run])
                    if again and _again(run, ended[run]):
                        waiting.append(run)
                else:
                    show.update(run)
            try:
                time.sleep(POLL)
            except KeyboardInterrupt:
                for process in going.values():
                    process.kill()
                raise
    return ended


def _again(run: RunDir, state: str) -> bool:
    """Whether a run that ended like this gets another attempt here (not begun any more where a stop was asked for)."""
    try:
        return state == "preempted" or (state == "failed" and failures.note(run, run.state["message"] or "no reason given"))
    except OSError as error:
        print(f"{run.path}: failure not recorded: {error}", file=sys.stderr)
        return False


def _start(run: RunDir, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    with open(run.path / "log.txt", "ab") as log:
        command = [sys.executable, "-m", "harness", "work", str(run.path), "--parent", str(os.getpid())]
        command += ["--command", shlex.join(sys.argv), *arguments]
        environment = {"MUJOCO_GL": "egl", **os.environ}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def _ending(run: RunDir, code: int) -> str:
    """The state that a finished worker left; a worker that died without leaving one is `failed`, with its reason."""
    states = {number: state for state, number in EXIT.items() if state not in ("failed", "diverged")}
    if code in states:
        return states[code]
    if code == 1 and run.state["state"] in ("failed", "diverged"):
        return run.state["state"]
    why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    message = f"worker ended without a word ({why}) {failures.where(run)}; log.txt has its last lines"
    try:
        run.set_state(state="failed", message=message)
    except OSError as error:
        print(f"{run.path}: {message}; state not written: {error}", file=sys.stderr)
    return "failed"


def _show(total: int) -> Any:
    return _Bars(total) if sys.stderr.isatty() else _Lines(total)


def _status(state: dict[str, Any]) -> str:
    parts = []
    if state.get("last_return") is not None:
        parts.append(f"return {state['last_return']:.4g}")
    if state.get("phase") == "evaluate":
        parts.append(state["message"])
    return ", ".join(parts)


class _Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, total: int):
        self._total, self._ended, self._said = total, 0, {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def begin(self, run: RunDir) -> None:
        self._said[run] = (time.monotonic(), run.state.get("step", 0))
        self.say(f"start {run.name}")

    def update(self, run: RunDir) -> None:
        said, before = self._said[run]
        if time.monotonic() - said < LINE_EVERY:
            return
        state = run.state
        step, steps = state.get("step", 0), state.get("steps", run.config["steps"])
        rate = (step - before) / (time.monotonic() - said)
        self._said[run] = (time.monotonic(), step)
        self.say(f"  {run.name}: step {step} of {steps}, {rate:.0f} steps/s {_status(state)}".rstrip())

    def end(self, run: RunDir, state: str) -> None:
        self._ended += 1
        message = run.state.get("message", "") if state != "done" else ""
        self.say(f"{state} {run.name} ({self._ended} of {self._total})" + (f": {message}" if message else ""))


class _Bars:
    """A live bar per run and one for the whole, on a terminal."""

    def __init__(self, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._all = self._progress.add_task("runs", total=total, rate="", status="")
        self._bars: dict[RunDir, Any] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text)

    def begin(self, run: RunDir) -> None:
        steps = run.config["steps"]
        self._bars[run] = self._progress.add_task(
            run.name, total=steps, completed=run.state.get("step", 0), rate="", status="starting"
        )

    def update(self, run: RunDir) -> None:
        state = run.state
        bar = self._bars[run]
        speed = self._progress.tasks[self._progress.task_ids.index(bar)].speed
        rate = f"{speed:.0f} steps/s" if speed else ""
        self._progress.update(bar, completed=state.get("step", 0), rate=rate, status=_status(state))

    def end(self, run: RunDir, state: str) -> None:
        self._progress.remove_task(self._bars.pop(run))
        self._progress.advance(self._all, 1 if state == "done" else 0)
        message = run.state.get("message", "") if state != "done" else ""
        self._progress.console.print(f"{state} {run.name}" + (f": {message}" if message else ""), highlight=False)
