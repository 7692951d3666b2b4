"""Checkpoints of a run whose replay is large: seconds and bytes of one more, beside writing as many bytes and no more."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness import arrays as files
from harness import checkpoint
from harness.bench import Options, Row
from harness.bench.replay import add, filled
from harness.bench.train import BATCH, SPECS, batch, make

TAKES = ("size", "obs", "steps")
TABLE = {
    "size": "size",
    "input": "obs",
    "steps": "steps",
    "what": "occasion",
    "s": "seconds",
    "bytes written": "written_bytes",
    "writing as much, s": "floor_seconds",
    "bytes on disk": "disk_bytes",
    "other work": "other_cores",
}
CASES = ({"size": "12m", "steps": 100_000},)
UPDATES = (0, 4, 4, 100, 100)  # between two checkpoints: of a slow machine, of a fast one
STEPS_PER_UPDATE = 4  # Atari 100k's train ratio of 256


def measure(options: Options) -> Iterator[Row]:
    replay, _ = filled(options)
    agent, rng = make(options), np.random.default_rng(1)
    steps, state = batch(agent, SPECS[options.obs], rng), agent.state()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as name:
        folder = Path(name, "checkpoint")
        for number, updates in enumerate(UPDATES):
            add(replay, steps, STEPS_PER_UPDATE * updates)
            for _ in range(updates):
                sampled, items = replay.sample(BATCH, rng)
                replay.refresh(items, {key: sampled[key][:, 1:] for key in agent.extra_spaces})
            before = _files(folder)
            begun = time.perf_counter()
            checkpoint.save(folder, step=number, meta={}, arrays={"agent": state}, replay=replay)
            seconds = time.perf_counter() - begun
            written = sum(size for key, size in _files(folder).items() if key not in before)
            row: Row = {"subject": "checkpoint", "size": options.size, "obs": options.obs, "steps": options.steps}
            row |= {
                "occasion": f"{updates} updates later" if updates else "the first",
                "seconds": seconds,
                "written_bytes": written,
            }
            floor = _write(Path(name, "floor"), written)
            yield row | {"floor_seconds": floor, "disk_bytes": sum(_files(folder).values())}
        begun = time.perf_counter()
        checkpoint._verified.clear()
        found = checkpoint.load(folder)
        found.restore_replay(replay)
        yield row | {"occasion": "loading", "seconds": time.perf_counter() - begun, "written_bytes": 0, "floor_seconds": 0.0}


def _files(folder: Path) -> dict[tuple[int, int], int]:
    """Every file below, by inode and time of its last change -> bytes."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {(stat.st_ino, stat.st_mtime_ns): stat.st_size for stat in found}


def _write(path: Path, size: int) -> float:
    """Seconds to write `size` bytes in one go and to wait for the disk."""
    content = np.zeros(size, np.uint8)
    content[:: os.sysconf("SC_PAGE_SIZE")] = 1
    begun = time.perf_counter()
    files.write_bytes(path, content.data)
    path.unlink()
    return time.perf_counter() - begun
