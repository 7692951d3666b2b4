"""Writes a row per finished episode, and the means of the metrics per log interval."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np

from agents.protocol import Arrays
from harness.rundir import Log

MAX_SKIPPED = 100  # updates in a row without a finite loss and gradient: no run recovers from that
MAX_LOSS = 1e8  # mean total loss over a log interval; reconstructing a 210x160x3 frame costs at most 1e5


class Recorder:
    """Rows for episodes.jsonl and metrics.jsonl. Metrics stay as the agent returned them until a row is due.

    `labels` stand in every episode row (task, noise, policy). `repeat` turns policy steps into frames. `every`: policy steps
    between two rows of metrics.
    """

    def __init__(self, episodes: Log, metrics: Log, *, labels: Mapping[str, str], repeat: int, every: int):
        self._episodes, self._metrics = episodes, metrics
        self._labels, self._repeat, self._every = dict(labels), repeat, every
        self._pending: list[Mapping[str, SupportsFloat]] = []  # metrics of the updates since the last row
        self._returns: list[float] = []  # of the training episodes since the last row
        self._start_time, self._earlier_seconds = time.monotonic(), 0.0
        self._last_logged_step = 0
        self.last_return: float | None = None
        self.last_metrics: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Wall-clock time of all attempts at this run so far."""
        return round(self._earlier_seconds + time.monotonic() - self._start_time, 3)

    def add_episode(self, row: Mapping[str, Any], *, step: int, updates: int, split: str = "train", **labels: str) -> None:
        """Write the row of an episode. Its `seconds` is wall-clock time; every other field is a function of the config."""
        head = {"split": split, "step": step, "frames": step * self._repeat, "updates": updates}
        self._episodes.add({**head, **self._labels, **labels, **row, "seconds": self.seconds})
        if split == "train":
            self.last_return = row["return"]
            self._returns.append(row["return"])

    def add_metrics(self, metrics: Mapping[str, SupportsFloat]) -> None:
        """Take the metrics of one update into the next row."""
        self._pending.append(metrics)

    def log_metrics(self, step: int, updates: int, extra: Mapping[str, float], *, at_end: bool = False) -> None:
        """Write a row of metrics where one is due (every `every` steps, and at the end): means since the last row."""
        if step < self._last_logged_step + self._every and not at_end:
            return
        if step == self._last_logged_step:
            return
        self._last_logged_step = step
        self.last_metrics = _means(self._pending_floats()) | dict(extra)
        if self._returns:
            self.last_metrics["train/return"] = float(np.mean(self._returns))
        self._pending, self._returns = [], []
        self._metrics.add({"step": step, "updates": updates, "seconds": self.seconds, **_to_json(self.last_metrics)})

    def divergence(self) -> str | None:
        """Why this run will not recover, or None. Reads the newest update's counters, which may wait for the device."""
        newest = self._pending[-1] if self._pending else self.last_metrics
        skipped = float(newest.get("optimizer/skipped_in_a_row", 0))
        if skipped >= MAX_SKIPPED:
            return f"{skipped:.0f} updates in a row had a loss or gradient that is not finite"
        if self.last_metrics.get("loss/total", 0.0) > MAX_LOSS:
            return f"the mean loss of the last log interval was {self.last_metrics['loss/total']:.3g}, above {MAX_LOSS:.0e}"
        return None

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and a JSON dict for `load`. The logs are flushed to the disk first, because the offsets rely on that."""
        self._episodes.sync()
        self._metrics.sync()
        pending = self._pending_floats()
        keys = pending[-1] if pending else ()
        arrays = {f"pending/{key}": np.array([metrics.get(key, math.nan) for metrics in pending]) for key in keys}
        meta = {
            "episodes": self._episodes.offset,
            "metrics": self._metrics.offset,
            "logged": self._last_logged_step,
            "returns": self._returns,
            "last_return": self.last_return,
            "seconds": self.seconds,
        }
        return arrays, meta

    def load(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Inverse of `state`: also cuts the logs back to where they were. RunFailed where they lost rows since."""
        self._episodes.cut(meta["episodes"])
        self._metrics.cut(meta["metrics"])
        self._last_logged_step, self._returns = meta["logged"], list(meta["returns"])
        self.last_return = meta["last_return"]
        self._start_time, self._earlier_seconds = time.monotonic(), meta["seconds"]
        columns = {key.removeprefix("pending/"): column for key, column in arrays.items()}
        count = len(next(iter(columns.values()), ()))
        self._pending = [{key: float(column[i]) for key, column in columns.items()} for i in range(count)]

    def reset(self) -> None:
        """Start at step 0 with empty logs, whatever an attempt without a checkpoint left in them."""
        self.load({}, {"episodes": 0, "metrics": 0, "logged": 0, "returns": [], "last_return": None, "seconds": 0.0})

    def _pending_floats(self) -> list[dict[str, float]]:
        """The pending metrics as numbers. Converting them may wait for the device, so it is done once."""
        floats = [{key: float(value) for key, value in metrics.items()} for metrics in self._pending]
        self._pending = list(floats)
        return floats


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows if key in row])) for key in (rows[-1] if rows else ())}


def _to_json(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: a value that is not finite is written as null."""
    return {key: float(f"{value:.7g}") if math.isfinite(value) else None for key, value in metrics.items()}
