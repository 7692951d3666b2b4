"""Disk use of runs, and what of it can be deleted: checkpoints of finished runs, and caches that are made again by need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import claim, local_queue
from harness.rundir import RunDir

CACHE = ".cache"  # of `results.reading.cache`, in a folder of runs


@dataclass(frozen=True)
class Removable:
    """A folder that nothing needs to show results. kind: `checkpoint` of a finished run, `cache` or `record`."""

    kind: str
    path: Path
    size: int


def disk_use(folder: Path) -> tuple[int, int]:
    """(bytes of all files below a folder, bytes of those that are in checkpoints)."""
    total = checkpoints = 0
    for root, _, files in os.walk(folder):
        size = sum(_size(os.path.join(root, name)) for name in files)
        total += size
        checkpoints += size if "checkpoint" in Path(root).relative_to(folder).parts else 0
    return total, checkpoints


def find_removable(runs: Iterable[RunDir], roots: Iterable[Path]) -> list[Removable]:
    """What `clean` may delete: of runs that are done and that nobody works at, and below the roots."""
    removable = []
    studies = set()
    for run in runs:
        studies.add(run.path.parent)
        folder = run.path / "checkpoint"
        if run.done and folder.is_dir() and not folder.is_symlink() and not _is_at_work(run):
            removable.append(Removable("checkpoint", folder, disk_use(folder)[0]))
    for folder in sorted({*studies, *roots}):
        if (folder / CACHE).is_dir():
            removable.append(Removable("cache", folder / CACHE, disk_use(folder / CACHE)[0]))
    for study in sorted(studies):
        for pool in local_queue.read_pools(study):
            if not pool.at_work and all(RunDir(study / name).done for name in pool.runs):
                removable.append(Removable("record", pool.folder, disk_use(pool.folder)[0]))
    return removable


def remove(removable: Iterable[Removable]) -> None:
    for item in removable:
        shutil.rmtree(item.path)


def size_text(size: float) -> str:
    """`512 B`, `3.1 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # deleted meanwhile
        return 0


def _is_at_work(run: RunDir) -> bool:
    path = run.path / "claim"
    holder = claim.read_owner(path)
    return holder is not None and not claim.is_dead(holder, claim.beat_age(path))
