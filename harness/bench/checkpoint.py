"""Checkpoints of a run with a large replay: seconds and bytes of one more, beside the time to write only as many bytes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness import arrays as array_files
from harness import checkpoint
from harness.bench import Options, Row
from harness.bench.replay import add_steps, filled_replay
from harness.bench.train import BATCH, SPECS, make_agent, random_batch
from harness.errors import RunFailed
from harness.replay import Replay

OPTIONS = ("size", "obs", "steps")
COLUMNS = {
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
    replay, _ = filled_replay(options)
    agent, rng = make_agent(options), np.random.default_rng(1)
    steps, state = random_batch(agent, SPECS[options.obs], rng), agent.state()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as name:
        folder = Path(name, "checkpoint")
        for number, updates in enumerate(UPDATES):
            add_steps(replay, steps, STEPS_PER_UPDATE * updates)
            for _ in range(updates):
                sampled, items = replay.sample(BATCH, rng)
                replay.refresh(items, {key: sampled[key][:, 1:] for key in agent.extra_spaces})
            files_before = _list_files(folder)
            start = time.perf_counter()
            checkpoint.save(folder, step=number, meta={}, arrays={"agent": state}, replay=replay)
            seconds = time.perf_counter() - start
            written = sum(size for key, size in _list_files(folder).items() if key not in files_before)
            row: Row = {"subject": "checkpoint", "size": options.size, "obs": options.obs, "steps": options.steps}
            row |= {
                "occasion": f"{updates} updates later" if updates else "the first",
                "seconds": seconds,
                "written_bytes": written,
            }
            floor = _write_seconds(Path(name, "floor"), written)
            yield row | {"floor_seconds": floor, "disk_bytes": sum(_list_files(folder).values())}
        seconds = _load_seconds(folder, replay)
        yield row | {"occasion": "loading", "seconds": seconds, "written_bytes": 0, "floor_seconds": 0.0}


def _load_seconds(folder: Path, replay: Replay) -> float:
    """Seconds to verify the newest checkpoint, to read it and to fill a replay from it."""
    start = time.perf_counter()
    checkpoint._verified.clear()
    saved = checkpoint.load(folder)
    if saved is None:
        raise RunFailed(f"No checkpoint in {folder}, where one was written a moment ago.")
    saved.restore_replay(replay)
    return time.perf_counter() - start


def _list_files(folder: Path) -> dict[tuple[int, int], int]:
    """Every file below, by inode and time of its last change -> bytes."""
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {(stat.st_ino, stat.st_mtime_ns): stat.st_size for stat in stats}


def _write_seconds(path: Path, size: int) -> float:
    """Seconds to write `size` bytes at once and to flush them to the disk."""
    content = np.zeros(size, np.uint8)
    content[:: os.sysconf("SC_PAGE_SIZE")] = 1
    start = time.perf_counter()
    array_files.write_bytes(path, content.data)
    path.unlink()
    return time.perf_counter() - start
