"""A bar per run and one for all runs, on a terminal of any width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from harness.errors import printable
from harness.progress import format_reason, format_status
from harness.rundir import RunDir


class _FieldColumn(ProgressColumn):
    """A field of the bar that gives way where the terminal is narrow: the widest of these columns first."""

    def __init__(self, name: str):
        super().__init__(table_column=Column())  # rich shrinks only columns whose cells may wrap
        self._name = name

    def render(self, task: Task) -> Text:
        return task.fields[self._name]


class ProgressBars:
    """A live bar per run and one for all runs, on a terminal. Where it is narrow, names are shortened first."""

    def __init__(self, runs: Sequence[RunDir]):
        console = Console(stderr=True)
        self._is_narrow = console.width < 100
        self._progress = Progress(
            _FieldColumn("label"),
            BarColumn(bar_width=max(6, min(20, console.width // 8))),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", justify="right"),
            TextColumn("{task.fields[rate]}", justify="right"),
            TimeRemainingColumn(compact=True),
            _FieldColumn("status"),
            console=console,
            refresh_per_second=4,
        )
        self._steps = {run: min(run.state.get("step", 0), run.config["steps"]) for run in runs}  # of every run so far
        self._finished, self._total = 0, len(runs)
        steps = sum(run.config["steps"] for run in runs)
        label = _text(f"runs 0/{len(runs)}")
        self._total_bar = self._progress.add_task(
            "", total=steps, completed=sum(self._steps.values()), label=label, rate="", status=_text("")
        )
        self._bars: dict[RunDir, TaskID] = {}

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def print(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False)

    def start(self, run: RunDir) -> None:
        self._bars[run] = self._progress.add_task(
            "",
            total=run.config["steps"],
            completed=self._steps[run],
            label=_text(run.name),
            rate="",
            status=_text("starting"),
        )

    def update(self, run: RunDir) -> None:
        state, bar = run.state, self._bars[run]
        self._count_steps(run, state.get("step", 0))
        self._progress.update(bar, completed=self._steps[run], rate=self._rate(bar), status=_text(format_status(state)))

    def finish(self, run: RunDir, state: str) -> None:
        self._progress.remove_task(self._bars.pop(run))
        self._finished += state == "done"
        self._count_steps(run, run.state.get("step", 0))
        self._progress.update(self._total_bar, label=_text(f"runs {self._finished}/{self._total}"))
        line = printable(f"{state} {run.name}{format_reason(run, state)}")
        self._progress.console.print(line, markup=False, highlight=False)

    def _count_steps(self, run: RunDir, step: int) -> None:
        """The bar of all runs counts their steps, so that it knows when they end before the first one has."""
        self._steps[run] = min(step, run.config["steps"])
        bar = self._total_bar
        self._progress.update(bar, completed=sum(self._steps.values()), rate=self._rate(bar))

    def _rate(self, bar: TaskID) -> str:
        speed = self._progress.tasks[self._progress.task_ids.index(bar)].speed
        return f"{speed:.0f}{'/s' if self._is_narrow else ' steps/s'}" if speed else ""


def _text(text: str) -> Text:
    """Text as it is, never mark-up, that gives way where the terminal is narrow."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
