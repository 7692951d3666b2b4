"""Log directories of dreamerv3-torch: metrics.jsonl, or the TensorBoard event files (read without tensorflow).

`train_return` is a training episode, `eval_return` the mean of `eval_episodes` evaluation episodes; `step` counts
environment frames. The files say neither task nor seed: give --task and --seed, or --layout with the names in the path.
If a folder has both kinds of file, metrics.jsonl is read: the event files hold the same numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import BadInput
from results.importers._run import ImportedRun, ImportOptions, finite_or_none, integers_where_whole, suite_task
from results.importers._text import MAX_STEP, json_rows, numeric
from results.importers._tfevents import scalars

FILES = ("metrics.jsonl", "events.out.tfevents.*")
SPLITS = ("train", "eval")

Point = tuple[str, float, dict[str, Any]]  # split, environment frames, values by name


def runs(files: Sequence[Path], options: ImportOptions) -> Iterator[ImportedRun]:
    """One run per folder. A run that was resumed has several event files; they are read one after the other."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        folders[path.parent].append(path)
    for paths in folders.values():
        jsonl = [path for path in paths if path.suffix == ".jsonl"]
        events = sorted(path for path in paths if path.suffix != ".jsonl")
        notes = Counter({"event files beside metrics.jsonl, not read": len(events)} if jsonl else {})
        rows = _rows(_jsonl_points(jsonl, notes) if jsonl else _event_points(events, notes), notes)
        path = (jsonl or events)[0]
        if not rows["return"]:
            raise BadInput(f"{path}: nothing in there is called train_return or eval_return.")
        names = options.run_names(path, {"method": options.method or "dreamerv3-torch"})
        our_names = names._replace(task=suite_task(names.task, names.benchmark))
        rows["step"] = [int(x // options.frames_per_step(names.benchmark)) for x in rows["frames"]]
        unit = "training episode, or mean of an evaluation"
        where = f"{len(rows['return'])} returns"
        yield ImportedRun(path, where, our_names, rows, unit, source_task=names.task, notes=notes)


def _rows(points: Iterator[Point], notes: Counter[str]) -> dict[str, list[Any]]:
    """The points as columns."""
    rows: dict[str, list[Any]] = {name: [] for name in ("split", "frames", "return", "length", "episodes")}
    for split, frames, values in points:
        row = {"split": split, "frames": frames} | {key: values.get(f"{split}_{key}") for key in ("return", "length")}
        row["episodes"] = values.get("eval_episodes") if split == "eval" else 1
        for name, column in rows.items():
            column.append(row[name])
    return rows | {"frames": integers_where_whole(rows["frames"]), "return": finite_or_none(rows["return"], notes)}


def _jsonl_points(files: list[Path], notes: Counter[str]) -> Iterator[Point]:
    for path in files:
        for where, row in json_rows(path, notes):
            splits = [split for split in SPLITS if f"{split}_return" in row]
            notes.update({"other lines": not splits})
            for split in splits:
                values = {key: numeric(x, key, where) for key, x in row.items() if key.startswith(split)}
                step = numeric(row.get("step"), "step", where)
                if step is None or not 0 <= step < MAX_STEP:
                    raise BadInput(f"{where}: step = {step}; every return has a step, at least 0.")
                yield split, step, values


def _event_points(files: list[Path], notes: Counter[str]) -> Iterator[Point]:
    """Every scalar has its own record. A return is followed by the length and the number of its episodes."""
    last: Point | None = None
    for path in files:
        for tag, step, value in scalars(path, notes):
            name = tag.removeprefix("scalars/")
            split, _, quantity = name.partition("_")
            if split in SPLITS and quantity == "return":
                if not 0 <= step < MAX_STEP:
                    raise BadInput(f"{path}: step = {step} of {tag}; allowed is a whole number, at least 0.")
                if last:
                    yield last
                last = (split, step, {name: value})
            elif last and quantity in ("length", "episodes") and (split, step) == last[:2]:
                last[2].setdefault(name, value)
            else:
                notes["other scalars"] += 1
    if last:
        yield last
