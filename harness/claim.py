"""One process at a time per run directory: an exclusive file that names its owner and shows that the owner is alive.

It is safe on NFS. A claim appears by link(2) with its content, never by locks. Its signs of life are times that the file
server writes, so the clocks of the nodes do not matter. Another process may take a claim over where
- the owner's process is gone from this machine's process table,
- the owner's job is this very job, requeued: the scheduler has ended what ran before, or
- the owner showed no sign of life for `STALE_SECONDS` seconds.
A process that others took for dead and that comes back finds that the claim is not its own. It then writes nothing more.
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

BEAT_SECONDS = 10.0  # between two signs of life
STALE_SECONDS = 180.0  # without a sign of life; NFS clients may see times that are a minute old


class RunBusy(BadInput):
    """Another process has the claim."""


class ClaimLost(RunFailed):
    """Another process took the claim over, because it took this process for dead."""


OWNER_KEYS = {"host", "pid", "born", "machine", "job", "restarts", "token"}


class Claim:
    """While entered, the claim is this process's. Raises RunBusy where another owner is alive."""

    def __init__(self, path: Path):
        self._path, self._token = path, uuid.uuid4().hex
        self._released = threading.Event()

    def __enter__(self) -> Claim:
        for _ in range(3):
            if self._create():
                threading.Thread(target=self._send_heartbeats, daemon=True).start()
                return self
            owner = read_owner(self._path)
            if owner is not None and not is_dead(owner, beat_age(self._path)):
                raise RunBusy(
                    f"{self._path.parent} is being run by process {owner['pid']} on {owner['host']}. If that host is "
                    f"gone, another process can take the run over after {STALE_SECONDS:.0f} seconds without a sign of life."
                )
            if owner is not None:
                release(self._path, owner["token"])
        raise RunBusy(f"{self._path.parent} is being run by another process.")

    def __exit__(self, *_: object) -> None:
        self._released.set()
        if self.is_ours():
            self._path.unlink(missing_ok=True)

    def is_ours(self) -> bool:
        """Whether the claim is still this process's."""
        owner = read_owner(self._path)
        return owner is not None and owner["token"] == self._token

    def _create(self) -> bool:
        """Whether the claim's file was free and is now this process's."""
        pid = os.getpid()
        content = {"host": socket.gethostname(), "pid": pid, "born": _process_start(pid), "machine": _process_table()}
        content |= {"job": current_job(), "restarts": restart_count(), "token": self._token}
        temporary = self._path.with_name(f".{self._path.name}.{self._token}")
        try:
            temporary.write_text(json.dumps(content))
            with contextlib.suppress(OSError):  # over NFS the link may exist although the call reports an error
                os.link(temporary, self._path)
            return temporary.stat().st_nlink == 2
        finally:
            temporary.unlink(missing_ok=True)

    def _send_heartbeats(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                if self.is_ours():
                    os.utime(self._path)


def read_owner(path: Path) -> dict[str, Any] | None:
    """The content of a claim: host, pid, job, ...; None where there is no claim."""
    try:
        owner = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        owner = None
    if not isinstance(owner, dict) or not owner.keys() >= OWNER_KEYS or type(owner["restarts"]) is not int:
        raise BadInput(f"{path} is not a claim: delete it.")
    return owner


def is_dead(owner: dict[str, Any], silence: float) -> bool:
    """Whether an owner whose last sign of life is `silence` seconds old cannot be at work any more."""
    if owner["machine"] == _process_table():
        return owner["born"] is None or _process_start(owner["pid"]) != owner["born"]
    if owner["job"] is not None and owner["job"] == current_job() and owner["restarts"] < restart_count():
        return True
    return silence > STALE_SECONDS


def beat_age(path: Path) -> float:
    """Seconds since a claim's last sign of life, both times by the clock of the file server; 0 where there is no claim."""
    probe = path.with_name(f".{path.name}.now-{uuid.uuid4().hex}")
    try:
        with open(path) as file:  # opening asks the server; stat alone may answer from memory
            last_beat = os.fstat(file.fileno()).st_mtime
        probe.touch()
        return max(0.0, probe.stat().st_mtime - last_beat)
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def release(path: Path, token: str) -> None:
    """Remove the claim of the dead owner with this token, and no other claim.

    Of several processes that try, only the one that makes the certificate of this very claim may remove it.
    """
    certificate = path.with_name(f".{path.name}.dead-{token}")
    try:
        os.link(path, certificate)
    except FileNotFoundError:
        return
    except FileExistsError:
        if beat_age(certificate) > 2 * STALE_SECONDS:  # its maker died before it was finished
            certificate.unlink(missing_ok=True)
        return
    try:
        if json.loads(certificate.read_text())["token"] == token:
            path.unlink(missing_ok=True)
    finally:
        certificate.unlink(missing_ok=True)


def current_job() -> str | None:
    """The scheduler's name of the job that this process runs in: `array_task`, a job's number, or None."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID")


def restart_count() -> int:
    """How often the scheduler has requeued the job that this process runs in."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def _process_table() -> str:
    """Names a running system's process table: host names repeat, and process numbers mean nothing outside their namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _process_start(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot (a reused number has another); None where there is no process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in "ZX" else fields[19]
