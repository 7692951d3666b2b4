"""Several runs on this machine, side by side, and a report of how they ended."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import RunFailed

if TYPE_CHECKING:
    from harness.rundir import RunDir
    from harness.study import RunConfig


@dataclass(frozen=True)
class PoolOptions:
    """Runs at a time, and what each run gets of the machine. None: chosen here."""

    parallel: int | None = None
    threads: int | None = None
    device: str = "auto"
    env_workers: int | None = None
    checkpoint_every: float = 5  # seconds, at least

    def for_runs(self, runs: int) -> tuple[int, int]:
        """(runs at a time, threads of each), so that the machine's cores are used once."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        parallel = self.parallel or min(cores, max(runs, 1))
        return parallel, self.threads or max(1, cores // parallel)


def run_cells(cells: Sequence[RunConfig], root: Path, options: PoolOptions, *, retry: bool = False) -> None:
    """Run every cell in its directory below `root`; RunFailed where some did not finish. `retry`: run failed ones again."""
    from harness import build, envs, rundir

    build.check_device(options.device, compile=any(cell.compile is True for cell in cells))
    for notice in build.update_notices(cells):
        click.echo(f"notice: {notice}.", err=True)
    folders = [rundir.RunDir.create(root / cell.study / cell.run_id, cell.dump()) for cell in cells]
    for task, view in {cell.task: envs.view_lines(cell.task, cell.env.options) for cell in cells}.items():
        click.echo("".join(f"{task}: {line}\n" for line in view), err=True, nl=False)
    run_folders(folders, options, retry=retry)


def run_folders(
    folders: Sequence[RunDir], options: PoolOptions, *, retry: bool = False, command: Sequence[str] | None = None
) -> None:
    """Run what is not finished in these run directories; RunFailed as in `run_cells`.

    command: the argv that continues them after a stop; None: this process's.
    """
    done = [folder for folder in folders if folder.done]
    diverged = [folder for folder in folders if not folder.done and folder.state["state"] == "diverged"]
    remaining = [folder for folder in folders if folder not in done and folder not in diverged]
    if done:
        click.echo(f"{len(done)} of {len(folders)} runs are done already.", err=True)
    parallel, threads = options.for_runs(len(remaining))
    arguments = ["--device", options.device, "--threads", str(threads), "--checkpoint-every", str(options.checkpoint_every)]
    arguments += [] if options.env_workers is None else ["--env-workers", str(options.env_workers)]
    states, stopped = run_pool(remaining, parallel, arguments, retry=retry, command=command)
    report_states(folders, states | dict.fromkeys(diverged, "diverged"), stopped=stopped)


def run_pool(
    runs: Sequence[RunDir],
    parallel: int,
    arguments: Sequence[str],
    *,
    retry: bool = False,
    command: Sequence[str] | None = None,
) -> tuple[dict[RunDir, str], bool]:
    """(final state of each run, whether somebody asked to stop). RunFailed at a second Ctrl-C names the command to go on."""
    from harness import local_queue, pool
    from harness.stop import Stop

    try:
        with local_queue.entered(runs, sys.argv if command is None else command), Stop() as stop:
            states = pool.run_all(runs, parallel=parallel, arguments=arguments, stop=stop, retry=retry)
    except KeyboardInterrupt:
        raise RunFailed(f"Stopped at once. From the last checkpoint: {_this_command()}") from None
    return states, bool(stop.reason)


def _this_command() -> str:
    from harness import local_queue

    return local_queue.command_text(sys.argv, os.getcwd())


def report_states(folders: Sequence[RunDir], states: Mapping[RunDir, str], *, stopped: bool) -> None:
    """Say that all runs are done. RunFailed names those that are not, or says how to continue after a stop."""
    if stopped:
        raise RunFailed(f"Stopped after a checkpoint. The same command continues from there: {_this_command()}")
    unfinished = {run: state for run, state in states.items() if state in ("failed", "diverged", "busy")}
    if unfinished:
        reasons = [f"{run.name} {state}: {run.state.get('message') or 'see log.txt'}" for run, state in unfinished.items()]
        raise RunFailed(f"{len(unfinished)} of {len(folders)} runs did not finish. {'; '.join(reasons)}")
    root = os.path.commonpath([folder.path for folder in folders])
    click.echo(f"{len(folders)} of {len(folders)} runs done. Next: dreamproof table robustness {shlex.quote(root)}", err=True)
