"""Log directories of dreamerv3-torch: metrics.jsonl, or the TensorBoard event files (read without tensorflow).

`train_return` is a training episode, `eval_return` the mean of `eval_episodes` evaluation episodes; `step` counts
environment frames. Nothing in the files says task and seed: give --task and --seed, or --layout with the names that stand
in the path. Where a folder has both, metrics.jsonl is read: the event files hold the same numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import BadInput
from results.importers._run import Run, Told, finite, suite_task, whole
from results.importers._text import json_rows, numeric
from results.importers._tfevents import scalars

FILES = ("metrics.jsonl", "events.out.tfevents.*")
SPLITS = ("train", "eval")


def runs(files: Sequence[Path], told: Told) -> Iterator[Run]:
    """One run per folder; the event files of a folder, of a run that was resumed, are read one after the other."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        folders[path.parent].append(path)
    for here in folders.values():
        lines = [path for path in here if path.suffix == ".jsonl"]
        notes = Counter({"event files beside metrics.jsonl, not read": len(here) - len(lines)} if lines else {})
        rows = _rows(_logged(lines, notes) if lines else _events(sorted(here), notes), notes)
        path = (lines or sorted(here))[0]
        if not rows["return"]:
            raise BadInput(f"{path}: nothing in there is called train_return or eval_return.")
        names = told.named(path, method=told.method or "dreamerv3-torch")
        names, spelled = names | {"task": suite_task(names["task"], names["benchmark"])}, names["task"]
        rows["step"] = [int(x // told.frames_per_step(names["benchmark"])) for x in rows["frames"]]
        unit = "training episode, or mean of an evaluation"
        yield Run(path, f"{len(rows['return'])} returns", **names, rows=rows, unit=unit, spelled=spelled, notes=notes)


def _rows(points: Iterator[tuple[str, float, dict[str, Any]]], notes: Counter) -> dict[str, list]:
    rows: dict[str, list] = {name: [] for name in ("split", "frames", "return", "length", "episodes")}
    for split, frames, values in points:
        given = {"split": split, "frames": frames} | {key: values.get(f"{split}_{key}") for key in ("return", "length")}
        given["episodes"] = values.get("eval_episodes") if split == "eval" else 1
        for name, column in rows.items():
            column.append(given[name])
    return rows | {"frames": whole(rows["frames"]), "return": finite(rows["return"], notes)}


def _logged(files: list[Path], notes: Counter) -> Iterator[tuple[str, float, dict[str, Any]]]:
    for path in files:
        for where, row in json_rows(path, notes):
            found = [split for split in SPLITS if f"{split}_return" in row]
            notes.update({"other lines": not found})
            for split in found:
                values = {key: numeric(x, key, where) for key, x in row.items() if key.startswith(split)}
                step = numeric(row.get("step"), "step", where)
                if step is None or step < 0:
                    raise BadInput(f"{where}: step = {step}; every return has a step, at least 0.")
                yield split, step, values


def _events(files: list[Path], notes: Counter) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Scalars have a record each: a return is followed by the length and the number of its episodes."""
    last: tuple[str, float, dict[str, Any]] | None = None
    for path in files:
        for tag, step, value in scalars(path, notes):
            name = tag.removeprefix("scalars/")
            split, _, what = name.partition("_")
            if split in SPLITS and what == "return":
                if last:
                    yield last
                last = (split, step, {name: value})
            elif last and what in ("length", "episodes") and (split, step) == last[:2]:
                last[2].setdefault(name, value)
            else:
                notes["other scalars"] += 1
    if last:
        yield last
