"""What an import met: rows, nulls, repeated, short and empty runs, per file and in all. Nothing is dropped in silence."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from results.importers._run import Run

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


@dataclass
class Summary:
    """Counts per file and in all. `named`: the runs behind duplicates, short, ...; `known`: already there, unchanged."""

    form: str
    runs: int = 0
    known: int = 0
    files: dict[str, Counter] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    _points: dict[str, str] = field(default_factory=dict)
    _ends: list[tuple[str, tuple, str, float]] = field(default_factory=list)

    def add(self, run: Run, place: str, new: bool) -> None:
        """Count a run that was written to, or found at, `place`."""
        file = str(run.file)
        counts = self.files.setdefault(file, Counter())
        returns, frames = run.rows["return"], run.rows["frames"]
        valued = [(x, y) for x, y in zip(frames, returns, strict=True) if y is not None]
        self.runs += 1
        self.known += not new
        counts += Counter({"runs": 1, "rows": len(returns), "nulls": len(returns) - len(valued)}) + run.notes
        self.files[file] = counts
        self._count_repeats(run, counts)
        for name, met in (
            ("empty", not valued),
            ("single-point", len(valued) == 1),
            ("constant", len(valued) > 1 and len({y for _, y in valued}) == 1),
            ("renumbered seeds", run.config["seed"] != _as_number(run.seed)),
        ):
            if met:
                self._name(name, file, place)
        self._duplicate(run, valued, file, place)
        if valued:
            group = (run.benchmark, run.task, run.method)
            self._ends.append((file, group, place, max(x for x, _ in valued)))

    def close(self) -> Summary:
        """Once all runs are in: which end early, which can be said only now."""
        furthest: dict[tuple, float] = {}
        for _, group, _, end in self._ends:
            furthest[group] = max(end, furthest.get(group, 0))
        for file, group, place, end in self._ends:
            if end < SHORT * furthest[group]:
                self._name("short", file, f"{place}: ends at {end:g} of {furthest[group]:g}")
        self._ends.clear()
        return self

    @property
    def total(self) -> Counter:
        return sum(self.files.values(), Counter())

    def json(self) -> dict[str, Any]:
        """As plain data: every count of every file, zeros too, and all names."""
        keys = [*MEANING, *sorted(set(self.total) - set(MEANING))]
        files = [{"file": file} | {key: counts[key] for key in keys} for file, counts in self.files.items()]
        total = {key: self.total[key] for key in keys}
        return {"format": self.form, "new": self.runs - self.known, "known": self.known, "total": total} | {
            "files": files,
            "named": self.named,
        }

    def text(self, out: str) -> str:
        """A line per file and one in all, then what a reader must know of."""
        lines = [f"{file}: {_listed(counts)}" for file, counts in self.files.items()]
        if len(lines) > 20:
            lines = [*lines[:20], f"... and {len(lines) - 20} files more (--json lists all)"]
        lines.append(f"in all: {_listed(self.total)}")
        for name, runs in self.named.items():
            some = "; ".join(runs[:5]) + (f"; ... ({len(runs)} in all)" if len(runs) > 5 else "")
            lines.append(f"{name} = {MEANING[name]}: {some}")
        new = f"{self.runs - self.known} new runs in {out}" if self.runs > self.known else "Nothing new"
        return "\n".join([*lines, new + (f"; {self.known} were there already, unchanged" if self.known else "") + "."])

    def _count_repeats(self, run: Run, counts: Counter) -> None:
        varying = [value for name, value in run.rows.items() if isinstance(value, list) and name != "episode"]
        rows = list(zip(*varying, strict=True))
        if repeated := len(rows) - len(set(rows)):
            counts["repeated rows"] += repeated

    def _duplicate(self, run: Run, valued: list[tuple], file: str, place: str) -> None:
        """The same points under two names are a copy, unless there is nothing but one value: a game scored 0 throughout."""
        if len({y for _, y in valued}) < 2:
            return
        points = json.dumps([run.task, run.rows["frames"], run.rows["return"]])
        first = self._points.setdefault(hashlib.sha256(points.encode()).hexdigest(), place)
        if first != place:
            self._name("duplicates", file, f"{place} = {first}")

    def _name(self, what: str, file: str, name: str) -> None:
        self.files[file][what] += 1
        self.named.setdefault(what, []).append(name)


def _as_number(label: str) -> int | None:
    return int(label) if label.isdecimal() else None


def _listed(counts: Counter) -> str:
    keys = [key for key in [*MEANING, *sorted(set(counts) - set(MEANING))] if counts[key] or key in ("runs", "rows", "nulls")]
    return ", ".join(f"{counts[key]} {key}" for key in keys)
