"""One process at a time per run directory: an exclusive file that names its owner and shows that it lives.

Safe on NFS: a claim appears by link(2) with its content, never by locks, and its signs of life are times that the file's
server writes, so that clocks of nodes do not matter. A claim is nobody's, and taken over, where
- its process is gone from this machine's process table,
- its job is this very job, requeued: the scheduler has ended what ran before, or
- it showed no sign of life for `STALE` seconds.
A process that was taken for dead and comes back finds that the claim is not its own, and writes nothing more.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

from harness.errors import BadInput, RunFailed

BEAT = 10.0  # seconds between signs of life
STALE = 180.0  # seconds; NFS clients may see times that are a minute old


class Busy(BadInput):
    """Another process has the claim."""


class Lost(RunFailed):
    """The claim is another process's by now: this one was taken for dead."""


class Claim:
    """While entered, the claim is this process's. Raises Busy where somebody else's is alive."""

    def __init__(self, path: Path):
        self._path, self._token = path, uuid.uuid4().hex
        self._end = threading.Event()

    def __enter__(self) -> Claim:
        for _ in range(3):
            if self._create():
                threading.Thread(target=self._live, daemon=True).start()
                return self
            holder = owner(self._path)
            if holder is not None and not dead(holder, age(self._path)):
                raise Busy(
                    f"{self._path.parent} is being run by process {holder['pid']} on {holder['host']}. If that host is "
                    f"gone, its claim is taken over after {STALE:.0f} seconds without a sign of life."
                )
            if holder is not None:
                release(self._path, holder["token"])
        raise Busy(f"{self._path.parent} is being run by another process.")

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self.held():
            self._path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether the claim is still this process's."""
        holder = owner(self._path)
        return holder is not None and holder["token"] == self._token

    def _create(self) -> bool:
        content = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid()), "machine": _machine()}
        content |= {"job": job(), "restarts": restarts(), "token": self._token}
        temporary = self._path.with_name(f".{self._path.name}.{self._token}")
        try:
            temporary.write_text(json.dumps(content))
            with contextlib.suppress(OSError):  # over NFS it may have worked though it says that it has not
                os.link(temporary, self._path)
            return temporary.stat().st_nlink == 2
        finally:
            temporary.unlink(missing_ok=True)

    def _live(self) -> None:
        while not self._end.wait(BEAT):
            with contextlib.suppress(OSError):
                if self.held():
                    os.utime(self._path)


def owner(path: Path) -> dict[str, Any] | None:
    """Who has a claim: host, pid, job, ...; None where nobody has."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise BadInput(f"{path} is not a claim: delete it.") from None


def dead(holder: dict[str, Any], seconds: float) -> bool:
    """Whether an owner whose last sign of life is `seconds` old cannot be at work any more."""
    if holder["machine"] == _machine():
        return holder["born"] is None or _born(holder["pid"]) != holder["born"]
    if holder["job"] is not None and holder["job"] == job() and holder["restarts"] < restarts():
        return True
    return seconds > STALE


def age(path: Path) -> float:
    """Seconds since a claim's last sign of life, both times by the clock of the file's server; 0 where it has gone."""
    probe = path.with_name(f".{path.name}.now-{uuid.uuid4().hex}")
    try:
        with open(path) as file:  # opening asks the server; stat alone may answer from memory
            beat = os.fstat(file.fileno()).st_mtime
        probe.touch()
        return max(0.0, probe.stat().st_mtime - beat)
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def release(path: Path, token: str) -> None:
    """Remove the claim of a dead owner, and no other: whoever holds the certificate of this very claim may."""
    certificate = path.with_name(f".{path.name}.dead-{token}")
    try:
        os.link(path, certificate)
    except FileNotFoundError:
        return
    except FileExistsError:
        if age(certificate) > 2 * STALE:  # its maker died over it
            certificate.unlink(missing_ok=True)
        return
    try:
        if json.loads(certificate.read_text())["token"] == token:
            path.unlink(missing_ok=True)
    finally:
        certificate.unlink(missing_ok=True)


def job() -> str | None:
    """The scheduler's name of the job that this process runs in: `array_task`, a job's number, or None."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID")


def restarts() -> int:
    """How often the scheduler has requeued the job that this process runs in."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def _machine() -> str:
    """A running system's process table: host names repeat, and process numbers mean nothing outside their namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot (a reused number has another); None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in "ZX" else fields[19]
