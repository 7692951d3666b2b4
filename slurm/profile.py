"""What a cluster wants, once and for all studies: cluster.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from harness.config import Model, validated
from harness.errors import BadInput
from harness.strict_yaml import read
from harness.study import Option, Word

PLACES = (Path("cluster.yaml"), Path.home() / ".config" / "dreamproof" / "cluster.yaml")
OURS = ("array", "chdir", "error", "export", "job-name", "open-mode", "output", "requeue", "signal", "wrap", "comment")


class Limits(Model):
    array: int | None = Field(None, ge=1, description="tasks per array; default: the cluster's MaxArraySize")
    submit: int | None = Field(None, ge=1, description="tasks of yours in the queue at a time; default: none known")
    hours: float | None = Field(None, gt=0, description="longest time limit of a job; a longer run goes on in the next job")


class Profile(Model):
    """`setup` is shell, run before each job: it is yours, as a start-up file of your shell is."""

    partition: Word | None = None
    account: Word | None = None
    limits: Limits = Limits()
    modules: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./+-]*$")], ...] = ()
    setup: tuple[str, ...] = ()
    python: str | None = Field(None, description="the interpreter on the nodes; default: the one that submits")
    extra: dict[Option, Word | int] = Field(default_factory=dict, description="further options of sbatch")
    signal_seconds: int | None = Field(None, ge=5, description="warning before the time limit; default: a fifth of it, <= 120")


def load(given: Path | None = None) -> Profile:
    """The profile in `given`, in ./cluster.yaml or in ~/.config/dreamproof/cluster.yaml; without any, defaults."""
    path = found(given)
    return Profile() if path is None else checked(validated(Profile, read(path) or {}, str(path)), path)


def found(given: Path | None = None) -> Path | None:
    if given is not None and not given.is_file():
        raise BadInput(f"No cluster profile {given}.")
    return given or next((path for path in PLACES if path.is_file()), None)


def checked(profile: Profile, where: Path) -> Profile:
    refuse_ours(profile.extra, str(where))
    if any("\n" in line for line in profile.setup):
        raise BadInput(f"{where}: setup: one command per line, please.")
    return profile


def refuse_ours(extra: dict[str, str | int], where: str) -> None:
    """BadInput for options of sbatch that the program itself sets: a grid would lose jobs or logs without a word."""
    taken = sorted(set(extra) & set(OURS))
    if taken:
        raise BadInput(f"{where}: extra: {', '.join(taken)}: set by dreamproof itself (it sets {', '.join(OURS)}).")
