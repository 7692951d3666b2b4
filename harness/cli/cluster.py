"""The verbs of clusters: submit, status, logs, cancel, retry, devcluster."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from harness import watch as watching
from harness.cli import _options, _pool, _studies

if TYPE_CHECKING:
    from harness.study import Resources, RunConfig, StudyOverrides
    from slurm import state
    from slurm.submit import SubmissionPlan

MOST_MEASURED = 500  # runs of a study whose disk use `status` shows
_cluster = click.option("--cluster", type=click.Choice(["slurm", "local"]), default="slurm", show_default=True)
_dry_run = click.option("--dry-run", is_flag=True, help="Print the exact batch scripts; submit nothing.")
_parallel = click.option("--parallel", type=click.IntRange(1), help="Runs at a time.  [default: the study's]")


@click.command()
@_options.study
@_options.scale
@_options.study_overrides
@_cluster
@_parallel
@_options.profile
@_dry_run
@_options.runs
def submit(
    study: str,
    scale: str | None,
    overrides: StudyOverrides,
    cluster: Literal["slurm", "local"],
    parallel: int | None,
    profile: Path | None,
    dry_run: bool,
    runs: Path,
) -> None:
    """Send the missing runs of STUDY to a cluster as job arrays. A second call sends nothing twice."""
    from harness import study as studies

    loaded, configs = studies.load_runs(study, scale, overrides)
    cells = {cell.run_id: cell for cell in configs}
    needs = {name: studies.resources(loaded, cell, study) for name, cell in cells.items()}
    if cluster == "local":
        _run_locally(runs / loaded.name, configs, needs, parallel, dry_run)
    else:
        retry_command = shlex.join(["dreamproof", "retry", study, *_studies.command_options(scale, runs)])
        _submit_to_slurm(runs / loaded.name, cells, needs, parallel, profile, dry_run, retry_command)


@click.command()
@_options.study
@_options.scale
@watching.option
@_options.as_json
@_options.runs
def status(study: str, scale: str | None, watch: float | None, as_json: bool, runs: Path) -> int:
    """The states of STUDY's runs, from the scheduler and the run directories together. Exit status 1 where some failed.

    A watch ends by itself when no run is at work or in the queue.
    """
    from slurm import show as pages
    from slurm import state

    root, options = _studies.study_root(study, scale, runs), _studies.command_options(scale, runs)

    def show(overview: state.Overview) -> None:
        if as_json:
            tree = {
                "runs": pages.overview_to_rows(overview),
                "advice": pages.advice(root, overview, study, options),
                "warning": overview.warning,
            }
            click.echo(json.dumps(tree, indent=1))
        else:
            if watch:
                click.clear()
            click.echo("\n".join([pages.format_overview(root, overview, study, options), *_disk_lines(root, overview)]))

    def is_over(overview: state.Overview) -> bool:
        return not any(row.job or row.pool or row.state == "running" for row in overview.rows)

    overview = watching.watch(lambda: state.overview(root), show, watch, is_over)
    return int(overview is not None and any(row.state in ("failed", "diverged") for row in overview.rows))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "--lines", type=click.IntRange(1), default=40, show_default=True, help="Lines of each log.")
@click.option("--follow", is_flag=True, help="Go on printing new lines, until Ctrl-C.")
@_options.runs
def logs(run: Path, lines: int, follow: bool, runs: Path) -> None:
    """The last lines that RUN (a run directory, or its name) and its jobs printed, and why attempts failed."""
    from slurm import logs

    folder = logs.find_run(run, runs)
    click.echo(logs.format_logs(folder, lines))
    for line in logs.follow_log(folder) if follow else ():
        click.echo(line, nl=False)


@click.command()
@_options.study
@_options.scale
@_options.runs
def cancel(study: str, scale: str | None, runs: Path) -> None:
    """Stop STUDY: its jobs leave the queue, and what runs, in jobs or by `run` on this machine, ends after a checkpoint."""
    from slurm import cancel, state
    from slurm import show as pages

    root = _studies.study_root(study, scale, runs)
    result = cancel.cancel(root)
    lines = []
    if result.jobs_waiting or result.jobs_running or not (result.stopped or result.stopping):
        lines.append(f"{result.jobs_waiting} waiting and {result.jobs_running} running runs cancelled.")
    if result.stopped:
        lines.append(f"{result.stopped} runs of this machine stopped after a checkpoint.")
    if result.stopping:
        lines.append(f"{result.stopping} runs of this machine were asked to stop and still write their checkpoint.")
    if result.beyond:
        lines.append(f"{result.beyond} runs at work belong to no job and no command on this machine: they go on.")
    command = pages.continue_command(root, state.overview(root), study, _studies.command_options(scale, runs))
    click.echo(" ".join([*lines, f"To continue: {command}"]))


@click.command()
@_options.study
@_options.scale
@click.option("--state", "states", default="failed,timeout", show_default=True, help="Which runs, e.g. failed,diverged.")
@click.option("--cluster", type=click.Choice(["slurm", "local"]), help="[default: slurm if STUDY was submitted, else local]")
@_parallel
@_options.profile
@_dry_run
@_options.runs
def retry(study: str, scale: str | None, states: str, runs: Path, **options: Any) -> None:
    """Give failed runs of STUDY three more attempts, from their last checkpoint: in jobs, or here where `run` ran them."""
    from harness import rundir
    from slurm import retry, state

    names = [name.strip() for name in states.split(",") if name.strip()]
    root = _studies.study_root(study, scale, runs)
    is_local = options["cluster"] == "local" or (options["cluster"] is None and not state.is_submitted(root))
    if not is_local:
        _studies.check_is_file(study, runs, state.overview(root).submit_command)
    reset, busy = retry.retry(root, names, options["dry_run"])
    later = f" {busy} more share a job or command that still runs: give the command again when it has ended." if busy else ""
    click.echo(f"{len(reset)} runs to try again.{later}")
    if reset and is_local and not options["dry_run"]:
        pool = _pool.PoolOptions(options["parallel"])
        rest = ["dreamproof", "run", str(root)]  # what a stop leaves: `retry` again would find no failed run
        _pool.run_folders([rundir.RunDir(root / name) for name in reset], pool, retry=True, command=rest)
    elif reset and not is_local:
        options["cluster"] = "slurm"
        click.get_current_context().invoke(
            submit, study=study, scale=scale, runs=runs, steps=None, seeds=None, changes=(), **options
        )


@click.command()
@click.argument("action", type=click.Choice(["up", "down", "status"]))
@click.option("--accounting", is_flag=True, help="With slurmdbd on a MariaDB of its own, so that sacct works.")
def devcluster(action: Literal["up", "down", "status"], accounting: bool) -> None:
    """A real SLURM on this machine, for trials and tests: munge, slurmctld and two slurmd."""
    from slurm import devcluster

    actions = {"up": lambda: devcluster.up(accounting), "down": devcluster.down, "status": devcluster.status}
    click.echo(actions[action]())


COMMANDS = (submit, status, logs, cancel, retry, devcluster)


def _disk_lines(root: Path, overview: state.Overview) -> list[str]:
    """How much disk a study takes. Of a large one, that takes too long to find out each time."""
    from harness import disk

    if len(overview.rows) > MOST_MEASURED:
        return []
    total, checkpoints = disk.disk_use(root)
    return [f"disk: {disk.size_text(total)}, of which checkpoints {disk.size_text(checkpoints)}"]


def _submit_to_slurm(
    root: Path,
    cells: Mapping[str, RunConfig],
    needs: Mapping[str, Resources],
    parallel: int | None,
    profile: Path | None,
    dry_run: bool,
    retry_command: str,
) -> None:
    from harness.rundir import RunDir
    from slurm import profile as profiles
    from slurm import submit

    cluster = profiles.load(profile)
    if dry_run:
        finished = [name for name in cells if (root / name / "done").exists()]
        reopened = {name for name in finished if not RunDir(root / name).has_config(cells[name].dump())}
        plan = submit.plan_submission(root, needs, cluster, parallel, reopened)
        click.echo("\n".join(submit.batch_scripts(root, plan.arrays, cluster)), nl=False)
    else:

        def prepare() -> None:
            for name, cell in cells.items():
                RunDir.create(root / name, cell.dump(), sync=False)

        plan = submit.submit(root, prepare, needs, cluster, parallel, click.echo)
    click.echo(_summarize(plan, len(cells), dry_run, retry_command), err=True)


def _summarize(plan: SubmissionPlan, cells: int, dry_run: bool, retry: str) -> str:
    overview = plan.overview
    stays = [f"{overview.count('done')} done"] if overview.count("done") else []
    queued = sum(row.job is not None and row.state != "done" for row in overview.rows)
    stays += [f"{queued} in the queue or running"] if queued else []
    failed = sum(overview.count(state) for state in ("failed", "diverged"))
    stays += [f"{failed} failed ({retry})"] if failed else []
    if plan.held_back:
        stays.append(f"{plan.held_back} tasks held back by the submit limit: the same command sends them later")
    verb = "would be submitted" if dry_run else "submitted"
    if not plan.runs:
        return f"Nothing to submit: of {cells} runs {', '.join(stays) or 'none is missing'}."
    return f"{plan.runs} of {cells} runs {verb} in {len(plan.arrays)} arrays" + (f"; {', '.join(stays)}." if stays else ".")


def _run_locally(
    root: Path, cells: Sequence[RunConfig], needs: Mapping[str, Resources], parallel: int | None, dry_run: bool
) -> None:
    from harness.claim import Claim

    if dry_run:
        click.echo(f"{len(cells)} runs on this machine, in this order:\n" + "\n".join(needs))
        return
    (root / ".jobs").mkdir(parents=True, exist_ok=True)
    need = next(iter(needs.values()))
    parallel = parallel or need.parallel or max(1, (os.cpu_count() or 1) // need.cpus)
    with Claim(root / ".jobs" / "local"):
        options = _pool.PoolOptions(parallel, threads=need.cpus, env_workers=need.env_workers)
        _pool.run_cells(cells, root.parent, options, retry=True)
