"""A study -> job arrays: every missing run is sent once, whoever submits and however often."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import failures
from harness.claim import Claim, RunBusy
from harness.errors import BadInput, RunFailed
from harness.rundir import RunDir
from harness.study import Resources
from slurm import arrays, scheduler, snapshot, state, submission
from slurm.arrays import JobArray
from slurm.profile import Profile

PATIENCE = 120.0  # seconds to wait for another submission of the same study


@dataclass(frozen=True)
class SubmissionPlan:
    """The arrays that a submission sends, and the overview that says why the other runs stay.

    `held_back`: tasks beyond what the profile lets into the queue at a time.
    """

    arrays: list[JobArray]
    overview: state.Overview
    held_back: int

    @property
    def runs(self) -> int:
        return sum(array.runs for array in self.arrays)


def plan_submission(
    study: Path, needs: Mapping[str, Resources], profile: Profile, parallel: int | None = None, reopened: Collection[str] = (),
    overview: state.Overview | None = None,
) -> SubmissionPlan:  # fmt: skip
    """The arrays for every run of `needs` (name -> resources) that is neither finished nor in the queue.

    `reopened`: runs whose directory says `done`, but of another evaluation: a submission sends them again.
    `overview`: of the study; default: a new one.
    """
    if overview is None:
        overview = state.overview(study) if study.is_dir() else state.Overview([], None)
    rows = {row.run: row for row in overview.rows}
    missing = [name for name in needs if name not in rows or name in reopened or rows[name].sendable]
    resources = {name: _limit_resources(needs[name], profile, parallel) for name in missing}
    job_arrays = arrays.group_into_arrays(resources, profile.limits.array or scheduler.array_limit())
    jobs = {row.job for row in overview.rows if row.job}
    free = None if profile.limits.submit is None else max(0, profile.limits.submit - len(jobs))
    fitting = _fit_into_queue(job_arrays, free)
    held_back = sum(len(array.tasks) for array in job_arrays) - sum(len(array.tasks) for array in fitting)
    return SubmissionPlan(fitting, overview, held_back)


def batch_scripts(study: Path, job_arrays: Sequence[JobArray], profile: Profile) -> list[str]:
    """The exact batch scripts of a plan, for --dry-run: names and folders are those of a submission called `dry-run`."""
    folder, code = study.absolute() / submission.JOBS / "dry-run", study.absolute().parent / ".code" / "dry-run"
    return [
        arrays.batch_script(array, name=f"{study.name}-dry-run-{k}", folder=folder, number=k, profile=profile, code=code)
        for k, array in enumerate(job_arrays)
    ]


def submit(
    study: Path,
    prepare: Callable[[], None],
    needs: Mapping[str, Resources],
    profile: Profile,
    parallel: int | None = None,
    say: Callable[[str], None] = print,
) -> SubmissionPlan:
    """Send what is missing. `prepare` creates the run directories. Only one submission of a study at a time does all this.

    RunFailed where sbatch refuses: what sbatch took before stays in the queue, and the same command sends the rest.
    """
    if not scheduler.available():
        raise BadInput("No sbatch on this machine: submit from a login node, or use --cluster local.")
    (study / submission.JOBS).mkdir(parents=True, exist_ok=True)
    with _exclusive(study / submission.JOBS / "claim"):
        prepare()
        overview = state.wait_until_settled(study, lambda row: row.state not in state.FINAL)
        plan = plan_submission(study, needs, profile, parallel, overview=overview)
        if overview.warning:
            raise RunFailed(f"Nothing was submitted: {overview.warning}.")
        if _record_losses(study, plan):
            plan = plan_submission(study, needs, profile, parallel)
        if plan.arrays:
            _send(study, plan, profile, say)
    return plan


def _limit_resources(resources: Resources, profile: Profile, parallel: int | None) -> Resources:
    """A job is no longer than the cluster allows; a longer run goes on in the next job."""
    hours = min(resources.hours, profile.limits.hours or resources.hours)
    return resources.model_copy(update={"parallel": parallel or resources.parallel, "hours": hours})


def _fit_into_queue(job_arrays: Sequence[JobArray], free: int | None) -> list[JobArray]:
    """The arrays cut so that at most `free` tasks remain; None is no limit."""
    if free is None:
        return list(job_arrays)
    fitting = []
    for array in job_arrays:
        tasks = array.tasks[:free]
        free -= len(tasks)
        if tasks:
            fitting.append(replace(array, tasks=tasks, at_once=min(array.at_once, len(tasks))))
    return fitting


def _record_losses(study: Path, plan: SubmissionPlan) -> bool:
    """Write into the run directories how the plan's runs ended before -> whether one of them is now `failed` for good.

    That is a run that was lost the same way three times.
    """
    planned = {name for array in plan.arrays for task in array.tasks for name in task}
    failed_for_good = False
    for row in plan.overview.rows:
        if row.run not in planned or row.state not in ("lost", "timeout", "cancelled"):
            continue
        run = RunDir(study / row.run)
        if row.state != "lost":
            run.set_state(state="queued", message="")
        elif row.attempt and not failures.record_failure(run, f"{row.message} {failures.progress_phrase(run)}"):
            failed_for_good = True
    return failed_for_good


def _send(study: Path, plan: SubmissionPlan, profile: Profile, say: Callable[[str], None]) -> None:
    code = snapshot.copy_code(study.absolute().parent / ".code")
    folder = submission.create_folder(study, sys.argv, snapshot.read_provenance(code))
    tag = folder.name.rsplit("-", 1)[1]
    for number, array in enumerate(plan.arrays):
        record = submission.ArrayRecord(
            folder, number, f"{study.name}-{tag}-{number}", None, array.minutes,
            arrays.warning_seconds(array.minutes, profile), array.resources.cpus, array.tasks, array.resources.env_workers,
        )  # fmt: skip
        script = arrays.batch_script(array, name=record.name, folder=folder, number=number, profile=profile, code=code)
        record.script.write_text(script)
        record.write()
        try:
            job = scheduler.submit(record.script)
        except scheduler.Unreachable as error:
            record.remove()
            if number == 0:
                submission.remove_folder(folder)
            submitted = sum(earlier.runs for earlier in plan.arrays[:number])
            raise RunFailed(
                f"{submitted} of {plan.runs} runs were submitted, then {error} The same command sends the rest."
            ) from None
        replace(record, job=job).write()
        say(f"job {job}: {array.runs} runs in {array}")


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """The right to submit. Waits for another submission of the same study, after which often nothing is left to send."""
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            claim = Claim(path).__enter__()
            break
        except RunBusy:
            if time.monotonic() > limit:
                raise BadInput(f"Another submission of {path.parent.parent} has been going on for {PATIENCE:.0f} s.") from None
            time.sleep(0.2)
    try:
        yield
    finally:
        claim.__exit__()
