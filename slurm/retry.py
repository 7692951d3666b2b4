"""Gives runs that ended without a result another three attempts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import failures
from harness.errors import unknown
from harness.rundir import RunDir
from slurm import state

RETRYABLE = ("failed", "timeout", "diverged", "lost", "preempted", "cancelled")


def retry(study: Path, states: Sequence[str], dry_run: bool = False) -> tuple[list[str], int]:
    """Reset the failures of runs in these states. They go on from their checkpoint, diverged ones from the beginning.

    -> names of the runs that were reset, number of runs whose job (which runs others of its pack)
    or local command is still at work.
    """
    for name in states:
        if name not in RETRYABLE:
            raise unknown("state to retry", name, RETRYABLE)
    overview = state.wait_until_settled(study, lambda row: row.state in states)
    candidates = [row for row in overview.rows if row.state in states]
    free = [row for row in candidates if row.job is None and row.pool is None]
    for row in () if dry_run else free:
        run = RunDir(study / row.run)
        if row.state == "diverged":
            _remove_results(run)
        failures.reset_failures(run)
    return [row.run for row in free], len(candidates) - len(free)


def _remove_results(run: RunDir) -> None:
    """Remove the files of a diverged attempt: its checkpoint holds weights that are not finite."""
    shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
    for name in ("episodes", "metrics"):
        (run.path / f"{name}.jsonl").unlink(missing_ok=True)
    run.set_state(step=0, updates=0)
