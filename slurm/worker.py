"""What a task of an array does: its runs, each in a process of its own, and what is to be said to SLURM afterwards."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from harness import claim, failures, pool
from harness.rundir import RunDir
from harness.stop import Stop
from slurm import scheduler, submission
from slurm.submission import Sent

POLL = 5.0  # seconds between looks at runs that another process holds
SLACK = 90.0  # seconds: SLURM warns up to a minute early


def main(folder: Path, number: int, task: int) -> int:
    """Exit status 0 where nothing is left to do or SLURM will start the task again, 1 where a run failed."""
    begun = time.monotonic()
    sent = submission.read(folder, number)
    runs = [RunDir(folder.parent.parent / name) for name in sent.tasks[task]]
    node = os.environ.get("SLURMD_NODENAME", "?")
    _say(f"job {claim.current_job()} restart {claim.restart_count()} on {node}: {', '.join(sent.tasks[task])}")
    with Stop() as stop:
        ended = _drive(runs, sent, stop)
        if stop.reason:
            return _stopped(runs, sent, task, stop.reason, time.monotonic() - begun)
    return int(any(state in ("failed", "diverged") for state in ended.values()))


def _drive(runs: list[RunDir], sent: Sent, stop: Stop) -> dict[RunDir, str]:
    """Run what is not done. A run that another process holds is waited for until that process is proven dead or alive."""
    arguments, ended, since = ["--threads", str(sent.cpus)], {}, time.monotonic()
    arguments += [] if sent.env_workers is None else ["--env-workers", str(sent.env_workers)]
    todo = [run for run in runs if not _finished(run)]
    while todo and not stop.reason:
        for run in todo:
            _bury(run)
        ended |= pool.run_all(todo, parallel=len(todo), arguments=arguments, stop=stop, retry=True)
        todo = [run for run in todo if ended.get(run) == "busy" and not _alive(run, since)]
        for _ in range(int(POLL * 10) if todo else 0):
            if not stop.reason:
                time.sleep(0.1)
    return ended


def _finished(run: RunDir) -> bool:
    if run.done and run.state["state"] != "done":  # killed between its last two words
        run.set_state(state="done", message="")
    return run.done or run.state["state"] in ("diverged", "failed", "cancelled")


def _bury(run: RunDir) -> None:
    """Remove the claim of a job that the scheduler knows to have ended and that shows no sign of life."""
    holder, path = claim.read_owner(run.path / "claim"), run.path / "claim"
    if holder is None or holder["job"] in (None, claim.current_job()) or claim.beat_age(path) < 3 * claim.BEAT:
        return
    state = scheduler.described(holder["job"]).get("JobState")
    if state is not None and state not in scheduler.ACTIVE:
        _say(f"{run.name}: the claim of job {holder['job']}, which ended {state}, is taken over")
        claim.release(path, holder["token"])


def _alive(run: RunDir, since: float) -> bool:
    """Whether the other process has shown a sign of life since we have been looking."""
    return claim.beat_age(run.path / "claim") < time.monotonic() - since - POLL


def _stopped(runs: list[RunDir], sent: Sent, task: int, asked: str, seconds: float) -> int:
    """After a checkpoint: leave it to SLURM, ask it, or submit the task again."""
    left = [run for run in runs if not run.done and run.state["state"] not in ("diverged", "failed")]
    if not left:
        return 0
    if sent.cancelled:
        for run in left:
            run.set_state(state="cancelled", message="cancelled; submit continues it")
        return 0
    out_of_time = asked == "SIGUSR2" and seconds > sent.minutes * 60 - sent.warning - SLACK
    if out_of_time:
        left = [
            run
            for run in left
            if failures.record_failure(run, f"time limit of {sent.minutes} minutes {failures.progress_phrase(run)}")
        ]
    state = "timeout" if out_of_time else "preempted"
    for run in left:
        run.set_state(state=state, message=f"{asked} {failures.progress_phrase(run)}; goes back into the queue")
    if left and not _back(sent, task):
        for run in left:
            run.set_state(message=f"{asked} {failures.progress_phrase(run)}; not in the queue: submit sends it again")
    return 0


def _back(sent: Sent, task: int) -> bool:
    """Whether the task will run again: SLURM has requeued it, or does so on request, or takes it as a new job."""
    job = os.environ.get("SLURM_JOB_ID", "")
    known = scheduler.described(job)
    if int(known.get("Restarts", 0)) > claim.restart_count() or known.get("JobState") in scheduler.WAITING:
        _say("SLURM has requeued this task")
        return True
    ended = known.get("JobState") not in (None, "RUNNING")
    if ended and known.get("PreemptTime", "None") in ("None", "N/A"):
        _say(f"the task was ended from outside ({known.get('JobState')}): not put back")
        return False
    if not ended and _requeued(job):
        return True
    try:
        number = scheduler.submit(sent.script, f"--array={task}")
    except scheduler.Unreachable as error:
        _say(f"not put back: {error}")
        return False
    _say(f"submitted again as job {number}_{task}")
    return True


def _requeued(job: str) -> bool:
    if not scheduler.requeue(job):
        return False
    _say("requeued")
    return True


def _say(text: str) -> None:
    print(f"dreamproof: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(os.environ["SLURM_ARRAY_TASK_ID"])))
