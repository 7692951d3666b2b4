"""The local queue: which runs a command is working through on this machine, so that `status` and `cancel` know of it.

`runs/<study>/.jobs/local-<token>/pool.json` says what was typed, where, and for which runs. `claim` beside it shows that the
command is still at work. A record stays while one of its runs is not done, because it holds the command that continues; the
next one replaces it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import claim
from harness.errors import BadInput
from harness.rundir import RunDir, write_json

FOLDER = ".jobs"  # of a study; `slurm.submission` keeps its records there too
PATIENCE = 60.0  # seconds that `stop` waits for the checkpoints


@dataclass(frozen=True)
class LocalPool:
    """A command and the runs that it works through. `at_work`: its process is alive; `pid` on `host`.

    command: what continues these runs after an end; empty where that is no matter of states (`evaluate`).
    """

    folder: Path
    command: tuple[str, ...]
    cwd: str
    started: float
    runs: tuple[str, ...]
    host: str
    pid: int
    at_work: bool

    @property
    def command_text(self) -> str:
        """The command as it can be typed again, from another folder with `cd`."""
        return command_text(self.command, self.cwd)


def command_text(words: Sequence[str], cwd: str) -> str:
    """`dreamproof run four.yaml` of the argv of a process that was started in `cwd`."""
    text = shlex.join(["dreamproof", *words[1:]])
    return text if os.path.realpath(cwd) == os.path.realpath(os.getcwd()) else f"cd {shlex.quote(cwd)} && {text}"


@contextmanager
def entered(runs: Iterable[RunDir], command: Sequence[str]) -> Iterator[None]:
    """While entered, this process is known to work through these runs: one record in the folder of each study.

    `command`: the argv that continues the runs, () for none.
    """
    by_study: dict[Path, list[RunDir]] = defaultdict(list)
    for run in runs:
        by_study[run.path.absolute().parent].append(run)
    with contextlib.ExitStack() as stack:
        for study, members in by_study.items():
            stack.enter_context(_record(study, [run.name for run in members], command))
        yield


def read_pools(study: Path) -> list[LocalPool]:
    """Every recorded command of a study, oldest first."""
    pools = []
    for path in (study / FOLDER).glob("local-*/pool.json"):
        try:
            content = json.loads(path.read_text())
            holder = claim.read_owner(path.parent / "claim")
        except (OSError, ValueError, BadInput):
            continue  # it is being written, or removed
        at_work = holder is not None and not claim.is_dead(holder, claim.beat_age(path.parent / "claim"))
        pools.append(
            LocalPool(
                folder=path.parent,
                command=tuple(content["command"]),
                cwd=content["cwd"],
                started=content["started"],
                runs=tuple(content["runs"]),
                host=content["host"],
                pid=content["pid"],
                at_work=at_work,
            )
        )
    return sorted(pools, key=lambda pool: pool.started)


def check_within_reach(pools: Iterable[LocalPool]) -> None:
    """BadInput where a command is at work on another machine: from here it cannot be stopped."""
    for pool in pools:
        if pool.at_work and pool.host != socket.gethostname():
            raise BadInput(
                f"Process {pool.pid} on {pool.host} is at work on these runs, which cannot be stopped from here. "
                f"Cancel on {pool.host}."
            )


def stop(pools: Iterable[LocalPool]) -> list[LocalPool]:
    """Ask the commands that are at work to stop after a checkpoint -> those that still are after `PATIENCE` seconds."""
    remaining = [pool for pool in pools if pool.at_work]
    check_within_reach(remaining)
    for pool in remaining:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pool.pid, signal.SIGTERM)
    limit = time.monotonic() + PATIENCE
    while remaining and time.monotonic() < limit:
        time.sleep(0.1)
        remaining = [pool for pool in remaining if _is_at_work(pool.folder / "claim")]
    return remaining


def _is_at_work(path: Path) -> bool:
    holder = claim.read_owner(path)
    return holder is not None and not claim.is_dead(holder, claim.beat_age(path))


@contextmanager
def _record(study: Path, names: Collection[str], command: Sequence[str]) -> Iterator[None]:
    _remove_replaced(study, names)
    folder = study / FOLDER / f"local-{uuid.uuid4().hex[:8]}"
    while not folder.is_dir():
        with contextlib.suppress(FileNotFoundError):  # another command has just removed the empty folder of records
            folder.mkdir(parents=True)
    with claim.Claim(folder / "claim"):
        content = {"command": list(command), "cwd": os.getcwd(), "host": socket.gethostname(), "pid": os.getpid()}
        write_json(folder / "pool.json", content | {"started": round(time.time(), 3), "runs": list(names)}, sync=False)
        yield
    _remove_replaced(study, ())


def _remove_replaced(study: Path, names: Collection[str]) -> None:
    """Remove the records of ended commands whose runs are done or among `names`, and the folder of records if it is empty."""
    for pool in read_pools(study):
        if not pool.at_work and all(name in names or RunDir(study / name).done for name in pool.runs):
            shutil.rmtree(pool.folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds other records, or is not there
        (study / FOLDER).rmdir()
