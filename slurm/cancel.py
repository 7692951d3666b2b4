"""Cancels the jobs of a study."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from harness import claim
from harness.errors import BadInput, RunFailed
from harness.rundir import RunDir
from slurm import scheduler, state, submission


def cancel(study: Path) -> tuple[int, int]:
    """Cancel every job of a study and its local pool on this machine -> number of waiting runs, number of running runs."""
    records = submission.read_records(study)
    for folder in {record.folder for record in records}:
        (folder / "cancelled").touch()  # first: a job that is warned reads this file and does not requeue itself
    overview = state.overview(study)
    if overview.warning:
        raise RunFailed(f"Nothing was cancelled: {overview.warning}.")
    active = [job for job in scheduler.query_queue(record.name for record in records) if job.active] if records else []
    scheduler.cancel(active)
    running = [row for row in overview.rows if row.state == "running"]
    waiting = [row for row in overview.rows if row.state == "queued" and row.job]
    for row in waiting:
        RunDir(study / row.run).set_state(state="cancelled", message="cancelled before it ran; submit sends it again")
    _stop_local_pool(study)
    return len(waiting), len(running)


def _stop_local_pool(study: Path) -> None:
    """Ask a pool of `submit --cluster local` to stop after a checkpoint."""
    path = study / submission.JOBS / "local"
    holder = claim.read_owner(path)
    if holder is None or claim.is_dead(holder, claim.beat_age(path)):
        return
    if holder["host"] != socket.gethostname():
        raise BadInput(f"A local pool runs on {holder['host']}: cancel it there.")
    os.kill(holder["pid"], signal.SIGTERM)
