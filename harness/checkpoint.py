"""Checkpoints: written whole or not at all, verified when read. The previous one stays until the next is complete.

checkpoint/step-000001234/      manifest.json, one file per group of arrays, the unfinished part of the replay; at most two
checkpoint/replay/              the parts of the replay that are written once; several checkpoints share them
checkpoint/step-....tmp/        a checkpoint that is being written or removed; the next save deletes it
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
from harness import arrays as array_files
from harness.arrays import Checksum
from harness.errors import BadInput, RunFailed
from harness.names import below
from harness.replay import Replay

FORMAT = 1
_NAME = re.compile(r"step-(\d{9,})(?:\.(\d+))?")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}

_verified: set[Path] = set()  # checkpoints that this process has written or verified


@dataclass(frozen=True)
class Checkpoint:
    """One verified checkpoint. `warning`: a sentence for the user where a newer checkpoint is damaged and was skipped."""

    path: Path
    step: int
    meta: dict[str, Any]
    arrays: dict[str, Arrays]
    warning: str | None = None

    @property
    def shared_folder(self) -> Path:
        """The folder of the replay's files that checkpoints share."""
        return _shared_folder(self.path.parent)

    @property
    def has_replay(self) -> bool:
        """False for a run that has finished training: its model is stored without the replay."""
        return (self.path / "replay.json").is_file()

    def restore_replay(self, replay: Replay) -> None:
        """Fill a new replay, bit for bit. BadInput where it is declared differently or the checkpoint holds no replay."""
        if not self.has_replay:
            raise BadInput(f"The checkpoint {self.path} holds no replay.")
        replay.load(self.path, self.shared_folder)


def save(folder: Path, *, step: int, meta: dict[str, Any], arrays: Mapping[str, Arrays], replay: Replay | None = None) -> Path:
    """Write a checkpoint -> its path. When this returns, it is on the disk; until then the previous one is untouched.

    `meta`: counters and names, as JSON (tuples come back as lists). `arrays`: one file per group ("agent", "loop").
    Raises RunFailed where the disk is full or refuses the write; nothing half-written stays then.
    """
    if "replay" in arrays:
        raise ValueError("a group of arrays cannot be named 'replay': that name is the replay's")
    folder, shared = Path(folder), _shared_folder(Path(folder))
    path = _free_path(folder, step)
    temporary = path.with_name(path.name + ".tmp")
    try:
        shared.mkdir(parents=True, exist_ok=True)
        _remove_temporary(folder)
        temporary.mkdir()
        _write_files(temporary, shared, step, meta, arrays, replay)
        os.rename(temporary, path)
        _sync(folder)
    except BaseException as error:
        # Remove the new files at once: on a full disk the other writers of the run need their space.
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_unreferenced(folder)
        if isinstance(error, OSError):
            size = _pending_bytes(shared, arrays, replay)
            raise RunFailed(_write_error(error, folder, step, size)) from error
        raise
    _verified.add(path)
    _remove_older(folder, path)
    return path


def load(folder: Path, *, replay: bool = True, run: str | None = None) -> Checkpoint | None:
    """The newest checkpoint whose files all match its manifest; None where there is no checkpoint.

    Without `replay` the replay's files are not verified. That is enough for evaluation, which needs the weights only.
    `run`: the digest of the run that must have written it. Manifests of earlier versions of dreamproof do not say.
    Raises RunFailed where there are checkpoints but none can be used; BadInput for one of another format version or run.
    """
    folder = Path(folder)
    problems: list[str] = []
    for path in _list_checkpoints(folder):
        problem, manifest = _verify(path, replay=replay)
        if problem is None:
            _check_run(manifest, path, run)
            groups = {name: array_files.read(path / f"{name}.safetensors") for name in manifest["groups"]}
            _verified.update([path] if replay else [])
            return Checkpoint(path, manifest["step"], manifest["meta"], groups, _warning(problems, path))
        if not path.is_dir():  # a running process has removed it meanwhile, and has a newer one
            return load(folder, replay=replay, run=run)
        _verified.discard(path)
        problems.append(f"{path.name} ({problem})")
    if problems:
        raise RunFailed(
            f"No checkpoint in {folder} can be used: {'; '.join(problems)}. Restore the folder from a copy, or remove "
            "it to start this run again from step 0."
        )
    return None


def load_trained(folder: Path, steps: int, run: str | None = None) -> Checkpoint:
    """The checkpoint of a run that has trained all its `steps`, without its replay. BadInput where it has not.

    `run`: as in `load`. Where the newest checkpoint is damaged and only an earlier one can be used, BadInput names both and
    says how to train the missing steps again.
    """
    saved = load(folder, replay=False, run=run)
    if saved is not None and saved.step < steps and saved.warning:
        raise BadInput(
            f"{folder.parent}: {saved.warning.partition(';')[0]}. The last good one is of step {saved.step} of {steps}. "
            f"Remove {folder.parent / 'done'} and run the same study or task again: it trains from there."
        )
    if saved is None or saved.step < steps:
        raise BadInput(f"{folder.parent} has not finished training: run it first.")
    return saved


def _check_run(manifest: dict[str, Any], path: Path, run: str | None) -> None:
    """BadInput where the checkpoint is another run's: its weights would pass for those of this one."""
    writer = manifest["meta"].get("run")
    if None not in (run, writer) and run != writer:
        raise BadInput(
            f"The checkpoint {path} was written by another run (its identity is {writer}, that of this run is {run}). "
            f"Put this run's own checkpoint back, or remove {path.parent} to train it again from step 0."
        )


# Writing


def _write_files(
    path: Path, shared: Path, step: int, meta: dict[str, Any], arrays: Mapping[str, Arrays], replay: Replay | None
) -> None:
    names = {f"{group}.safetensors": content for group, content in arrays.items()}
    checksums = {name: array_files.write(path / name, content) for name, content in names.items()}
    if replay is not None:
        checksums |= {os.path.relpath(file, path): checksum for file, checksum in replay.save(path, shared).items()}
        _sync(shared)
    body = {"step": int(step), "meta": meta, "groups": list(arrays), "files": checksums}
    body = json.loads(json.dumps(body))  # as a reader gets it: the manifest's checksum is computed over that
    manifest = {"format": FORMAT, "crc32": _crc(body), **body}
    array_files.write_bytes(path / "manifest.json", json.dumps(manifest, indent=1).encode())
    _sync(path)


def _remove_older(folder: Path, newest: Path) -> None:
    """Remove all checkpoints but the new one and the last good one before it; newer ones are of an abandoned attempt."""
    older = [path for path in _list_checkpoints(folder) if _step_and_count(path) < _step_and_count(newest)]
    previous = next((path for path in older if path in _verified or _verify(path)[0] is None), None)
    for path in _list_checkpoints(folder):
        if path not in (newest, previous):
            _verified.discard(path)
            os.rename(path, path.with_name(path.name + ".tmp"))
    _remove_temporary(folder)
    _remove_unreferenced(folder)


def _remove_temporary(folder: Path) -> None:
    for path in folder.glob("step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_unreferenced(folder: Path) -> None:
    """Remove shared files that no checkpoint refers to; all of them stay where a manifest cannot be read."""
    try:
        referenced = {file for path in _list_checkpoints(folder) for file in _read_manifest(path)["files"]}
    except (OSError, ValueError, BadInput):
        return
    for path in _shared_folder(folder).glob("*"):
        if f"../replay/{path.name}" not in referenced:
            path.unlink(missing_ok=True)


def _free_path(folder: Path, step: int) -> Path:
    """`step-000001234`, with a count where a run is saved twice at one step: neither may replace the other."""
    counts = [count for other_step, count in map(_step_and_count, _list_checkpoints(folder)) if other_step == step]
    count = max(counts, default=-1) + 1
    return folder / (f"step-{step:09d}" + (f".{count}" if count else ""))


def _pending_bytes(shared: Path, arrays: Mapping[str, Arrays], replay: Replay | None) -> int:
    total = sum(np.asarray(array).nbytes for group in arrays.values() for array in group.values())
    return total + (replay.pending_bytes(shared) if replay is not None else 0)


def _write_error(error: OSError, folder: Path, step: int, size: int) -> str:
    """What the user reads where the system refuses to write a checkpoint of `size` bytes."""
    checkpoints = _list_checkpoints(folder)
    last_good = f"the last good one is {checkpoints[0].name}" if checkpoints else "there is no earlier one"
    problem = f"The checkpoint of step {step} could not be written to {folder}: {error.strerror or error}"
    if error.errno not in _DISK_FULL:
        return f"{problem}. Nothing half-written stays; {last_good}. Correct this and run the same command again."
    free = shutil.disk_usage(next(path for path in [folder, *folder.absolute().parents] if path.is_dir())).free
    return (
        f"{problem}; it needs {size:,} bytes and {free:,} are free there (a quota may allow less). Nothing half-written "
        f"stays; {last_good}. Free space and run the same command again."
    )


# Reading


def _verify(path: Path, *, replay: bool = True) -> tuple[str | None, dict[str, Any]]:
    """(What is wrong with a checkpoint, or None; its manifest). BadInput for another format version."""
    try:
        manifest = _read_manifest(path)
    except (OSError, ValueError) as error:
        return f"manifest.json: {getattr(error, 'strerror', None) or error}", {}
    group_files = {f"{name}.safetensors" for name in manifest["groups"]}
    for name, entry in manifest["files"].items():
        if not replay and name not in group_files:
            continue
        expected = Checksum(*entry)
        try:
            actual = array_files.checksum(path / name)
        except OSError as error:
            return f"{name}: {error.strerror}", manifest
        if actual != expected:
            return f"{name}: {_difference(actual, expected)}", manifest
    return None, manifest


def _difference(actual: Checksum, expected: Checksum) -> str:
    if actual.size != expected.size:
        return f"{actual.size:,} bytes instead of {expected.size:,}"
    return "content differs from its checksum"


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, itself verified. `format` and `crc32` (over the other entries) mean the same in every version.

    Raises OSError, ValueError where it is damaged; BadInput for another format version.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except RecursionError:
        raise ValueError("not a manifest") from None
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
    shapes = {"step": int, "meta": dict, "groups": list, "files": dict}
    if any(type(manifest.get(name)) is not shape for name, shape in shapes.items()):
        raise ValueError("not a manifest")
    for name in manifest["files"]:
        below(path.parent, os.path.normpath(f"{path.name}/{name}"), "a file of the checkpoint", str(path / "manifest.json"))
    return manifest


def _crc(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _warning(problems: list[str], good: Path) -> str | None:
    if not problems:
        return None
    return f"Skipped a damaged checkpoint: {'; '.join(problems)}; continuing from {good.name} instead."


# Names and folders


def _shared_folder(folder: Path) -> Path:
    return folder / "replay"


def _step_and_count(path: Path) -> tuple[int, int]:
    """The step in a checkpoint's name, and its count among several of that step. ValueError for another name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not the name of a checkpoint")
    return int(match[1]), int(match[2] or 0)


def _list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints, newest first."""
    paths = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(paths, key=_step_and_count, reverse=True)


def _sync(folder: Path) -> None:
    """Flush renames and new names of a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
