"""Plain tables: one row per episode or point, a column per fact; what `dreamproof export csv` and `parquet` write.

Needed: `task`, `method`, `seed` (the training run's label), `return` (empty: a null), and `frames` or `step` (policy steps;
frames = step x --repeat). Whole columns of task or method may be left to --task and --method.
Of a run, the same in all its rows: `study` (or --benchmark), `ablation`, `train_noise`, `preset`, `size`, `precision`,
`steps` (its length in policy steps), `variant` (other settings, `path=value`), `run` (a directory's name), `run_policy`,
`eval_noises` (all that were to be measured, by `;`), `state` (done), `run_step`, `run_updates`, `attempt`, `host`,
`message`, `wall_seconds`.
Of a row: `split` (train or eval; train), `noise` (clean), `policy`, `episode`, `env_seed`, `length`; other columns are kept
as they are. A row with nothing but a run's columns is a run without episodes. Rows of runs may be mixed; .gz is read.
"""

from __future__ import annotations

import csv
import json
import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import BadInput, unknown
from results.importers._run import UNKNOWN, Run, Told
from results.importers._text import lines

FILES = ("*.csv", "*.csv.gz", "*.parquet")
SETTINGS = ("ablation", "train_noise", "preset", "size", "precision")
STATE = {"state": str, "run_step": int, "run_updates": int, "attempt": int, "host": str, "message": str, "wall_seconds": float}
OF_RUN = ("study", "task", "method", "seed", *SETTINGS, "steps", "variant", "run", "run_policy", "eval_noises", *STATE)
NUMBERS = ("step", "frames", "updates", "episode", "env_seed", "return", "length", "seconds")
MOST = 200_000  # rows in memory before they are put on the disk, run by run
STATES = ("queued", "running", "done", "failed", "diverged", "preempted", "timeout", "cancelled")

Cells = dict[str, str]


def runs(files: Sequence[Path], told: Told) -> Iterator[Run]:
    """Every run of every table. However large a table is, the rows of one run and MOST others are in memory."""
    for path in files:
        with tempfile.TemporaryDirectory(prefix="dreamproof-import-") as folder:
            for of_run, rows in _by_run(path, Path(folder)):
                yield _run(path, of_run, rows, told)


def _by_run(path: Path, folder: Path) -> Iterator[tuple[Cells, list[tuple[int, Cells]]]]:
    """Per run its own cells and its rows with their line numbers, in the order in which runs first appear."""
    keys: dict[tuple, int] = {}
    held: dict[int, list[list[Any]]] = defaultdict(list)
    for count, (number, row) in enumerate(_rows(path), 1):
        run = keys.setdefault(tuple((name, row.pop(name)) for name in OF_RUN if name in row), len(keys))
        held[run].append([number, row])
        if count % MOST == 0:
            _spill(held, folder)
    if not keys:
        raise BadInput(f"{path}: no row beneath the head.")
    for key, run in keys.items():
        spilled = folder / str(run)
        before = [json.loads(line) for line in spilled.read_text().splitlines()] if spilled.exists() else []
        yield dict(key), [(number, row) for number, row in before + held.pop(run, [])]


def _spill(held: dict[int, list[list[Any]]], folder: Path) -> None:
    for run, rows in held.items():
        with open(folder / str(run), "a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    held.clear()


def _rows(path: Path) -> Iterator[tuple[int, Cells]]:
    """`(line, column -> text)` of every row; for Parquet the row's number."""
    head, body = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    twice = sorted({name for name in head if head.count(name) > 1})
    if twice or "" in head:
        raise BadInput(f"{path}: columns need names of their own; {', '.join(twice) or 'one without a name'}.")
    if "return" not in head or not {"step", "frames"} & set(head):
        raise BadInput(f"{path}: columns are {', '.join(head)}; needed are task, method, seed, return, and frames or step.")
    for number, row in body:
        if len(row) != len(head):
            raise BadInput(f"{path}, line {number}: {len(row)} fields, but the head has {len(head)}.")
        yield number, dict(zip(head, row, strict=True))


def _csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    reader = csv.reader(lines(path))
    head = [name.strip() for name in next(reader, [])]
    return head, ((reader.line_num, row) for row in reader if any(row))


def _parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, Iterable[str]]]]:
    import pandas as pd

    from results.exporters import needs_pyarrow

    needs_pyarrow(str(path))
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not Parquet: {error}") from None
    columns = [["" if missing else str(x) for x, missing in zip(table[c], table[c].isna(), strict=True)] for c in table]
    return list(table.columns), enumerate((list(row) for row in zip(*columns, strict=True)), 1)


def _run(path: Path, of_run: Cells, numbered: list[tuple[int, Cells]], told: Told) -> Run:
    where = f"{path}, line {numbered[0][0]}"
    given = {name: text for name, text in of_run.items() if text != ""}
    found = {name: given.get(name) for name in ("task", "method", "seed")}
    names = told.named(path, benchmark=given.get("study"), **found)
    rows = [_row(row, f"{path}, line {number}", told.frames_per_step(names["benchmark"])) for number, row in numbered]
    rows = sorted(filter(None, rows), key=_order)
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    columns = {"frames": [], "return": []} | {name: x for name, x in columns.items() if any(v is not None for v in x)}
    columns |= {name: [row[name] for row in rows] for name in ("frames", "return")}
    if name := given.get("run", ""):
        _check_name(name, where)
    settings, state = _settings(given, names["method"], columns, where), _state(given, where)
    origin = f"from line {numbered[0][0]} on"
    return Run(path, origin, **names, rows=columns, unit="row", settings=settings, state=state, name=name)


def _row(texts: Cells, where: str, repeat: int) -> dict[str, Any] | None:
    """The row's values; None for the row of a run that has none."""
    row = {name: _value(name, text.strip(), where) for name, text in texts.items()}
    if all(value is None for value in row.values()):
        return None
    step, frames = row.get("step"), row.get("frames")
    if step is None and frames is None:
        raise BadInput(f"{where}: neither frames nor step.")
    row["step"] = int(frames // repeat) if step is None else int(step)
    row["frames"] = step * repeat if frames is None else frames
    row["split"], row["noise"] = row.get("split") or "train", row.get("noise") or "clean"
    if row["split"] not in ("train", "eval"):
        raise unknown("split", row["split"], ("train", "eval"), where)
    row["return"] = row.get("return")
    row["policy"] = row.get("policy") or UNKNOWN
    return {"seed" if name == "env_seed" else name: value for name, value in row.items()}


def _value(name: str, text: str, where: str) -> Any:
    """A number, true, false or text; None for an empty cell and, beside `return`, for what is not finite."""
    if text == "":
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = float(text)
    except ValueError:
        if name in NUMBERS:
            raise BadInput(f"{where}: {name} = {text[:40]!r}; allowed is a number, or nothing.") from None
        return text
    if not math.isfinite(value):
        return None
    if name in ("step", "frames") and value < 0:
        raise BadInput(f"{where}: {name} = {text}; allowed is a number, at least 0.")
    if name in ("step", "episode", "env_seed") and value != int(value):
        raise BadInput(f"{where}: {name} = {text}; allowed is a whole number.")
    return int(value) if value == int(value) else value


def _order(row: dict[str, Any]) -> tuple:
    """The order of a run's rows, whatever the table's."""
    numbers = (row["frames"], row.get("episode"), row["return"])
    keys = [(value is None, value or 0) for value in numbers]
    return row["split"], row["noise"], *keys


def _settings(given: Cells, method: str, columns: dict[str, list], where: str) -> dict[str, Any]:
    settings: dict[str, Any] = {name: given[name] for name in SETTINGS if name in given}
    settings["agent"] = {"kind": method}
    if "steps" in given:
        settings["steps"] = _typed(int, "steps", given["steps"], where)
    _put_variant(settings, given.get("variant", ""), where)
    tested = zip(columns.get("split", []), columns.get("noise", []), strict=True)
    noises = given["eval_noises"].split(";") if "eval_noises" in given else sorted({n for s, n in tested if s == "eval"})
    policies = set(columns.get("policy", [])) - {UNKNOWN}
    policy = given.get("run_policy") or (policies.pop() if len(policies) == 1 else UNKNOWN)
    return settings | {"evaluate": {"noise": noises, "policy": policy}}


def _put_variant(settings: dict[str, Any], text: str, where: str) -> None:
    """`agent.horizon=20 agent.core={"kind": "gru"}` -> nested entries; `absent` is none."""
    at, decode = 0, json.JSONDecoder().raw_decode
    while found := re.compile(r"\s*([\w.]+)=").match(text, at):
        at, (*parents, last) = found.end(), found[1].split(".")
        if text.startswith("absent", at):
            at += len("absent")
            continue
        try:
            value, at = decode(text, at)
        except ValueError:
            break
        node = settings
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    if text[at:].strip():
        raise BadInput(f"{where}: variant = {text[:60]!r}; allowed is path=value path=value ..., each value as JSON.")


def _state(given: Cells, where: str) -> dict[str, Any]:
    """Entries of state.json; a run of somebody else is done unless the table says otherwise."""
    state = {name.removeprefix("run_"): _typed(kind, name, given[name], where) for name, kind in STATE.items() if name in given}
    if (named := state.setdefault("state", "done")) not in STATES:
        raise unknown("state", named, STATES, where)
    return state


def _typed(kind: type, name: str, text: str, where: str) -> Any:
    try:
        return kind(float(text)) if kind is int else kind(text)
    except (ValueError, OverflowError):
        raise BadInput(f"{where}: {name} = {text[:40]!r}; allowed is a number.") from None


def _check_name(name: str, where: str) -> None:
    if not re.fullmatch(r"[\w+][\w+.,=@:-]*", name):
        raise BadInput(f"{where}: run = {name[:60]!r}; it becomes a directory: letters, digits and _ + . , = @ : - only.")
