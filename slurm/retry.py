"""Another chance for runs that were left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import failures
from harness.errors import unknown
from harness.rundir import RunDir
from slurm import state

LEFT = ("failed", "timeout", "diverged", "lost", "preempted", "cancelled")


def retry(study: Path, states: Sequence[str], dry_run: bool = False) -> tuple[int, int]:
    """Reset the failures of runs in these states; they go on from their checkpoint, diverged ones from nothing.

    -> how many, and how many more are left because their job is still in the queue: it runs others of its pack.
    """
    for each in states:
        if each not in LEFT:
            raise unknown("state to retry", each, LEFT)
    seen = state.settled(study, lambda row: row.state in states)
    named = [row for row in seen.rows if row.state in states]
    chosen = [row for row in named if row.job is None]
    for row in () if dry_run else chosen:
        run = RunDir(study / row.run)
        if row.state == "diverged":
            _clear(run)
        failures.reset_failures(run)
    return len(chosen), len(named) - len(chosen)


def _clear(run: RunDir) -> None:
    """Remove what a diverged attempt left: its checkpoint holds the weights that are lost."""
    shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
    for name in ("episodes", "metrics"):
        (run.path / f"{name}.jsonl").unlink(missing_ok=True)
    run.set_state(step=0, updates=0)
