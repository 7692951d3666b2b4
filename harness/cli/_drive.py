"""Several runs on this machine, side by side, and what became of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.errors import RunFailed


def drive(
    cells: Sequence[Any],
    root: Path,
    *,
    parallel: int | None,
    threads: int | None,
    device: str,
    env_workers: int | None,
    checkpoint_every: float,
    again: bool = False,
) -> None:
    from harness import build, pool, rundir
    from harness.stop import Stop

    build.check_device(device, compile=any(cell.compile is True for cell in cells))
    folders = [rundir.RunDir.create(root / cell.study / cell.run_id, cell.dump()) for cell in cells]
    done = [folder for folder in folders if folder.done]
    diverged = [folder for folder in folders if not folder.done and folder.state["state"] == "diverged"]
    todo = [folder for folder in folders if folder not in done and folder not in diverged]
    if done:
        click.echo(f"{len(done)} of {len(folders)} runs are done already.", err=True)
    parallel, threads = split(parallel, threads, len(todo), device)
    with Stop() as stop:
        arguments = ["--device", device, "--threads", str(threads), "--checkpoint-every", str(checkpoint_every)]
        arguments += [] if env_workers is None else ["--env-workers", str(env_workers)]
        ended = pool.run_all(todo, parallel=parallel, arguments=arguments, stop=stop, retry=again)
    ended |= dict.fromkeys(diverged, "diverged")
    summary(folders, ended, bool(stop.reason))


def split(parallel: int | None, threads: int | None, runs: int, device: str) -> tuple[int, int]:
    """Runs at a time and threads each, so that the machine's cores are used once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parallel = parallel or min(cores, max(runs, 1))
    return parallel, threads or max(1, cores // parallel)


def summary(folders: Sequence[Any], ended: dict[Any, str], stopped: bool) -> None:
    bad = {run: state for run, state in ended.items() if state in ("failed", "diverged", "busy")}
    root = os.path.commonpath([folder.path for folder in folders])
    if stopped:
        raise RunFailed("Stopped after a checkpoint. The same command continues where it was.")
    if bad:
        lines = "; ".join(f"{run.name} {state}: {run.state.get('message') or 'see log.txt'}" for run, state in bad.items())
        raise RunFailed(f"{len(bad)} of {len(folders)} runs did not finish. {lines}")
    click.echo(f"{len(folders)} of {len(folders)} runs done. Next: dreamproof table robustness {root}", err=True)
