"""A run directory: the only bridge between running and analysing. This module owns the names and formats of its files."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.claim import Claim, ClaimLost, current_job, restart_count
from harness.errors import BadInput, RunFailed

VERSION = 1  # of the layout below; a directory of another version is refused
STATES = ("queued", "running", "done", "failed", "diverged", "preempted", "timeout", "cancelled")

QUEUED = {"state": "queued", "step": 0, "updates": 0, "attempt": 0}


def write_json(path: Path, value: Any, sync: bool = True) -> None:
    """Write a file of JSON whole or not at all."""
    write_file(path, _to_json(value).encode(), sync)


def write_file(path: Path, content: bytes, sync: bool = True) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename. What is no file (/dev/stdout) is written directly."""
    path = path.resolve()  # a link stays a link: its target is replaced
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _to_json(value: Any) -> str:
    """JSON with one line per entry of the outermost object: readable, and ten times as fast to write as full indentation."""
    if not isinstance(value, dict) or not value:
        return _strict_json(value) + "\n"
    return "{\n" + ",\n".join(f" {json.dumps(str(key))}: {_strict_json(entry)}" for key, entry in value.items()) + "\n}\n"


def _strict_json(value: Any) -> str:
    """JSON, which has no NaN and no infinity: such a number is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nonfinite(value), allow_nan=False)


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nonfinite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Log:
    """An append-only file of JSON lines whose length is known, so that a resumed run can cut it back to a checkpoint."""

    def __init__(self, path: Path):
        self.path = path
        self._file = open(path, "ab")  # noqa: SIM115 (lives as long as the run)

    @property
    def offset(self) -> int:
        """Bytes written so far; a checkpoint stores it."""
        return self._file.tell()

    def add(self, row: dict[str, Any]) -> None:
        """Append one row. When this returns, the row is in the file, though not necessarily on the disk."""
        self._file.write(_strict_json(row).encode() + b"\n")
        self._file.flush()

    def cut(self, offset: int) -> None:
        """Drop everything after `offset` bytes. RunFailed where the file is shorter: counted rows are gone."""
        size = self.path.stat().st_size
        if size < offset:
            raise RunFailed(
                f"{self.path} holds {size} bytes, but the checkpoint counted {offset}: something else removed rows. "
                f"Delete {self.path.parent} to run it again."
            )
        if size > offset:
            self._replace(offset)

    def _replace(self, offset: int) -> None:
        # A new file: a process that was taken for dead and still has the old one open must not write into the new one.
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with open(self.path, "rb") as old, open(temporary, "wb") as new:
            new.write(old.read(offset))
            new.flush()
            os.fsync(new.fileno())
        self._file.close()
        os.replace(temporary, self.path)
        self._file = open(self.path, "ab")  # noqa: SIM115

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class RunDir:
    """`runs/<study>/<run_id>/`: config.json, provenance.json, state.json, *.jsonl, checkpoint/, done."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._claim: Claim | None = None

    @classmethod
    def create(cls, path: Path, content: dict[str, Any], sync: bool = True) -> RunDir:
        """Make the directory of a dumped RunConfig, or reuse the one that exists (its evaluation grid may have changed).

        `sync=False` is faster for thousands of runs: a power cut may then leave an empty file, which the same call repairs.
        """
        run = cls(path)
        path.mkdir(parents=True, exist_ok=True)
        if not run.has_config(content):
            write_json(path / "config.json", content, sync=sync)
            run.mark_done(False)
            if run.state["state"] == "done":
                run.set_state(sync=sync, state="queued", message="")
        if not (path / "state.json").exists():
            run.set_state(sync=sync, **QUEUED)
        return cls(path)

    def has_config(self, content: dict[str, Any]) -> bool:
        """Whether the directory holds exactly this configuration, its evaluation grid included."""
        path = self.path / "config.json"
        return path.exists() and path.stat().st_size > 0 and self.config == content

    @property
    def name(self) -> str:
        """The run's identifier: the name of the directory."""
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration. BadInput where it is unreadable or written by another version."""
        content = _read_json(self.path / "config.json")
        version = content.get("version") if isinstance(content, dict) else None
        if version != VERSION:
            raise BadInput(
                f"{self.path} is a run directory of version {version}; this dreamproof reads version {VERSION}. "
                "Use the dreamproof that wrote it, or move the directory away."
            )
        return content

    @property
    def state(self) -> dict[str, Any]:
        """The content of state.json; that of a queued run where there is no readable file."""
        try:
            return json.loads((self.path / "state.json").read_text())
        except (OSError, ValueError):
            return dict(QUEUED)

    def set_state(self, sync: bool = True, **changes: Any) -> None:
        """Change fields of state.json; `updated` (Unix seconds) is the heartbeat."""
        self.check_claim()
        state = {"started": None, "message": "", **self.state, **changes}
        state |= {
            "updated": round(time.time(), 3),
            "host": socket.gethostname(),
            "job": current_job(),
            "restarts": restart_count(),
        }
        write_json(self.path / "state.json", state, sync=sync)

    @property
    def done(self) -> bool:
        """Whether the run is trained and evaluated to the end."""
        return (self.path / "done").exists()

    def mark_done(self, done: bool = True) -> None:
        if done:
            (self.path / "done").touch()
        else:
            (self.path / "done").unlink(missing_ok=True)

    def log(self, name: str) -> Log:
        """`episodes` or `metrics`, open for appending."""
        return Log(self.path / f"{name}.jsonl")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a log. A last line without its end is dropped (a writer is at it); any other bad line is BadInput."""
        path = self.path / f"{name}.jsonl"
        if not path.exists():
            return []
        lines = path.read_bytes().split(b"\n")
        return [_parse_row(line, path, number) for number, line in enumerate(lines[:-1], 1) if line.strip()]

    @property
    def provenance(self) -> dict[str, Any]:
        """The content of provenance.json; empty before the run started."""
        path = self.path / "provenance.json"
        return _read_json(path) if path.exists() else {}

    @property
    def seconds(self) -> float:
        """Wall-clock time of training and evaluation up to the last finished episode; 0 before the first."""
        path = self.path / "episodes.jsonl"
        if not path.exists():
            return 0.0
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))  # one row is a few hundred bytes
            *_, last, _ = [b"", *file.read().split(b"\n")]
        return float(_parse_row(last, path, -1).get("seconds", 0)) if last else 0.0

    def claim(self) -> Claim:
        """The exclusive right to run this directory, as a context manager; see `harness.claim`."""
        self._claim = Claim(self.path / "claim")
        return self._claim

    def check_claim(self) -> None:
        """Raise ClaimLost where this process had the claim and another process has it now."""
        if self._claim is not None and not self._claim.is_ours():
            raise ClaimLost(
                f"Another process took over {self.path}, because it took this one for dead. This one writes nothing more."
            )


def find_runs(roots: Iterable[Path | str]) -> list[RunDir]:
    """Every run directory at or below the roots, sorted by path. BadInput where a root is missing or holds no run.

    The search skips hidden folders and whatever lies inside a run, such as checkpoints.
    """
    runs: dict[str, RunDir] = {}
    for root in map(Path, roots):
        if not root.exists():
            raise BadInput(f"No such run directory: {root}")
        paths, real_root = list(_walk_runs(root)), os.path.realpath(root)
        if not paths:
            raise BadInput(f"No runs in {root}: a run directory holds config.json. Start some with `dreamproof run`.")
        runs |= {os.path.join(real_root, path) if path else real_root: RunDir(root / path) for path in paths}
    return [runs[path] for path in sorted(runs)]


def _walk_runs(root: Path) -> Iterator[str]:
    """Paths of run directories relative to the root, '' for the root itself."""
    for folder, subfolders, files in os.walk(root):
        if "config.json" in files:
            subfolders.clear()  # tells os.walk not to go deeper
            yield folder[len(str(root)) :].strip(os.sep)
        else:
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from None


def _parse_row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise BadInput(f"{path}, line {number}: not a JSON row: {line[:80].decode(errors='replace')!r}")
    return row
