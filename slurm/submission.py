"""The record of a submission: `runs/<study>/.jobs/<submission>/`, written before sbatch is called.

submission.json     who, when, with what command, which code          array-0.sh     the exact batch script
array-0.json        name, job, limits, and the runs of every task     A_T.log        what task T of array job A printed
cancelled           present where `cancel` ended it: its jobs then do not requeue themselves

The scheduler is asked for a task by its array's name, which is chosen before sbatch is called. So a submission that is killed
before sbatch answers loses nothing.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import local_queue
from harness.errors import BadInput
from harness.rundir import write_json

JOBS = ".jobs"


@dataclass(frozen=True)
class ArrayRecord:
    """One array of a submission: the content of `array-<number>.json`.

    `tasks`: the names of the runs of each task. `job`: its number, once sbatch has answered. `minutes`: the time limit.
    `warning`: seconds before the time limit at which SLURM warns. `cpus`: of each run.
    """

    folder: Path
    number: int
    name: str
    job: str | None
    minutes: int
    warning: int
    cpus: int
    tasks: tuple[tuple[str, ...], ...]
    env_workers: int | None = None

    @property
    def script(self) -> Path:
        return self.folder / f"array-{self.number}.sh"

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(run for task in self.tasks for run in task)

    @property
    def cancelled(self) -> bool:
        return (self.folder / "cancelled").exists()

    @property
    def path(self) -> Path:
        return self.folder / f"array-{self.number}.json"

    def write(self) -> None:
        write_json(self.path, {k: v for k, v in asdict(self).items() if k != "folder"})

    def remove(self) -> None:
        """For an array that sbatch refused."""
        self.path.unlink()


def create_folder(study: Path, command: list[str], code: dict[str, Any]) -> Path:
    """A new folder for one submission. `code`: the provenance of the copy that its jobs import."""
    folder = study.absolute() / JOBS / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    origin = {"user": getpass.getuser(), "host": socket.gethostname(), "submitted": round(time.time(), 3)}
    write_json(folder / "submission.json", origin | {"command": command, "code": code, "cwd": os.getcwd()})
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a submission of which sbatch took nothing."""
    shutil.rmtree(folder, ignore_errors=True)


def read_record(folder: Path, number: int) -> ArrayRecord:
    path = folder / f"array-{number}.json"
    try:
        content = json.loads(path.read_text())
        return ArrayRecord(folder, **content | {"tasks": tuple(map(tuple, content["tasks"]))})
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInput(f"{path} is not the record of an array of jobs: move its folder away.") from None


def newest_command(study: Path) -> tuple[float, str]:
    """(when, the command) of the newest submission of a study that has one."""
    folder = max((study / JOBS).glob("*/submission.json"), key=lambda path: path.parent.name).parent
    content = json.loads((folder / "submission.json").read_text())
    return content["submitted"], local_queue.command_text(content["command"], content["cwd"])


def read_records(study: Path) -> list[ArrayRecord]:
    """Every array that was ever submitted for a study, oldest first."""
    paths = sorted((study / JOBS).glob("*/array-*.json"))
    return [read_record(path.parent, int(path.stem.removeprefix("array-"))) for path in paths]
