"""The last lines that a run and its jobs printed, and why its attempts failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from harness import failures
from harness.errors import unknown
from harness.rundir import RunDir
from slurm import submission


def find_run(run: Path, root: Path) -> Path:
    """A run directory: `run` is its path, or its name (or how its name begins) below `root`, the folder of all studies."""
    if (run / "config.json").is_file():
        return run
    folders = {path.parent.name: path.parent for path in sorted(root.glob("*/*/config.json"))}
    prefix = str(run)
    matches = [name for name in folders if name == prefix] or [name for name in folders if name.startswith(prefix)]
    if len(matches) != 1:
        raise unknown("run", run, matches or folders, str(root))
    return folders[matches[0]]


def format_logs(folder: Path, lines: int) -> str:
    """The state and failures of a run, then the last `lines` lines of its own log and of each of its jobs' logs."""
    state = RunDir(folder).state
    position = f"{state['state']}, step {state['step']}, attempt {state['attempt']}"
    paragraphs = [f"{folder}: {position}. {state.get('message') or ''}".rstrip()]
    for failure in state.get("failures", []):
        where = f"attempt {failure['attempt']} on {failure['host']}"
        paragraphs.append(f"  failed: [{failure['kind']}] {where}: {failure['reason']}")
    for path in [folder / "log.txt", *job_logs(folder)]:
        tail = failures.read_tail(path, lines)
        paragraphs += [f"--- {path}", tail] if tail else []
    return "\n".join(paragraphs)


def job_logs(folder: Path) -> list[Path]:
    """Logs of the jobs that ran this run directory, oldest first."""
    paths = []
    for record in submission.read_records(folder.parent):
        for task, runs in enumerate(record.tasks):
            if folder.name in runs:
                paths += _task_logs(record, task)
    return paths


def _task_logs(record: submission.ArrayRecord, task: int) -> list[Path]:
    """Logs of one task. Arrays of a submission share a folder, so that only the first may take every job number:
    its task may also have been submitted again as a job of its own."""
    if record.number == 0 or record.job is None:
        return sorted(record.folder.glob(f"*_{task}.log"))
    path = record.folder / f"{record.job}_{task}.log"
    return [path] if path.exists() else []


def follow_log(folder: Path) -> Iterator[str]:
    """Lines that are added to log.txt from now on, until interrupted."""
    path = folder / "log.txt"
    path.touch()
    with open(path, errors="replace") as file:
        file.seek(0, 2)
        while True:
            yield from file
            time.sleep(0.5)
