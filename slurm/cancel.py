"""Taking a study out of the queue."""

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
    """Cancel every job of a study, and a local pool's runs on this machine -> how many runs waited and how many ran."""
    sent = submission.everything(study)
    for folder in {each.folder for each in sent}:
        (folder / "cancelled").touch()  # first: a job that is warned must know that it is not to come back
    seen = state.overview(study)
    if seen.warning:
        raise RunFailed(f"Nothing was cancelled: {seen.warning}.")
    active = [job for job in scheduler.jobs(each.name for each in sent) if job.active] if sent else []
    scheduler.cancel(active)
    running = [row for row in seen.rows if row.state == "running"]
    waiting = [row for row in seen.rows if row.state == "queued" and row.job]
    for row in waiting:
        RunDir(study / row.run).set_state(state="cancelled", message="cancelled before it ran; submit sends it again")
    _end_pool(study)
    return len(waiting), len(running)


def _end_pool(study: Path) -> None:
    """Ask a pool of `submit --cluster local` to stop after a checkpoint."""
    path = study / submission.JOBS / "local"
    holder = claim.read_owner(path)
    if holder is None or claim.is_dead(holder, claim.beat_age(path)):
        return
    if holder["host"] != socket.gethostname():
        raise BadInput(f"A local pool runs on {holder['host']}: cancel it there.")
    os.kill(holder["pid"], signal.SIGTERM)
