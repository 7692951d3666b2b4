"""A bounded pool of runs on this machine: one process and one progress bar each. Ctrl-C stops all runs after a checkpoint."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from harness import failures
from harness.child import gl_environment, python_command
from harness.progress import open_progress
from harness.rundir import RunDir
from harness.stop import Stop

POLL = 0.2  # seconds between two looks at the workers
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
    with open_progress(runs) as progress:
        try:
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
                time.sleep(POLL)
        except KeyboardInterrupt:
            for run, worker in workers.items():
                _stop_at_once(run, worker)
            raise
    return states


def _stop_at_once(run: RunDir, worker: Worker) -> None:
    """Kill a worker because the user does not want to wait, and say so in the run's state: that is no failure."""
    worker.kill()
    worker.wait()
    if not run.done and run.state["state"] in ("queued", "running"):
        message = f"stopped at once by Ctrl-C; the same command continues {failures.progress_phrase(run)}"
        run.set_state(state="preempted", message=message)


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
