"""Counts of an import: rows, nulls, repeated, short and empty runs, per file and in all. Nothing is dropped in silence."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from results.importers._run import ImportedRun

SHORT = 0.9  # a run is short that ends before this share of the furthest point of its task and method
MEANING = {
    "runs": "",
    "rows": "",
    "nulls": "rows without a return (a bin that holds no episode)",
    "repeated rows": "rows that stand twice in a run",
    "duplicates": "runs that equal another of the same task point by point, though not constant",
    "constant": "runs whose returns are all equal",
    "short": f"runs that end before {SHORT:.0%} of the furthest point of their task and method",
    "single-point": "runs with one return",
    "empty": "runs without any return",
    "renumbered seeds": "seed labels that are no number, stored as one",
}


class RunEnd(NamedTuple):
    """The last point with a return. group: benchmark, task and method."""

    file: str
    group: tuple[str, str, str]
    place: str
    frame: float


@dataclass
class ImportSummary:
    """Counts per file and in all.

    existing: runs that were there before, unchanged. affected: the runs behind the counts of duplicates, short runs, ...
    """

    format_name: str
    runs: int = 0
    existing: int = 0
    files: dict[str, Counter[str]] = field(default_factory=dict)
    affected: dict[str, list[str]] = field(default_factory=dict)
    _first_place: dict[str, str] = field(default_factory=dict)  # hash of a run's points -> the first run with them
    _ends: list[RunEnd] = field(default_factory=list)

    def add(self, run: ImportedRun, place: str, is_new: bool) -> None:
        """Count a run whose directory is `place`."""
        file, names = str(run.file), run.names
        returns, frames = run.rows["return"], run.rows["frames"]
        points = [(frame, value) for frame, value in zip(frames, returns, strict=True) if value is not None]
        different_returns = len({value for _, value in points})
        self.runs += 1
        self.existing += not is_new
        counts = self.files.setdefault(file, Counter())
        counts.update({"runs": 1, "rows": len(returns), "nulls": len(returns) - len(points)})
        counts.update(run.notes)
        self._count_repeats(run, counts)
        for name, applies in (
            ("empty", not points),
            ("single-point", len(points) == 1),
            ("constant", len(points) > 1 and different_returns == 1),
            ("renumbered seeds", run.config["seed"] != _decimal(names.seed)),
        ):
            if applies:
                self._count(name, file, place)
        if different_returns > 1:  # a game in which every score is 0 has no copies
            self._count_duplicate(run, file, place)
        if points:
            last = max(frame for frame, _ in points)
            self._ends.append(RunEnd(file, (names.benchmark, names.task, names.method), place, last))

    def close(self) -> ImportSummary:
        """Count the short runs, once all runs are added: only then the furthest point of a group is known."""
        furthest: dict[tuple[str, str, str], float] = {}
        for end in self._ends:
            furthest[end.group] = max(end.frame, furthest.get(end.group, 0))
        for end in self._ends:
            if end.frame < SHORT * furthest[end.group]:
                self._count("short", end.file, f"{end.place}: ends at {end.frame:g} of {furthest[end.group]:g}")
        self._ends.clear()
        return self

    @property
    def total(self) -> Counter[str]:
        return sum(self.files.values(), Counter())

    def to_json(self) -> dict[str, Any]:
        """As plain data: every count of every file, zeros too, and all names."""
        keys = [*MEANING, *sorted(set(self.total) - set(MEANING))]
        files = [{"file": file} | {key: counts[key] for key in keys} for file, counts in self.files.items()]
        total = {key: self.total[key] for key in keys}
        new = self.runs - self.existing
        return {"format": self.format_name, "new": new, "known": self.existing, "total": total} | {
            "files": files,
            "named": self.affected,
        }

    def to_text(self, out: str) -> str:
        """One line per file, one in all, and one per kind of unusual run."""
        lines = [f"{file}: {_counts_to_text(counts)}" for file, counts in self.files.items()]
        if len(lines) > 20:
            lines = [*lines[:20], f"... and {len(lines) - 20} more files (--json lists all)"]
        lines.append(f"in all: {_counts_to_text(self.total)}")
        for name, runs in self.affected.items():
            first = "; ".join(runs[:5]) + (f"; ... ({len(runs)} in all)" if len(runs) > 5 else "")
            lines.append(f"{name} = {MEANING[name]}: {first}")
        new = self.runs - self.existing
        last = f"{new} new runs in {out}" if new else "Nothing new"
        return "\n".join([*lines, last + (f"; {self.existing} were there already, unchanged" if self.existing else "") + "."])

    def _count_repeats(self, run: ImportedRun, counts: Counter[str]) -> None:
        varying = [value for name, value in run.rows.items() if isinstance(value, list) and name != "episode"]
        rows = list(zip(*varying, strict=True))
        if repeated := len(rows) - len(set(rows)):
            counts["repeated rows"] += repeated

    def _count_duplicate(self, run: ImportedRun, file: str, place: str) -> None:
        """Two runs of a task with the same points are copies."""
        points = json.dumps([run.names.task, run.rows["frames"], run.rows["return"]])
        first = self._first_place.setdefault(hashlib.sha256(points.encode()).hexdigest(), place)
        if first != place:
            self._count("duplicates", file, f"{place} = {first}")

    def _count(self, kind: str, file: str, run: str) -> None:
        self.files[file][kind] += 1
        self.affected.setdefault(kind, []).append(run)


def _decimal(label: str) -> int | None:
    """A label as a number; None if it is none."""
    return int(label) if label.isdecimal() else None


def _counts_to_text(counts: Counter[str]) -> str:
    keys = [key for key in [*MEANING, *sorted(set(counts) - set(MEANING))] if counts[key] or key in ("runs", "rows", "nulls")]
    return ", ".join(f"{counts[key]} {key}" for key in keys)
