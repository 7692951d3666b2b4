"""Run directories of an import, written beside their destination and moved there together: all of them or none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.errors import BadInput
from harness.names import below, check_label, check_name
from results.importers._run import ImportedRun

COMPARED = ("config.json", "state.json", "episodes.jsonl")  # provenance names the file, which may have moved
STATE: dict[str, Any] = {"state": "done", "step": 0, "updates": 0, "attempt": 0, "started": None, "updated": None, "host": ""}
STATE |= {"job": None, "message": ""}
# Defaults of a row. What a format does not say is unknown, not zero.
ROW: dict[str, Any] = {
    "split": "train",
    "step": None,
    "frames": None,
    "noise": "clean",
    "policy": "unknown",
    "episode": None,
    "seed": None,
}
ROW |= {"return": None, "length": None}


class Stage:
    """A temporary folder beside `out`. Leaving the context removes it."""

    def __init__(self, out: Path):
        self._out = out
        self._sources: dict[Path, str] = {}  # directory below `out` -> where its run comes from
        self._existing: set[Path] = set()  # directories that were there before
        self._digests: dict[str, str] = {}

    def __enter__(self) -> Stage:
        parent = self._out.absolute().parent
        self._new_parents = [folder for folder in (parent, *parent.parents) if not folder.exists()]
        try:
            parent.mkdir(parents=True, exist_ok=True)
            prefix = f".{self._out.name}.importing-"
            self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as error:
            raise BadInput(f"Cannot write {self._out}: {error.strerror}") from None
        mask = os.umask(0o077)  # the only way to read it is to set it
        os.umask(mask)
        self._folder.chmod(0o777 & ~mask)  # mkdtemp's own mode is private, and the folder may become `out`
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        for folder in self._new_parents if error else ():
            with contextlib.suppress(OSError):  # somebody else has put something there meanwhile
                folder.rmdir()

    def add(self, run: ImportedRun, format_name: str) -> tuple[str, bool]:
        """Write a run. Returns its directory below `out`, and whether it is new. BadInput if another run has the directory."""
        where = f"{run.file}, {run.where}"
        place = Path(check_name(run.config["study"].replace("/", "-"), "the benchmark", where))
        place /= check_name(run.directory, "the run", where)
        for what, label in (("task", run.names.task), ("method", run.names.method), ("seed", run.names.seed)):
            check_label(label, f"the {what}", where)
        below(self._out, place, "the run", where)
        if first_source := self._sources.get(place):
            raise BadInput(
                f"{run.file}, {run.where}: a second run of {run}; the first: {first_source}. "
                "Runs of one task and method differ in their seed or their benchmark (--benchmark)."
            )
        folder = self._folder / place
        try:
            folder.mkdir(parents=True)
            self._write(folder, run, format_name)
        except OSError as error:
            raise BadInput(f"Cannot write {folder}: {error.strerror}") from None
        self._sources[place] = f"{run.file}, {run.where}"
        if (self._out / place).exists():
            self._compare(place, folder, run)
            shutil.rmtree(folder)
            self._existing.add(place)
        return place.as_posix(), place not in self._existing

    def commit(self) -> None:
        """Move the new runs to their directories. The first import is one rename."""
        new = [place for place in self._sources if place not in self._existing]
        try:
            if not self._out.exists():
                self._folder.rename(self._out)
                return
            for place in new:
                (self._out / place).parent.mkdir(parents=True, exist_ok=True)
                (self._folder / place).rename(self._out / place)
        except OSError as error:
            raise BadInput(f"Cannot write {self._out}: {error.strerror}") from None

    def _write(self, folder: Path, run: ImportedRun, format_name: str) -> None:
        steps = [step for step in run.column("step", 0) if step is not None]
        state = STATE | {"step": max(steps, default=0)} | run.state
        source = {"format": format_name, "file": run.file.name, "sha256": self._digest(run.file), "where": run.where}
        for name, content in (("config", run.config), ("provenance", {"imported": source}), ("state", state)):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "episodes.jsonl").write_text("".join(_json_lines(run)))
        if state["state"] == "done":
            (folder / "done").touch()

    def _compare(self, place: Path, folder: Path, run: ImportedRun) -> None:
        for name in COMPARED:
            existing = self._out / place / name
            if not existing.exists() or existing.read_bytes() != (folder / name).read_bytes():
                raise BadInput(
                    f"{run.file}, {run.where}: {self._out / place} is there with another {name}. "
                    "Nothing was imported; delete that directory, or import to another --out or --benchmark."
                )

    def _digest(self, file: Path) -> str:
        if str(file) not in self._digests:
            with open(file, "rb") as stored:
                self._digests = {str(file): hashlib.file_digest(stored, "sha256").hexdigest()}
        return self._digests[str(file)]


def _json_lines(run: ImportedRun) -> list[str]:
    """The rows as JSON lines.

    For speed a whole column is encoded at once and split at line breaks, which no JSON text contains; a constant is encoded
    once.
    """
    columns = ROW | {"episode": list(range(len(run.rows["return"])))} | run.rows
    fields: list[str] = []
    texts: list[list[str]] = []
    for name, value in columns.items():
        text = json.dumps(value, separators=("\n", ":"), allow_nan=False)
        if isinstance(value, list):
            texts.append(text[1:-1].split("\n"))
            text = "%s"
        else:
            text = text.replace("%", "%%")
        fields.append(json.dumps(name).replace("%", "%%") + ": " + text)
    pattern = "{" + ", ".join(fields) + "}\n"
    return [pattern % row for row in zip(*texts, strict=True)] if run.rows["return"] else []
