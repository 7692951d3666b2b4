"""The profile of a cluster (cluster.yaml): settings that hold for every study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from harness.config import FrozenModel, validate
from harness.errors import BadInput
from harness.strict_yaml import read
from harness.study import SbatchOption, ShellWord

PLACES = (Path("cluster.yaml"), Path.home() / ".config" / "dreamproof" / "cluster.yaml")
RESERVED = ("array", "chdir", "error", "export", "job-name", "open-mode", "output", "requeue", "signal", "wrap", "comment")


class Limits(FrozenModel):
    array: int | None = Field(None, ge=1, description="tasks per array; default: the cluster's MaxArraySize")
    submit: int | None = Field(None, ge=1, description="tasks of yours in the queue at a time; default: no limit")
    hours: float | None = Field(None, gt=0, description="longest time limit of a job; a longer run goes on in the next job")


class Profile(FrozenModel):
    """`setup` is shell, run before each job: it is yours, as a start-up file of your shell is."""

    partition: ShellWord | None = None
    account: ShellWord | None = None
    limits: Limits = Limits()
    modules: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./+-]*$")], ...] = ()
    setup: tuple[str, ...] = ()
    python: str | None = Field(None, description="the interpreter on the nodes; default: the one that submits")
    extra: dict[SbatchOption, ShellWord | int] = Field(default_factory=dict, description="further options of sbatch")
    signal_seconds: int | None = Field(None, ge=5, description="warning before the time limit; default: a fifth of it, <= 120")


def load(path: Path | None = None) -> Profile:
    """The profile in `path`, in ./cluster.yaml or in ~/.config/dreamproof/cluster.yaml. Defaults where there is no file."""
    source = locate(path)
    if source is None:
        return Profile()
    profile = validate(Profile, read(source) or {}, str(source))
    refuse_reserved_options(profile.extra, str(source))
    if any("\n" in line for line in profile.setup):
        raise BadInput(f"{source}: setup: one command per line, please.")
    return profile


def locate(path: Path | None = None) -> Path | None:
    """The file that `load` reads. BadInput where `path` names none."""
    if path is not None and not path.is_file():
        raise BadInput(f"No cluster profile {path}.")
    return path or next((place for place in PLACES if place.is_file()), None)


def refuse_reserved_options(extra: dict[str, str | int], where: str) -> None:
    """BadInput for options of sbatch that dreamproof itself sets: changing them would lose jobs or logs without a word."""
    reserved = sorted(set(extra) & set(RESERVED))
    if reserved:
        raise BadInput(f"{where}: extra: {', '.join(reserved)}: set by dreamproof itself (it sets {', '.join(RESERVED)}).")
