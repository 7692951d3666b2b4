"""Cancels the jobs of a study, and the commands that run it on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness import local_queue
from harness.errors import RunFailed
from harness.rundir import RunDir
from slurm import scheduler, state, submission


@dataclass(frozen=True)
class Cancelled:
    """What `cancel` did. jobs_waiting, jobs_running: runs of jobs. stopped: runs of local commands that have ended since.

    stopping: runs whose command has not ended yet. beyond: runs at work that belong to neither.
    """

    jobs_waiting: int
    jobs_running: int
    stopped: int
    stopping: int
    beyond: int


def cancel(study: Path) -> Cancelled:
    """Cancel every job of a study, and stop the commands that run it on this machine after a checkpoint.

    BadInput where such a command is at work on another machine; then nothing is cancelled.
    """
    pools = local_queue.read_pools(study)
    local_queue.check_within_reach(pools)
    records = submission.read_records(study)
    for folder in {record.folder for record in records}:
        (folder / "cancelled").touch()  # first: a job that is warned reads this file and does not requeue itself
    overview = state.overview(study)
    if overview.warning:
        raise RunFailed(f"Nothing was cancelled: {overview.warning}.")
    active = [job for job in scheduler.query_queue(record.name for record in records) if job.active] if records else []
    scheduler.cancel(active)
    waiting = [row for row in overview.rows if row.state == "queued" and row.job]
    for row in waiting:
        RunDir(study / row.run).set_state(state="cancelled", message="cancelled before it ran; submit sends it again")
    remaining = {pool.folder for pool in local_queue.stop(pools)}
    local = {row.run for row in overview.rows if row.pool and row.state in ("running", "queued")}
    stopping = {run for pool in pools if pool.folder in remaining for run in pool.runs} & local
    running = [row for row in overview.rows if row.state == "running" and row.run not in local]
    jobs_running = sum(row.job is not None for row in running)
    return Cancelled(len(waiting), jobs_running, len(local - stopping), len(stopping), len(running) - jobs_running)
