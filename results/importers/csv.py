"""Plain tables: one row per episode or point, a column per fact; what `dreamproof export csv` and `parquet` write.

Required: `task`, `method`, `seed` (the label of the training run), `return` (empty: a null), and `frames` or `step` (policy
steps; frames = step x --repeat). --task and --method replace missing columns of task and method.
Of a run, the same in all its rows: `study` (or --benchmark), `ablation`, `train_noise`, `preset`, `size`, `precision`,
`steps` (its length in policy steps), `variant` (other settings, `path=value`), `run` (a directory's name), `run_policy`,
`eval_noises` (all noises to measure, separated by `;`), `state` (default done), `run_step`, `run_updates`, `attempt`,
`host`, `message`, `wall_seconds`.
Of a row: `split` (train or eval; default train), `noise` (default clean), `policy`, `episode`, `env_seed`, `length`. Other
columns are kept as they are. A row that fills only a run's columns is a run without episodes. The rows of different runs may
be mixed. Gzipped files are read.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import BadInput, unknown
from results.importers._run import UNKNOWN, ImportedRun, ImportOptions
from results.importers._text import MAX_STEP, csv_rows, lines, to_number

FILES = ("*.csv", "*.csv.gz", "*.parquet")
SETTINGS = ("ablation", "train_noise", "preset", "size", "precision")
STATE = {"state": str, "run_step": int, "run_updates": int, "attempt": int, "host": str, "message": str, "wall_seconds": float}
OF_RUN = ("study", "task", "method", "seed", *SETTINGS, "steps", "variant", "run", "run_policy", "eval_noises", *STATE)
NUMBERS = ("step", "frames", "updates", "episode", "env_seed", "return", "length", "seconds")
ROWS_IN_MEMORY = 200_000  # beyond them, rows go to the disk, run by run
NO_VARIANT = ("version", "study", "seed", "evaluate", "imported", "task", *SETTINGS, "steps")
STATES = ("queued", "running", "done", "failed", "diverged", "preempted", "timeout", "cancelled")

CsvRow = dict[str, str]  # column -> text
NumberedRow = tuple[int, CsvRow]  # line number, cells


def runs(files: Sequence[Path], options: ImportOptions) -> Iterator[ImportedRun]:
    """Every run of every table. The rows of one run and ROWS_IN_MEMORY others are in memory, however large a table is."""
    for path in files:
        with tempfile.TemporaryDirectory(prefix="dreamproof-import-") as folder:
            for run_cells, rows in _by_run(path, Path(folder)):
                yield _run(path, run_cells, rows, options)


def _by_run(path: Path, folder: Path) -> Iterator[tuple[CsvRow, list[NumberedRow]]]:
    """Per run its own cells and its numbered rows, in the order in which runs first appear."""
    run_index: dict[tuple[tuple[str, str], ...], int] = {}
    in_memory: dict[int, list[NumberedRow]] = defaultdict(list)
    for count, (number, row) in enumerate(_rows(path), 1):
        run = run_index.setdefault(tuple((name, row.pop(name)) for name in OF_RUN if name in row), len(run_index))
        in_memory[run].append((number, row))
        if count % ROWS_IN_MEMORY == 0:
            _spill(in_memory, folder)
    if not run_index:
        raise BadInput(f"{path}: no row beneath the head.")
    for key, run in run_index.items():
        spilled = folder / str(run)
        on_disk = [json.loads(line) for line in spilled.read_text().splitlines()] if spilled.exists() else []
        yield dict(key), [(number, row) for number, row in on_disk + in_memory.pop(run, [])]


def _spill(in_memory: dict[int, list[NumberedRow]], folder: Path) -> None:
    for run, rows in in_memory.items():
        with open(folder / str(run), "a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    in_memory.clear()


def _rows(path: Path) -> Iterator[NumberedRow]:
    """`(line, column -> text)` of every row; for Parquet the number of the row."""
    head, body = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    repeated = sorted({name for name in head if head.count(name) > 1})
    if repeated or "" in head:
        raise BadInput(f"{path}: columns need names of their own; {', '.join(repeated) or 'one without a name'}.")
    if "return" not in head or not {"step", "frames"} & set(head):
        raise BadInput(f"{path}: columns are {', '.join(head)}; needed are task, method, seed, return, and frames or step.")
    for number, row in body:
        if len(row) != len(head):
            raise BadInput(f"{path}, line {number}: {len(row)} fields, but the head has {len(head)}.")
        yield number, dict(zip(head, row, strict=True))


def _csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    numbered_rows = csv_rows(lines(path), path)
    head = [name.strip() for name in next(numbered_rows, (1, []))[1]]
    return head, ((number, row) for number, row in numbered_rows if any(row))


def _parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    import pandas as pd

    from results.exporters import needs_pyarrow

    needs_pyarrow(str(path))
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not Parquet: {error}") from None
    columns = [
        ["" if missing else str(value) for value, missing in zip(table[name], table[name].isna(), strict=True)]
        for name in table
    ]
    return list(table.columns), enumerate((list(row) for row in zip(*columns, strict=True)), 1)


def _run(path: Path, run_cells: CsvRow, numbered_rows: list[NumberedRow], options: ImportOptions) -> ImportedRun:
    first_line = numbered_rows[0][0]
    where = f"{path}, line {first_line}"
    cells = {name: text for name, text in run_cells.items() if text != ""}
    in_file = {name: cells.get(name) for name in ("task", "method", "seed")} | {"benchmark": cells.get("study")}
    names = options.run_names(path, in_file)
    repeat = options.frames_per_step(names.benchmark)
    values = (_row(row, f"{path}, line {number}", repeat) for number, row in numbered_rows)
    columns = _columns(sorted((row for row in values if row), key=_row_order))
    directory = cells.get("run", "")
    if directory:
        _check_directory_name(directory, where)
    settings, state = _settings(cells, names.method, columns, where), _state(cells, where)
    origin = f"from line {first_line} on"
    return ImportedRun(path, origin, names, columns, "row", settings=settings, state=state, name=directory)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The rows by column, without columns that are empty; `frames` and `return` are always there."""
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    required = {name: [row[name] for row in rows] for name in ("frames", "return")}
    filled = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return {"frames": [], "return": []} | filled | required


def _row(texts: CsvRow, where: str, repeat: int) -> dict[str, Any] | None:
    """The values of a row; None if it fills only columns of the run."""
    row: dict[str, Any] = {name: _value(name, text.strip(), where) for name, text in texts.items()}
    if all(value is None for value in row.values()):
        return None
    step, frames = row.get("step"), row.get("frames")
    if step is not None:
        row["step"], row["frames"] = int(step), step * repeat if frames is None else frames
    elif frames is not None:
        row["step"], row["frames"] = int(frames // repeat), frames
    else:
        raise BadInput(f"{where}: neither frames nor step.")
    row["split"], row["noise"] = row.get("split") or "train", row.get("noise") or "clean"
    if row["split"] not in ("train", "eval"):
        raise unknown("split", row["split"], ("train", "eval"), where)
    row["return"] = row.get("return")
    row["policy"] = row.get("policy") or UNKNOWN
    return {"seed" if name == "env_seed" else name: value for name, value in row.items()}


def _value(name: str, text: str, where: str) -> Any:
    """A number, true, false or text. None for an empty cell and for a number that is not finite."""
    if text == "":
        return None
    if text.lower() in ("true", "false") and name not in NUMBERS:
        return text.lower() == "true"
    value = to_number(text)
    if value is None:
        if name in NUMBERS:
            raise BadInput(f"{where}: {name} = {text[:40]!r}; allowed is a number, or nothing.")
        return text
    if not math.isfinite(value):
        return None
    if name in ("step", "frames") and not 0 <= value < MAX_STEP:
        raise BadInput(f"{where}: {name} = {text[:40]}; allowed is a number, at least 0 and below 2^53.")
    if name in ("step", "episode", "env_seed") and value != int(value):
        raise BadInput(f"{where}: {name} = {text}; allowed is a whole number.")
    return int(value) if value == int(value) else value


def _row_order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sort key of a run's rows, independent of their order in the table."""
    numbers = (row["frames"], row.get("episode"), row["return"])
    keys = [(value is None, value or 0) for value in numbers]
    return row["split"], row["noise"], *keys


def _settings(cells: CsvRow, method: str, columns: dict[str, list[Any]], where: str) -> dict[str, Any]:
    """Entries of config.json that the run's cells and its evaluation rows give."""
    settings: dict[str, Any] = {name: cells[name] for name in SETTINGS if name in cells}
    settings["agent"] = {"kind": method}
    if "steps" in cells:
        settings["steps"] = _typed(int, "steps", cells["steps"], where)
    _put_variant(settings, cells.get("variant", ""), where)
    pairs = zip(columns.get("split", []), columns.get("noise", []), strict=True)
    eval_noises = {noise for split, noise in pairs if split == "eval"}
    noises = cells["eval_noises"].split(";") if "eval_noises" in cells else sorted(eval_noises)
    policies = set(columns.get("policy", [])) - {UNKNOWN}
    policy = cells.get("run_policy") or (policies.pop() if len(policies) == 1 else UNKNOWN)
    return settings | {"evaluate": {"noise": noises, "policy": policy}}


def _put_variant(settings: dict[str, Any], text: str, where: str) -> None:
    """`agent.horizon=20 agent.core={"kind": "gru"}` -> nested entries; a value `absent` makes no entry."""
    position, decode = 0, json.JSONDecoder().raw_decode
    while match := re.compile(r"\s*([\w.]+)=").match(text, position):
        position, (*parents, last) = match.end(), match[1].split(".")
        if (parents or [last])[0] in NO_VARIANT or match[1] == "agent.kind":
            raise BadInput(f"{where}: variant sets {match[1]}, which has a column of its own.")
        if text.startswith("absent", position):
            position += len("absent")
            continue
        try:
            value, position = decode(text, position)
        except (ValueError, RecursionError):
            break
        node = settings
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise BadInput(f"{where}: variant sets {match[1]}, but {parent} is a value without parts.")
        node[last] = value
    if text[position:].strip():
        raise BadInput(f"{where}: variant = {text[:60]!r}; allowed is path=value path=value ..., each value as JSON.")


def _state(cells: CsvRow, where: str) -> dict[str, Any]:
    """Entries of state.json. An imported run is done unless the table says otherwise."""
    state = {name.removeprefix("run_"): _typed(kind, name, cells[name], where) for name, kind in STATE.items() if name in cells}
    if (label := state.setdefault("state", "done")) not in STATES:
        raise unknown("state", label, STATES, where)
    return state


def _typed(kind: type, name: str, text: str, where: str) -> Any:
    if kind is str:
        return text
    value = to_number(text)
    if value is None or not abs(value) < MAX_STEP or (kind is int and (value != int(value) or value < 0)):
        allowed = "a whole number, at least 0" if kind is int else "a finite number"
        raise BadInput(f"{where}: {name} = {text[:40]!r}; allowed is {allowed}.")
    return kind(value)


def _check_directory_name(name: str, where: str) -> None:
    if not re.fullmatch(r"[\w+][\w+.,=@:-]*", name):
        raise BadInput(f"{where}: run = {name[:60]!r}; it becomes a directory: letters, digits and _ + . , = @ : - only.")
