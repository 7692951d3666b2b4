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
from harness.errors import BadInput, RunFailed, unknown

VERSION = 1  # of the layout below; a directory of another version is refused
STATES = ("queued", "running", "done", "failed", "diverged", "preempted", "timeout", "cancelled")

# What fields hold where they are there; a missing one has a default. Read once, at the door.
INT, REAL, TEXT = "a whole number", "a number or null", "text"
STATE_FIELDS = {"step": INT, "updates": INT, "attempt": INT, "message": TEXT, "state": TEXT}
STATE_FIELDS |= {"started": REAL, "updated": REAL, "wall_seconds": REAL, "seconds": REAL, "last_return": REAL, "steps": INT}
ROW_FIELDS = {"split": TEXT, "noise": TEXT, "policy": TEXT, "task": TEXT}
ROW_FIELDS |= dict.fromkeys(("step", "frames", "updates", "episode", "seed", "return", "length", "seconds"), REAL)

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
        content = _read_mapping(self.path / "config.json")
        version = content.get("version")
        if version != VERSION:
            raise BadInput(
                f"{self.path} is a run directory of version {version}; this dreamproof reads version {VERSION}. "
                "Use the dreamproof that wrote it, or move the directory away."
            )
        return content

    @property
    def state(self) -> dict[str, Any]:
        """The content of state.json; that of a queued run where the file is missing or empty. BadInput where it is damaged."""
        return read_state(self.path / "state.json")

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
        rows = [(number, _parse_row(line, path, number)) for number, line in enumerate(lines[:-1], 1) if line.strip()]
        if name == "episodes":
            for number, row in rows:
                _check_fields(row, ROW_FIELDS, f"{path}, line {number}")
        return [row for _, row in rows]

    @property
    def provenance(self) -> dict[str, Any]:
        """The content of provenance.json; empty before the run started."""
        path = self.path / "provenance.json"
        return _read_mapping(path) if path.exists() else {}

    @property
    def seconds(self) -> float:
        """Wall-clock time of training and evaluation up to the last finished episode; 0 before the first."""
        path = self.path / "episodes.jsonl"
        if not path.exists():
            return 0.0
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))  # one row is a few hundred bytes
            *_, last, _ = [b"", *file.read().split(b"\n")]
        seconds = _parse_row(last, path, -1).get("seconds", 0) if last else 0.0
        return float(seconds) if is_number(seconds) else 0.0

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


def find_runs(roots: Iterable[Path | str], unread: list[str] | None = None) -> list[RunDir]:
    """Every run directory at or below the roots, sorted by path. BadInput where a root is missing or holds no run.

    The search follows links, and skips hidden folders and whatever lies inside a run, such as checkpoints. `unread` gets
    what could not be read, as `path (reason)`.
    """
    runs: dict[str, RunDir] = {}
    problems: list[str] = [] if unread is None else unread
    for root in map(Path, roots):
        if not root.exists():
            raise BadInput(f"No such run directory: {root}")
        paths, real_root = list(_walk_runs(root, problems)), os.path.realpath(root)
        if not paths:
            listing = f" Not readable: {', '.join(problems)}." if problems else ""
            raise BadInput(f"No runs in {root}: a run directory holds config.json. Start some with `dreamproof run`.{listing}")
        runs |= {_real_path(root, real_root, path): RunDir(root / path) for path in reversed(paths)}
    return [runs[path] for path in sorted(runs)]


def _walk_runs(root: Path, unread: list[str]) -> Iterator[str]:
    """Paths of run directories relative to the root, '' for the root itself."""

    def note(error: OSError) -> None:
        unread.append(f"{error.filename} ({error.strerror})")

    visited = {os.path.realpath(root)}
    for folder, subfolders, files in os.walk(root, onerror=note, followlinks=True):
        if "config.json" in files:
            subfolders.clear()  # tells os.walk not to go deeper
            yield folder[len(str(root)) :].strip(os.sep)
            continue
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in [name for name in subfolders if os.path.islink(os.path.join(folder, name))]:
            target = os.path.realpath(os.path.join(folder, name))
            if target in visited or root.resolve().is_relative_to(target):
                subfolders.remove(name)  # it leads back to where the search has been
            visited.add(target)
        broken = [os.path.join(folder, name) for name in files if os.path.islink(os.path.join(folder, name))]
        unread += [f"{path} (a link to nothing)" for path in broken if not os.path.exists(path)]


def _real_path(root: Path, real_root: str, path: str) -> str:
    """The path of a run below a root without links. Only what lies behind a link is looked up."""
    folder = root
    for part in Path(path).parts:
        folder = folder / part
        if folder.is_symlink():
            return os.path.realpath(root / path)
    return os.path.join(real_root, path) if path else real_root


def read_state(path: Path) -> dict[str, Any]:
    """The content of a state.json; that of a queued run where there is none. BadInput where its shape is wrong."""
    try:
        if not path.read_bytes().strip(b"\0 \n"):  # a power cut
            return dict(QUEUED)
    except OSError:
        return dict(QUEUED)
    state = QUEUED | _read_mapping(path)
    _check_fields(state, STATE_FIELDS, str(path))
    if state["state"] not in STATES:
        raise unknown("state", state["state"], STATES, str(path))
    return state


def is_number(value: object) -> bool:
    """Whether a value of JSON is a number that fits in 64 bits: true is none, and 400 digits are none."""
    return type(value) is float or (type(value) is int and -(2**63) <= value < 2**63)


def _check_fields(content: dict[str, Any], fields: dict[str, str], where: str) -> None:
    """BadInput where a field holds something else than it may."""
    for name, value in content.items():
        expected = fields.get(name)
        if expected == TEXT:
            fits = isinstance(value, str)
        elif expected == INT:
            fits = type(value) is int and is_number(value)
        else:
            fits = expected is None or value is None or is_number(value)
        if not fits:
            raise BadInput(f"{where}: {name} = {_short(value)}; allowed is {expected}.")


def _short(value: object) -> str:
    try:
        return json.dumps(value)[:40]
    except ValueError:  # more digits than Python writes
        return "a number of thousands of digits"


def _read_mapping(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds {_short(content)}; it should hold a mapping {{...}}.")
    return content


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON: {error}") from None


def _parse_row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise BadInput(f"{path}, line {number}: not a JSON row: {line[:80].decode(errors='replace')!r}")
    return row
