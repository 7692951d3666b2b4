"""One state per run, from the run directory, its claim's signs of life, the scheduler's queue and its memory, by stated rules.

1. `done` is what the directory says; so are `failed` and `diverged` (nothing else ends a run for good).
2. A claim that shows signs of life: `running`, whatever the scheduler thinks.
3. A job in the queue: `queued`, with the scheduler's reason; a job that has begun: `running`.
4. No job, and the directory says `preempted`, `timeout` or `cancelled`: that.
5. No job, and the directory says `running` or waits for a job that is gone: how the job ended, by the accounting database or
   the queue's memory (time limit, memory, cancelled), and `lost` where they say nothing else.
Where the scheduler does not answer, rules 1, 2 and 4 still hold, the rest is as the directory says, and nothing is called lost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import claim, failures
from harness.errors import BadInput
from harness.rundir import QUEUED
from slurm import scheduler, submission
from slurm.scheduler import Job

ORDER = ("done", "running", "queued", "preempted", "timeout", "lost", "cancelled", "diverged", "failed")
ENDING = 30.0  # seconds to wait for jobs that are about to leave the queue
OVER = ("done", "failed", "diverged")  # what a job leaves alone
SENDABLE = ("queued", "preempted", "timeout", "lost", "cancelled")  # where no job is in the queue: what `submit` sends
ENDED = {  # how the scheduler says that a task ended -> state, what it means
    "TIMEOUT": ("timeout", "time limit reached before a checkpoint could be made"),
    "DEADLINE": ("timeout", "its deadline passed"),
    "OUT_OF_MEMORY": ("lost", "out of memory (OUT_OF_MEMORY)"),
    "NODE_FAIL": ("lost", "node failure (NODE_FAIL)"),
    "BOOT_FAIL": ("lost", "node failure (BOOT_FAIL)"),
    "CANCELLED": ("cancelled", "its job was cancelled"),
    "PREEMPTED": ("preempted", "its job was preempted and not requeued"),
}


@dataclass(frozen=True)
class Row:
    """A run as it stands. `job`: it has one in the queue. `ending`: that job has nothing left to do."""

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

    @property
    def sendable(self) -> bool:
        return self.job is None and self.state in SENDABLE


@dataclass(frozen=True)
class Overview:
    rows: list[Row]
    warning: str | None  # why the scheduler could not be asked

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.rows)


def overview(study: Path) -> Overview:
    """Every run of a study: one listing of its folder, one small file per run, a few calls of the scheduler for all."""
    if not study.is_dir():
        raise BadInput(f"Nothing was submitted or run for {study.name}: no {study}.")
    sent = submission.everything(study)
    # The queue is read before the files: a job that ends in between has then left its word in them.
    known, warning = _known(sent)
    names = sorted(entry.name for entry in os.scandir(study) if not entry.name.startswith(".") and entry.is_dir())
    found = {name: _read(study / name) for name in names}
    open_names = {name for name, content in found.items() if content["state"] != "done"}
    jobs = _newest(sent, known, open_names)
    if warning is None and any(name not in jobs for name in open_names):
        of_open = [each for each in sent if any(run in open_names for task in each.tasks for run in task)]
        jobs = _newest(of_open, scheduler.endings(each.name for each in of_open), open_names) | jobs
    submitted = {run for each in sent for task in each.tasks for run in task}
    at_work = {job for name, job in jobs.items() if found[name]["state"] not in OVER and job.state != "COMPLETING"}
    rows = [_row(study, name, found[name], jobs.get(name), name in submitted, warning) for name in names]
    return Overview([replace(row, ending=bool(row.job) and jobs[row.run] not in at_work) for row in rows], warning)


def settled(study: Path, waits: Callable[[Row], bool]) -> Overview:
    """The overview once no job of the rows that `waits` names is just ending, or after `ENDING` seconds."""
    limit, seen = time.monotonic() + ENDING, overview(study)
    while any(row.ending and waits(row) for row in seen.rows) and time.monotonic() < limit:
        time.sleep(1)
        seen = overview(study)
    return seen


def resolve(
    state: dict[str, Any], alive: Callable[[], bool | None], job: Job | None, submitted: bool, reachable: bool
) -> tuple[str, str]:
    """The rules -> (state, message). `alive`: whether the claim shows signs of life; None where there is no claim."""
    said, message = state["state"], state.get("message") or ""
    if said in OVER:
        return said, message
    if alive():
        return "running", message
    if job is not None and job.active:
        if job.state in scheduler.WAITING:
            return "queued", job.reason if job.reason != "None" else ""
        return "running", "starting" if job.state == "RUNNING" else job.state.lower()
    if said in ("preempted", "timeout", "cancelled") or not reachable:
        return said, message
    if said == "running" or submitted:
        what, means = ENDED.get(job.state, ("lost", f"its job ended ({job.state})")) if job else ("lost", "its job is gone")
        again = " again" if state.get("step") else ""
        return what, means if said == "running" else f"{means} before it began{again}"
    return "queued", message or "not submitted"


def _row(study: Path, name: str, state: dict[str, Any], job: Job | None, submitted: bool, warning: str | None) -> Row:
    path = study / name / "claim"

    def alive() -> bool | None:
        holder = claim.read_owner(path) if path.exists() else None
        return None if holder is None else not claim.is_dead(holder, claim.beat_age(path))

    now, message = resolve(state, alive, job, submitted, warning is None)
    bad = now in ("failed", "lost", "diverged", "timeout")
    kind = failures.classify(message, failures.read_tail(study / name / "log.txt", 30)) if bad else None
    active = job.id if job is not None and job.active else None
    return Row(
        run=name, state=now, step=state.get("step", 0), steps=state.get("steps"), attempt=state.get("attempt", 0),
        message=message, job=active, host=state.get("host"), kind=kind,
    )  # fmt: skip


def _known(sent: Iterable[submission.Sent]) -> tuple[list[Job], str | None]:
    names = [each.name for each in sent]
    if not names:
        return [], None
    try:
        return scheduler.jobs(names), None
    except scheduler.Unreachable as error:
        return [], f"the scheduler could not be asked ({error}); states are as the run directories tell"


def _newest(sent: Iterable[submission.Sent], jobs: Iterable[Job], wanted: set[str]) -> dict[str, Job]:
    """Run -> its task in the scheduler: an active one where there is one, else the newest."""
    by_task: dict[tuple[str, int], Job] = {}
    for job in jobs:
        before = by_task.get((job.name, job.task))
        if before is None or (job.active, int(job.array)) > (before.active, int(before.array)):
            by_task[job.name, job.task] = job
    found: dict[str, Job] = {}
    for each in sent:
        for number, task in enumerate(each.tasks):
            job = by_task.get((each.name, number))
            for run in task if job else ():
                if run in wanted and (run not in found or job.active or not found[run].active):
                    found[run] = job
    return found


def _read(path: Path) -> dict[str, Any]:
    """state.json; what is done is done though a run was killed before it could write so."""
    try:
        state = json.loads((path / "state.json").read_bytes())
    except (OSError, ValueError):
        state = dict(QUEUED)
    if state["state"] != "done" and (path / "done").exists():
        state |= {"state": "done", "message": ""}
    return state
