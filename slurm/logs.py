"""What a run and its jobs printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from harness import failures
from harness.errors import unknown
from harness.rundir import RunDir
from slurm import submission


def find(run: Path, root: Path) -> Path:
    """A run directory by its path or its name (or the beginning of it) below the root of all runs."""
    if (run / "config.json").is_file():
        return run
    every = {path.parent.name: path.parent for path in sorted(root.glob("*/*/config.json"))}
    match = [name for name in every if name == str(run)] or [name for name in every if name.startswith(str(run))]
    if len(match) != 1:
        raise unknown("run", run, match or every, str(root))
    return every[match[0]]


def text(folder: Path, lines: int) -> str:
    run = RunDir(folder)
    state = run.state
    said = [
        f"{folder}: {state['state']}, step {state['step']}, attempt {state['attempt']}. {state.get('message') or ''}".rstrip()
    ]
    said += [f"  failed: [{f['kind']}] attempt {f['attempt']} on {f['host']}: {f['reason']}" for f in state.get("failures", [])]
    for path in [folder / "log.txt", *jobs(folder)]:
        last = failures.read_tail(path, lines)
        said += [f"--- {path}", last] if last else []
    return "\n".join(said)


def jobs(folder: Path) -> list[Path]:
    """Logs of the jobs that ran this directory, oldest first."""
    found = []
    for sent in submission.everything(folder.parent):
        for number, task in enumerate(sent.tasks):
            if folder.name in task:
                found += sorted(sent.folder.glob(f"*_{number}.log")) if sent.number == 0 or sent.job is None else []
                found += [path for path in [sent.folder / f"{sent.job}_{number}.log"] if sent.number and path.exists()]
    return found


def following(folder: Path) -> Iterator[str]:
    """What is added to log.txt from now on, until interrupted."""
    path = folder / "log.txt"
    path.touch()
    with open(path, errors="replace") as file:
        file.seek(0, 2)
        while True:
            yield from file
            time.sleep(0.5)
