"""One state per run, resolved from the run directory, its claim, the scheduler's queue and its accounting.

The first rule that applies decides:
1. The directory says `done`, `failed` or `diverged`: that. Nothing else ends a run for good.
2. The claim shows signs of life: `running`, whatever the scheduler says.
3. A job is in the queue: `queued`, with the scheduler's reason. The job has started: `running`.
4. No job, and the directory says `preempted`, `timeout` or `cancelled`: that.
5. No job, and the directory says `running` or waits for a job that is gone: how the job ended, by the accounting database or
   the queue (time limit, memory, cancelled); `lost` where they say nothing else.
Where the scheduler does not answer, rules 1, 2 and 4 still hold. The rest is as the directory says, and no run is `lost`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import claim, failures, local_queue
from harness.errors import BadInput
from harness.rundir import read_state
from slurm import scheduler, submission
from slurm.scheduler import Job

ORDER = ("done", "running", "queued", "preempted", "timeout", "lost", "cancelled", "diverged", "failed")
SETTLE_SECONDS = 30.0  # the longest wait for jobs that are about to leave the queue
FINAL = ("done", "failed", "diverged")  # a job leaves these runs alone
SENDABLE = ("queued", "preempted", "timeout", "lost", "cancelled")  # `submit` sends these where no job is in the queue
JOB_ENDINGS = {  # SLURM's state of a task that ended -> state of the run, message
    "TIMEOUT": ("timeout", "time limit reached before a checkpoint could be written"),
    "DEADLINE": ("timeout", "its deadline passed"),
    "OUT_OF_MEMORY": ("lost", "out of memory (OUT_OF_MEMORY)"),
    "NODE_FAIL": ("lost", "node failure (NODE_FAIL)"),
    "BOOT_FAIL": ("lost", "node failure (BOOT_FAIL)"),
    "CANCELLED": ("cancelled", "its job was cancelled"),
    "PREEMPTED": ("preempted", "its job was preempted and not requeued"),
}


@dataclass(frozen=True)
class RunStatus:
    """One run. `job`: its job in the queue. `ending`: that job has nothing left to do. `kind`: of its failure.

    `pool`: the process at work on some machine that has this run in its queue. `command`: what was typed last to run it on a
    machine without a scheduler; None where it was submitted later.
    """

    run: str
    state: str
    step: int
    steps: int | None
    attempt: int
    message: str
    job: str | None
    host: str | None
    kind: str | None = None
    ending: bool = False
    pool: str | None = None
    command: str | None = None

    @property
    def sendable(self) -> bool:
        return self.job is None and self.pool is None and self.state in SENDABLE


@dataclass(frozen=True)
class Overview:
    """Every run of a study. `warning`: why the scheduler did not answer, where it did not.

    `local_command`: what runs, or ran last, this study on a machine without a scheduler; None where a submission came later.
    `submit_command`: the newest submission, as it was typed; None where there is none.
    """

    rows: list[RunStatus]
    warning: str | None
    local_command: str | None = None
    submit_command: str | None = None

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.rows)


def overview(study: Path) -> Overview:
    """Every run of a study: one listing of its folder, one small file per run, a few calls of the scheduler for all."""
    if not study.is_dir():
        raise BadInput(f"Nothing was submitted or run for {study.name}: no {study}.")
    records = submission.read_records(study)
    pools = local_queue.read_pools(study)
    # The queue is read before the files: a job that ends in between has written its last state into them.
    queue, warning = _query_queue(records)
    names = sorted(entry.name for entry in os.scandir(study) if not entry.name.startswith(".") and entry.is_dir())
    states = {name: _read_state(study / name) for name in names}
    unfinished = {name for name, content in states.items() if content["state"] != "done"}
    jobs = _newest_jobs(records, queue, unfinished)
    if warning is None and any(name not in jobs for name in unfinished):
        relevant = [record for record in records if not unfinished.isdisjoint(record.runs)]
        accounting = scheduler.query_accounting(record.name for record in relevant)
        jobs = _newest_jobs(relevant, accounting, unfinished) | jobs
    submitted = {run for record in records for run in record.runs}
    at_work = {job for name, job in jobs.items() if states[name]["state"] not in FINAL and job.state != "COMPLETING"}
    rows = [_run_status(study, name, states[name], jobs.get(name), name in submitted, warning) for name in names]
    rows = [replace(row, ending=bool(row.job) and jobs[row.run] not in at_work) for row in rows]
    local, submitted_command = _commands(study, pools, records)
    commands = {run: pool.command_text for pool in pools if local and pool.command for run in pool.runs}
    rows = [replace(row, command=commands.get(row.run)) for row in _with_pools(rows, pools)]
    return Overview(rows, warning, local, submitted_command)


def is_submitted(study: Path) -> bool:
    """Whether a study's runs were sent to a scheduler, and no local command came after that."""
    records = submission.read_records(study)
    return bool(records) and _commands(study, local_queue.read_pools(study), records)[0] is None


def wait_until_settled(study: Path, concerns: Callable[[RunStatus], bool]) -> Overview:
    """The overview once none of the runs that `concerns` selects has a job that is just ending. Waits `SETTLE_SECONDS`."""
    limit, current = time.monotonic() + SETTLE_SECONDS, overview(study)
    while any(row.ending and concerns(row) for row in current.rows) and time.monotonic() < limit:
        time.sleep(1)
        current = overview(study)
    return current


def resolve_state(
    state: dict[str, Any], alive: Callable[[], bool | None], job: Job | None, submitted: bool, reachable: bool
) -> tuple[str, str]:
    """The rules -> (state, message). `state` is the run directory's.

    `alive`: whether the claim shows signs of life; None where there is no claim. `reachable`: the scheduler answered.
    """
    recorded, message = state["state"], state.get("message") or ""
    if recorded in FINAL:
        return recorded, message
    if alive():
        return "running", message
    if job is not None and job.active:
        if job.state in scheduler.WAITING:
            return "queued", job.reason if job.reason != "None" else ""
        return "running", "starting" if job.state == "RUNNING" else job.state.lower()
    if recorded in ("preempted", "timeout", "cancelled") or not reachable:
        return recorded, message
    if recorded == "running" and not state.get("job") and (job is None or not submitted):
        return "lost", "its process is gone (killed, or its machine was restarted)"
    if recorded == "running" or submitted:
        ending, reason = ("lost", "its job is gone")
        if job is not None:
            ending, reason = JOB_ENDINGS.get(job.state, ("lost", f"its job ended ({job.state})"))
        again = " again" if state.get("step") else ""
        return ending, reason if recorded == "running" else f"{reason} before it began{again}"
    return "queued", message or "not submitted"


def _run_status(
    study: Path, name: str, state: dict[str, Any], job: Job | None, submitted: bool, warning: str | None
) -> RunStatus:
    path = study / name / "claim"

    def alive() -> bool | None:
        holder = claim.read_owner(path) if path.exists() else None
        return None if holder is None else not claim.is_dead(holder, claim.beat_age(path))

    resolved, message = resolve_state(state, alive, job, submitted, warning is None)
    in_trouble = resolved in ("failed", "lost", "diverged", "timeout")
    kind = failures.classify(message, failures.read_tail(study / name / "log.txt", 30)) if in_trouble else None
    active = job.id if job is not None and job.active else None
    return RunStatus(
        run=name, state=resolved, step=state.get("step", 0), steps=state.get("steps"), attempt=state.get("attempt", 0),
        message=message, job=active, host=state.get("host"), kind=kind,
    )  # fmt: skip


def _with_pools(rows: Sequence[RunStatus], pools: Sequence[local_queue.LocalPool]) -> list[RunStatus]:
    """The rows, where commands at work on some machine are known to have them in their queue."""
    at_work = {run: f"process {pool.pid} on {pool.host}" for pool in pools if pool.at_work for run in pool.runs}
    return [
        replace(row, state="queued", message=f"waits for {at_work[row.run]}", pool=at_work[row.run])
        if row.run in at_work and row.job is None and row.state in SENDABLE
        else replace(row, pool=at_work.get(row.run))
        for row in rows
    ]


def _commands(
    study: Path, pools: Sequence[local_queue.LocalPool], records: Sequence[submission.ArrayRecord]
) -> tuple[str | None, str | None]:
    """(the newest local command, the newest submission); the local one only where nothing was submitted after it."""
    submitted, command = submission.newest_command(study) if records else (0.0, None)
    pools = [pool for pool in pools if pool.command]
    local = pools[-1] if pools and pools[-1].started > submitted else None
    return local.command_text if local else None, command


def _query_queue(records: Sequence[submission.ArrayRecord]) -> tuple[list[Job], str | None]:
    """Jobs of these arrays, and a warning where the scheduler does not answer."""
    if not records:
        return [], None
    try:
        return scheduler.query_queue(record.name for record in records), None
    except scheduler.Unreachable as error:
        return [], f"the scheduler could not be asked ({error}); states are as the run directories tell"


def _newest_jobs(records: Iterable[submission.ArrayRecord], jobs: Iterable[Job], runs: set[str]) -> dict[str, Job]:
    """Run -> its task in the scheduler: an active one where there is one, else the newest."""
    by_task: dict[tuple[str, int], Job] = {}
    for job in jobs:
        rival = by_task.get((job.name, job.task))
        if rival is None or (job.active, int(job.array)) > (rival.active, int(rival.array)):
            by_task[job.name, job.task] = job
    newest: dict[str, Job] = {}
    for record in records:  # oldest first: a later submission replaces an earlier one
        for number, task in enumerate(record.tasks):
            candidate = by_task.get((record.name, number))
            if candidate is None:
                continue
            for run in task:
                if run in runs and (run not in newest or candidate.active or not newest[run].active):
                    newest[run] = candidate
    return newest


def _read_state(path: Path) -> dict[str, Any]:
    """state.json. The file `done` counts more: a run may be killed after it wrote `done` and before it wrote its state."""
    state = read_state(path / "state.json")
    if state["state"] != "done" and (path / "done").exists():
        state |= {"state": "done", "message": ""}
    return state
