"""What was handed to the scheduler: `runs/<study>/.jobs/<submission>/`, written before sbatch is called and read by everyone.

submission.json     who, when, with what command, which code          array-0.sh     the exact batch script
array-0.json        name, job, limits, and the runs of every task     A_T.log        what task T of array job A printed
cancelled           present where `cancel` ended it: its jobs then do not put themselves back

A task is found in the scheduler by its array's name, which is known before sbatch answers: a submission that is killed in
between loses nothing.
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

from harness.rundir import write_json

JOBS = ".jobs"


@dataclass(frozen=True)
class Sent:
    """One array of a submission. `tasks`: the names of the runs of each task; `warning`: seconds before the time limit."""

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
    def cancelled(self) -> bool:
        return (self.folder / "cancelled").exists()

    def write(self) -> None:
        write_json(self.folder / f"array-{self.number}.json", {k: v for k, v in asdict(self).items() if k != "folder"})


def new(study: Path, command: list[str], code: dict[str, Any]) -> Path:
    """A folder for one submission."""
    folder = study.absolute() / JOBS / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    who = {"user": getpass.getuser(), "host": socket.gethostname(), "submitted": round(time.time(), 3)}
    write_json(folder / "submission.json", who | {"command": command, "code": code, "cwd": os.getcwd()})
    return folder


def forget(folder: Path) -> None:
    """Remove a submission that did not go out."""
    shutil.rmtree(folder, ignore_errors=True)


def read(folder: Path, number: int) -> Sent:
    content = json.loads((folder / f"array-{number}.json").read_text())
    return Sent(folder, **content | {"tasks": tuple(map(tuple, content["tasks"]))})


def everything(study: Path) -> list[Sent]:
    """Every array that was ever submitted for a study, oldest first."""
    return [read(path.parent, int(path.stem.removeprefix("array-"))) for path in sorted((study / JOBS).glob("*/array-*.json"))]
