"""One task of an array: it trains its runs, each in a process of its own, and tells SLURM whether to start it again."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from harness import claim, failures, pool
from harness.rundir import RunDir
from harness.stop import Stop
from slurm import scheduler, submission
from slurm.submission import ArrayRecord

POLL = 5.0  # seconds between two looks at runs that another process holds
SLACK = 90.0  # seconds: SLURM warns up to a minute early


def main(folder: Path, number: int, task: int) -> int:
    """Exit status 0 where nothing is left to do or SLURM starts the task again, 1 where a run failed."""
    start = time.monotonic()
    record = submission.read_record(folder, number)
    runs = [RunDir(folder.parent.parent / name) for name in record.tasks[task]]
    node = os.environ.get("SLURMD_NODENAME", "?")
    _log(f"job {claim.current_job()} restart {claim.restart_count()} on {node}: {', '.join(record.tasks[task])}")
    with Stop() as stop:
        endings = _run_unfinished(runs, record, stop)
        if stop.reason:
            _handle_stop(runs, record, task, stop.reason, time.monotonic() - start)
            return 0
    return int(any(state in ("failed", "diverged") for state in endings.values()))


def _run_unfinished(runs: list[RunDir], record: ArrayRecord, stop: Stop) -> dict[RunDir, str]:
    """Run what is not done -> how each run ended.

    Where another process holds a run, wait until that process shows a sign of life (then leave the run to it) or is dead.
    """
    arguments = ["--threads", str(record.cpus)]
    arguments += [] if record.env_workers is None else ["--env-workers", str(record.env_workers)]
    endings: dict[RunDir, str] = {}
    start = time.monotonic()
    waiting = [run for run in runs if not _is_finished(run)]
    while waiting and not stop.reason:
        for run in waiting:
            _release_dead_claim(run)
        endings |= pool.run_all(waiting, parallel=len(waiting), arguments=arguments, stop=stop, retry=True)
        waiting = [run for run in waiting if endings.get(run) == "busy" and not _shows_life(run, start)]
        for _ in range(int(POLL * 10) if waiting else 0):
            if not stop.reason:
                time.sleep(0.1)
    return endings


def _is_finished(run: RunDir) -> bool:
    if run.done and run.state["state"] != "done":  # killed between the file `done` and its last state
        run.set_state(state="done", message="")
    return run.done or run.state["state"] in ("diverged", "failed", "cancelled")


def _release_dead_claim(run: RunDir) -> None:
    """Remove the claim of a job that has ended, by the scheduler, and that shows no sign of life."""
    path = run.path / "claim"
    holder = claim.read_owner(path)
    if holder is None or holder["job"] in (None, claim.current_job()) or claim.beat_age(path) < 3 * claim.BEAT_SECONDS:
        return
    state = scheduler.describe_job(holder["job"]).get("JobState")
    if state is not None and state not in scheduler.ACTIVE:
        _log(f"{run.name}: the claim of job {holder['job']}, which ended {state}, is taken over")
        claim.release(path, holder["token"])


def _shows_life(run: RunDir, since: float) -> bool:
    """Whether the process that holds the run has touched its claim after `since` (of time.monotonic)."""
    return claim.beat_age(run.path / "claim") < time.monotonic() - since - POLL


def _handle_stop(runs: list[RunDir], record: ArrayRecord, task: int, reason: str, seconds: float) -> None:
    """After a stop and its checkpoints: record why, and see that the task runs again.

    `reason`: the signal. `seconds`: how long the task has run.
    """
    unfinished = [run for run in runs if not run.done and run.state["state"] not in ("diverged", "failed")]
    if not unfinished:
        return
    if record.cancelled:
        for run in unfinished:
            run.set_state(state="cancelled", message="cancelled; submit continues it")
        return
    out_of_time = reason == "SIGUSR2" and seconds > record.minutes * 60 - record.warning - SLACK
    if out_of_time:
        limit = f"time limit of {record.minutes} minutes"
        unfinished = [run for run in unfinished if failures.record_failure(run, f"{limit} {failures.progress_phrase(run)}")]
    state = "timeout" if out_of_time else "preempted"
    for run in unfinished:
        run.set_state(state=state, message=f"{reason} {failures.progress_phrase(run)}; goes back into the queue")
    if unfinished and not _queue_again(record, task):
        for run in unfinished:
            run.set_state(message=f"{reason} {failures.progress_phrase(run)}; not in the queue: submit sends it again")


def _queue_again(record: ArrayRecord, task: int) -> bool:
    """Whether the task will run again: SLURM has requeued it, requeues it on request, or takes it as a new job."""
    job = os.environ.get("SLURM_JOB_ID", "")
    fields = scheduler.describe_job(job)
    if int(fields.get("Restarts", 0)) > claim.restart_count() or fields.get("JobState") in scheduler.WAITING:
        _log("SLURM has requeued this task")
        return True
    has_ended = fields.get("JobState") not in (None, "RUNNING")
    if has_ended and fields.get("PreemptTime", "None") in ("None", "N/A"):
        _log(f"the task was ended from outside ({fields.get('JobState')}): not put back")
        return False
    if not has_ended and scheduler.requeue(job):
        _log("requeued")
        return True
    try:
        number = scheduler.submit(record.script, f"--array={task}")
    except scheduler.Unreachable as error:
        _log(f"not put back: {error}")
        return False
    _log(f"submitted again as job {number}_{task}")
    return True


def _log(text: str) -> None:
    print(f"dreamproof: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(os.environ["SLURM_ARRAY_TASK_ID"])))
