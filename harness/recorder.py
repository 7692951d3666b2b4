"""What a run writes down: a row per finished episode, and the means of its metrics per log interval."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.protocol import Arrays
from harness.rundir import Log

LOST = 100  # updates in a row without a finite loss and gradient: no run comes back from that
EXPLODED = 1e8  # mean total loss over a log interval; reconstructing a 210x160x3 frame costs at most 1e5


class Recorder:
    """Rows for episodes.jsonl and metrics.jsonl. Metrics are kept as the agent gave them until a row is due.

    `labels` stand in every episode row (task, noise, policy); `repeat` turns policy steps into frames; `seconds` is the
    wall-clock time of earlier attempts.
    """

    def __init__(self, episodes: Log, metrics: Log, *, labels: Mapping[str, Any], repeat: int, every: int):
        self._episodes, self._metrics = episodes, metrics
        self._labels, self._repeat, self._every = dict(labels), repeat, every
        self._pending: list[Mapping[str, Any]] = []
        self._returns: list[float] = []
        self._begun, self._earlier = time.monotonic(), 0.0
        self._logged = 0
        self.last_return: float | None = None
        self.last_metrics: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        return round(self._earlier + time.monotonic() - self._begun, 3)

    def episode(self, row: Mapping[str, Any], *, step: int, updates: int, split: str = "train", **labels: Any) -> None:
        """`seconds` is the wall-clock time since the run's first start; every other field is a function of the config."""
        head = {"split": split, "step": step, "frames": step * self._repeat, "updates": updates}
        self._episodes.add({**head, **self._labels, **labels, **row, "seconds": self.seconds})
        if split == "train":
            self.last_return = row["return"]
            self._returns.append(row["return"])

    def update(self, metrics: Mapping[str, Any]) -> None:
        self._pending.append(metrics)

    def log(self, step: int, updates: int, extra: Mapping[str, float], *, final: bool = False) -> None:
        """Write a row where one is due (every `every` steps, and at the end): means over the updates since the last."""
        if step < self._logged + self._every and not final:
            return
        if step == self._logged:
            return
        self._logged = step
        self.last_metrics = _means(self._settle()) | dict(extra)
        if self._returns:
            self.last_metrics["train/return"] = float(np.mean(self._returns))
        self._pending, self._returns = [], []
        self._metrics.add({"step": step, "updates": updates, "seconds": self.seconds, **_jsonable(self.last_metrics)})

    def diverged(self) -> str | None:
        """Why this run will not recover, or None. Reads the newest update's counters (this may wait for the device)."""
        newest = self._pending[-1] if self._pending else self.last_metrics
        skipped = float(newest.get("optimizer/skipped_in_a_row", 0))
        if skipped >= LOST:
            return f"{skipped:.0f} updates in a row had a loss or gradient that is not finite"
        if self.last_metrics.get("loss/total", 0.0) > EXPLODED:
            return f"the mean loss of the last log interval was {self.last_metrics['loss/total']:.3g}, above {EXPLODED:.0e}"
        return None

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and a JSON dict. Offsets count on the files being on disk, so they are synced first."""
        self._episodes.sync()
        self._metrics.sync()
        settled = self._settle()
        arrays = {f"pending/{k}": np.array([m.get(k, math.nan) for m in settled]) for k in (settled[-1] if settled else ())}
        meta = {
            "episodes": self._episodes.offset,
            "metrics": self._metrics.offset,
            "logged": self._logged,
            "returns": self._returns,
            "last_return": self.last_return,
            "seconds": self.seconds,
        }
        return arrays, meta

    def load(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        self._episodes.cut(meta["episodes"])
        self._metrics.cut(meta["metrics"])
        self._logged, self._returns, self.last_return = meta["logged"], list(meta["returns"]), meta["last_return"]
        self._begun, self._earlier = time.monotonic(), meta["seconds"]
        columns = {k.removeprefix("pending/"): v for k, v in arrays.items()}
        count = len(next(iter(columns.values()), ()))
        self._pending = [{k: float(v[i]) for k, v in columns.items()} for i in range(count)]

    def _settle(self) -> list[dict[str, float]]:
        self._pending = [{k: float(v) for k, v in m.items()} for m in self._pending]
        return self._pending


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows if key in row])) for key in (rows[-1] if rows else ())}


def _jsonable(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: a value that is not finite is written as null."""
    return {k: float(f"{v:.7g}") if math.isfinite(v) else None for k, v in metrics.items()}
