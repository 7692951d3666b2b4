"""A study -> job arrays: only what is missing, once, whoever asks and however often."""

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
from slurm.arrays import Array
from slurm.profile import Profile

PATIENCE = 120.0  # seconds to wait for another submission of the same study


@dataclass(frozen=True)
class Plan:
    """What a submission would send, and why the rest stays."""

    arrays: list[Array]
    overview: state.Overview
    held_back: int  # tasks that exceed what the cluster takes at a time

    @property
    def runs(self) -> int:
        return sum(array.runs for array in self.arrays)


def plan(
    study: Path, needs: Mapping[str, Resources], profile: Profile, parallel: int | None = None, anew: Collection[str] = (),
    seen: state.Overview | None = None,
) -> Plan:  # fmt: skip
    """The arrays for every run of `needs` (name -> resources) that is neither finished nor in the queue.

    `anew`: runs whose directory says `done` of another evaluation, which a submission opens again.
    """
    seen = seen or (state.overview(study) if study.is_dir() else state.Overview([], None))
    rows = {row.run: row for row in seen.rows}
    missing = [name for name in needs if name not in rows or name in anew or rows[name].sendable]
    chosen = {name: _within(needs[name], profile, parallel) for name in missing}
    made = arrays.arrays(chosen, profile.limits.array or scheduler.array_limit())
    jobs = {row.job for row in seen.rows if row.job}
    free = None if profile.limits.submit is None else max(0, profile.limits.submit - len(jobs))
    return Plan(*_fit(made, seen, free))


def _within(need: Resources, profile: Profile, parallel: int | None) -> Resources:
    """What a run may have: a job is no longer than the cluster allows, and the run goes on in the next one."""
    hours = min(need.hours, profile.limits.hours or need.hours)
    return need.model_copy(update={"parallel": parallel or need.parallel, "hours": hours})


def texts(study: Path, made: Sequence[Array], profile: Profile) -> list[str]:
    """The exact batch scripts of a plan, for --dry-run: names and folders are those of a submission called `dry-run`."""
    folder, code = study.absolute() / submission.JOBS / "dry-run", study.absolute().parent / ".code" / "dry-run"
    return [
        arrays.script(array, name=f"{study.name}-dry-run-{k}", folder=folder, number=k, profile=profile, code=code)
        for k, array in enumerate(made)
    ]


def submit(
    study: Path,
    prepare: Callable[[], None],
    needs: Mapping[str, Resources],
    profile: Profile,
    parallel: int | None = None,
    say: Callable[[str], None] = print,
) -> Plan:
    """Send what is missing. `prepare` makes the run directories; one submission of a study at a time does all this.

    RunFailed where sbatch refuses: what went out before stays out, and the same command sends the rest.
    """
    if not scheduler.available():
        raise BadInput("No sbatch on this machine: submit from a login node, or use --cluster local.")
    (study / submission.JOBS).mkdir(parents=True, exist_ok=True)
    with _alone(study / submission.JOBS / "claim"):
        prepare()
        seen = state.settled(study, lambda row: row.state not in state.OVER)
        made = plan(study, needs, profile, parallel, seen=seen)
        if made.overview.warning:
            raise RunFailed(f"Nothing was submitted: {made.overview.warning}.")
        made = _without_hopeless(study, made, needs, profile, parallel)
        if made.arrays:
            _send(study, made, profile, say)
    return made


def _send(study: Path, made: Plan, profile: Profile, say: Callable[[str], None]) -> None:
    code = snapshot.take(study.absolute().parent / ".code")
    folder = submission.new(study, sys.argv, snapshot.described(code))
    tag = folder.name.rsplit("-", 1)[1]
    for number, array in enumerate(made.arrays):
        sent = submission.Sent(
            folder, number, f"{study.name}-{tag}-{number}", None, array.minutes,
            arrays.warning_seconds(array.minutes, profile), array.resources.cpus, array.tasks, array.resources.env_workers,
        )  # fmt: skip
        sent.script.write_text(arrays.script(array, name=sent.name, folder=folder, number=number, profile=profile, code=code))
        sent.write()
        try:
            job = scheduler.submit(sent.script)
        except scheduler.Unreachable as error:
            (folder / f"array-{number}.json").unlink()
            if number == 0:
                submission.forget(folder)
            gone = sum(before.runs for before in made.arrays[:number])
            raise RunFailed(
                f"{gone} of {made.runs} runs were submitted, then {error} The same command sends the rest."
            ) from None
        replace(sent, job=job).write()
        say(f"job {job}: {array.runs} runs in {array}")


def _without_hopeless(study: Path, made: Plan, needs: Mapping[str, Resources], profile: Profile, parallel: int | None) -> Plan:
    """Write down what became of lost runs; those that were lost the same way three times are `failed` and stay."""
    sent = {name for array in made.arrays for task in array.tasks for name in task}
    lost = [row for row in made.overview.rows if row.run in sent and row.state in ("lost", "timeout", "cancelled")]
    given_up = False
    for row in lost:
        run = RunDir(study / row.run)
        if (
            row.state == "lost"
            and row.attempt
            and not failures.record_failure(run, f"{row.message} {failures.progress_phrase(run)}")
        ):
            given_up = True
        elif row.state != "lost":
            run.set_state(state="queued", message="")
    return plan(study, needs, profile, parallel) if given_up else made


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """The right to submit; waits for another submission of the same study, which leaves nothing to send."""
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            right = Claim(path).__enter__()
            break
        except RunBusy:
            if time.monotonic() > limit:
                raise BadInput(f"Another submission of {path.parent.parent} has been going on for {PATIENCE:.0f} s.") from None
            time.sleep(0.2)
    try:
        yield
    finally:
        right.__exit__()


def _fit(made: list[Array], seen: state.Overview, free: int | None) -> tuple[list[Array], state.Overview, int]:
    kept, back = [], 0
    for array in made:
        room = len(array.tasks) if free is None else min(free, len(array.tasks))
        free = None if free is None else free - room
        back += len(array.tasks) - room
        if room:
            kept.append(replace(array, tasks=array.tasks[:room], at_once=min(array.at_once, room)))
    return kept, seen, back
