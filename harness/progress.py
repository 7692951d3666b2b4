"""How a pool shows its progress: bars on a terminal (`progress_bars`), plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

from harness.errors import printable
from harness.rundir import RunDir

LINE_EVERY = 15.0  # seconds between plain progress lines of one run


class Progress(Protocol):
    """What the pool reports to: plain lines or bars."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *_: object) -> None: ...

    def print(self, text: str) -> None: ...

    def start(self, run: RunDir) -> None: ...

    def update(self, run: RunDir) -> None: ...

    def finish(self, run: RunDir, state: str) -> None: ...


def open_progress(runs: Sequence[RunDir]) -> Progress:
    if sys.stderr.isatty():
        from harness.progress_bars import ProgressBars

        return ProgressBars(runs)
    return ProgressLines(len(runs))


def format_status(state: dict[str, Any]) -> str:
    """The newest return and, during evaluation, how far it is."""
    parts = []
    if state.get("last_return") is not None:
        parts.append(f"return {state['last_return']:.4g}")
    if state.get("phase") == "evaluate":
        parts.append(printable(state.get("message", "")))
    return ", ".join(parts)


def format_reason(run: RunDir, state: str) -> str:
    """`: message` of a run that is not done."""
    message = run.state.get("message", "") if state != "done" else ""
    return f": {message}" if message else ""


class ProgressLines:
    """Plain lines, for logs and pipes."""

    def __init__(self, total: int):
        self._total, self._finished = total, 0
        self._last_line: dict[RunDir, tuple[float, int]] = {}  # time and step of a run's newest line

    def __enter__(self) -> ProgressLines:
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
        self.print(f"  {run.name}: step {step} of {steps}, {rate:.0f} steps/s {format_status(state)}".rstrip())

    def finish(self, run: RunDir, state: str) -> None:
        self._finished += 1
        self.print(f"{state} {run.name} ({self._finished} of {self._total}){format_reason(run, state)}")
