"""Checkpoints: whole or not at all, verified when read, the previous one kept until the next is complete.

checkpoint/step-000001234/      manifest.json, one file per group of arrays, what moves of the replay; at most two
checkpoint/replay/              what never changes of the replay: written once, shared by the checkpoints that name it
checkpoint/step-....tmp/        on its way in or out, and removed by the next save
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocol import Arrays
from harness import arrays as files
from harness.errors import BadInput, RunFailed
from harness.replay import Replay

FORMAT = 1
_NAME = re.compile(r"step-(\d{9,})(?:\.(\d+))?")
_FULL = {errno.ENOSPC, errno.EDQUOT}

_trusted: set[Path] = set()  # checkpoints that this process has written or verified


@dataclass(frozen=True)
class Checkpoint:
    """One verified checkpoint. `warning` is a sentence for the user where a newer one had to be passed over."""

    path: Path
    step: int
    meta: dict[str, Any]
    arrays: dict[str, Arrays]
    warning: str | None = None

    @property
    def shared(self) -> Path:
        """The folder of what checkpoints share."""
        return _shared(self.path.parent)

    @property
    def has_replay(self) -> bool:
        """False for the model of a finished run, which is kept without it."""
        return (self.path / "replay.json").is_file()

    def restore_replay(self, replay: Replay) -> None:
        """Fill a new replay, bit for bit. BadInput where its declaration differs or none was saved."""
        if not self.has_replay:
            raise BadInput(f"The checkpoint {self.path} holds no replay.")
        replay.load(self.path, self.shared)


def save(folder: Path, *, step: int, meta: dict[str, Any], arrays: Mapping[str, Arrays], replay: Replay | None = None) -> Path:
    """Write a checkpoint -> its path. When this returns it is on the disk; until then the one before is untouched.

    `meta`: counters and names, as JSON (tuples come back as lists). `arrays`: one file per group ("agent", "loop").
    Raises RunFailed where the disk is full or refuses; nothing half-written then stays.
    """
    if "replay" in arrays:
        raise ValueError("the group name 'replay' is taken by the replay itself")
    folder, shared = Path(folder), _shared(Path(folder))
    path = _free_name(folder, step)
    temporary = path.with_name(path.name + ".tmp")
    try:
        shared.mkdir(parents=True, exist_ok=True)
        _clean(folder)
        temporary.mkdir()
        _write(temporary, shared, step, meta, arrays, replay)
        os.rename(temporary, path)
        _sync(folder)
    except BaseException as error:
        # Remove what was written first: on a full disk that is the space that other writers of the run now need.
        shutil.rmtree(temporary, ignore_errors=True)
        _collect_garbage(folder)
        if isinstance(error, OSError):
            raise RunFailed(_refused(error, folder, step, _bytes(shared, arrays, replay))) from error
        raise
    _trusted.add(path)
    _keep_two(folder, path)
    return path


def load(folder: Path, *, replay: bool = True) -> Checkpoint | None:
    """The newest checkpoint whose files are all as its manifest says; None where there is none at all.

    Without `replay` its files are not verified: enough for evaluation, which needs the weights only.
    Raises RunFailed where there are checkpoints but none can be used; BadInput for one of another format version.
    """
    folder, problems = Path(folder), []
    for path in _complete(folder):
        problem, manifest = _verify(path, replay=replay)
        if problem is None:
            groups = {name: files.read(path / f"{name}.safetensors") for name in manifest["groups"]}
            _trusted.update([path] if replay else [])
            return Checkpoint(path, manifest["step"], manifest["meta"], groups, _warning(problems, path))
        if not path.is_dir():  # a run that is still going has removed it meanwhile, and has a newer one
            return load(folder, replay=replay)
        _trusted.discard(path)
        problems.append(f"{path.name} ({problem})")
    if problems:
        raise RunFailed(
            f"No checkpoint in {folder} can be used: {'; '.join(problems)}. Restore the folder from a copy, or remove "
            "it to start this run again from step 0."
        )
    return None


# Writing


def _write(
    path: Path, shared: Path, step: int, meta: dict[str, Any], arrays: Mapping[str, Arrays], replay: Replay | None
) -> None:
    sums = {f"{name}.safetensors": files.write(path / f"{name}.safetensors", group) for name, group in arrays.items()}
    if replay is not None:
        sums |= {os.path.relpath(file, path): total for file, total in replay.save(path, shared).items()}
        _sync(shared)
    body = {"step": int(step), "meta": meta, "groups": list(arrays), "files": sums}
    body = json.loads(json.dumps(body))  # as it will be read: the checksum is over that
    manifest = {"format": FORMAT, "crc32": _crc(body), **body}
    files.write_bytes(path / "manifest.json", json.dumps(manifest, indent=1).encode())
    _sync(path)


def _keep_two(folder: Path, newest: Path) -> None:
    """Keep the new checkpoint and the last good one before it; what else there is belongs to an abandoned attempt."""
    older = [path for path in _complete(folder) if _order(path) < _order(newest)]
    previous = next((path for path in older if path in _trusted or _verify(path)[0] is None), None)
    for path in _complete(folder):
        if path not in (newest, previous):
            _trusted.discard(path)
            os.rename(path, path.with_name(path.name + ".tmp"))
    _clean(folder)
    _collect_garbage(folder)


def _clean(folder: Path) -> None:
    for path in folder.glob("step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _collect_garbage(folder: Path) -> None:
    """Remove shared files that no checkpoint names; all of them stay where a manifest cannot be read."""
    try:
        named = {file for path in _complete(folder) for file in _manifest(path)["files"]}
    except (OSError, ValueError, BadInput):
        return
    for path in _shared(folder).glob("*"):
        if f"../replay/{path.name}" not in named:
            path.unlink(missing_ok=True)


def _free_name(folder: Path, step: int) -> Path:
    """`step-000001234`, and a number where a run is saved twice at one step: neither may replace the other."""
    taken = [_order(path) for path in _complete(folder)]
    again = max((number for at, number in taken if at == step), default=-1) + 1
    return folder / (f"step-{step:09d}" + (f".{again}" if again else ""))


def _bytes(shared: Path, arrays: Mapping[str, Arrays], replay: Replay | None) -> int:
    total = sum(np.asarray(array).nbytes for group in arrays.values() for array in group.values())
    return total + (replay.pending(shared) if replay is not None else 0)


def _refused(error: OSError, folder: Path, step: int, needed: int) -> str:
    complete = _complete(folder)
    kept = f"the last good one is {complete[0].name}" if complete else "there is no earlier one"
    what = f"The checkpoint of step {step} could not be written to {folder}: {error.strerror or error}"
    if error.errno not in _FULL:
        return f"{what}. Nothing half-written stays; {kept}. Mend this and run the same command again."
    free = shutil.disk_usage(next(place for place in [folder, *folder.absolute().parents] if place.is_dir())).free
    return (
        f"{what}; it needs {needed:,} bytes and {free:,} are free there (a quota may allow less). Nothing half-written "
        f"stays; {kept}. Free space and run the same command again."
    )


# Reading


def _verify(path: Path, *, replay: bool = True) -> tuple[str | None, dict[str, Any]]:
    """(What is wrong with a checkpoint, or None; its manifest). BadInput where it has another format version."""
    try:
        manifest = _manifest(path)
    except (OSError, ValueError) as error:
        return f"manifest.json: {getattr(error, 'strerror', None) or error}", {}
    wanted = {f"{name}.safetensors" for name in manifest["groups"]}
    for name, total in manifest["files"].items():
        if not replay and name not in wanted:
            continue
        try:
            found = files.checksum(path / name)
        except OSError as error:
            return f"{name}: {error.strerror}", manifest
        if found != files.Sum(*total):
            return f"{name}: {_difference(found, files.Sum(*total))}", manifest
    return None, manifest


def _difference(found: files.Sum, wanted: files.Sum) -> str:
    if found.size != wanted.size:
        return f"{found.size:,} bytes instead of {wanted.size:,}"
    return "content differs from its checksum"


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest, itself verified. `format` and `crc32` (over the other entries) mean the same in every version."""
    manifest = json.loads((path / "manifest.json").read_text())
    if not isinstance(manifest, dict) or not {"format", "crc32"} <= manifest.keys():
        raise ValueError("not a manifest")
    version, crc = manifest.pop("format"), manifest.pop("crc32")
    if crc != _crc(manifest):
        raise ValueError("content differs from its checksum")
    if version != FORMAT:
        raise BadInput(
            f"The checkpoint {path} has format version {version}, this program reads version {FORMAT}: use the program "
            "version that wrote it (provenance.json names it), or remove the checkpoints to start the run again."
        )
    return manifest


def _crc(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _warning(problems: list[str], used: Path) -> str | None:
    if not problems:
        return None
    return f"Damaged checkpoint passed over: {'; '.join(problems)}; continuing from {used.name} instead."


# Names and folders


def _shared(folder: Path) -> Path:
    return folder / "replay"


def _order(path: Path) -> tuple[int, int]:
    match = _NAME.fullmatch(path.name)
    return int(match[1]), int(match[2] or 0)


def _complete(folder: Path) -> list[Path]:
    """The checkpoints in their final place, newest first."""
    return sorted((path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)), key=_order, reverse=True)


def _sync(folder: Path) -> None:
    """Make renames and new names in a folder durable; where the system has no such call for folders, it needs none."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
