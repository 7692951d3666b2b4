"""The episodes of a run as columns, read from its file. `load` joins the columns of all runs, and the cache stores them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness import rundir
from harness.errors import BadInput

NEEDED = ["split", "step", "noise", "episode", "seed", "return", "length", "policy"]
WITHIN = ["split", "noise", "policy", "step", "episode", "return"]  # order of a run's rows: that of the file does not matter

Columns = dict[str, np.ndarray]  # name -> one value per row: int64, float64 (NaN: null or not there), bool or object
FileKey = tuple[int, ...]  # size, mtime, ctime, inode of a file, or of several: other content has another key


def read(path: Path) -> tuple[Columns, FileKey | None, float]:
    """The rows of an episodes.jsonl, its key when it was opened, and its age (seconds since it was last changed).

    A writer may be at work: lines that are written after the file was opened are not read, nor a last line without its end.
    BadInput names the line that is no row, or the row that lacks a field.
    """
    try:
        with open(path, "rb") as file:
            stat = os.fstat(file.fileno())
            text = file.read(stat.st_size)
    except FileNotFoundError:
        return {}, None, 0.0
    rows = _parsed(text[: text.rfind(b"\n") + 1], path)
    return _columns(rows, path), key(stat), age(stat)


def key(stat: os.stat_result) -> FileKey:
    """ctime is set by the system with every change of content, whatever a program does to the mtime."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def age(stat: os.stat_result) -> float:
    """Seconds since a file was last changed."""
    return time.time() - max(stat.st_mtime, stat.st_ctime)


def _parsed(text: bytes, path: Path) -> list[dict[str, Any]]:
    """All lines at once, which is several times faster; line by line where one of them is wrong, to name it."""
    lines = [line for line in text.split(b"\n") if line.strip()]
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        rows = []
    if len(rows) != len(lines) or not all(type(row) is dict for row in rows):
        rows = rundir.RunDir(path.parent).rows("episodes")
    return rows


def _columns(rows: Sequence[dict[str, Any]], path: Path) -> Columns:
    if not rows:
        return {}
    names = dict.fromkeys(rows[0])
    if any(row.keys() != names.keys() for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)
        for number, row in enumerate(rows, 1):
            if lacking := [name for name in NEEDED if name not in row]:
                raise BadInput(f"{path}, row {number}: lacks {', '.join(lacking)}.")
    elif lacking := [name for name in NEEDED if name not in names]:
        raise BadInput(f"{path}, row 1: lacks {', '.join(lacking)}.")
    values = {name: [row.get(name) for row in rows] for name in names}
    if any(not _fits(name, column_values) for name, column_values in values.items() if name in rundir.ROW_FIELDS):
        rundir.RunDir(path.parent).rows("episodes")  # names the line
        raise BadInput(f"{path}: a row lacks a field, or holds something else than it may.")
    columns = {name: column(column_values) for name, column_values in values.items()}
    columns["return"] = columns["return"].astype(float)
    keys = [_ranked(columns[name]) for name in reversed(WITHIN)]
    order = np.lexsort(keys)
    return {name: values[order] for name, values in columns.items()}


def _fits(name: str, values: list[Any]) -> bool:
    """Whether the values of a column are texts, or numbers of up to 64 bits and nulls, as its name asks."""
    kinds = set(map(type, values))
    if rundir.ROW_FIELDS[name] == rundir.TEXT:
        return kinds <= ({str} if name in NEEDED else {str, type(None)})
    if kinds == {float}:
        return True
    return kinds <= {int, float, type(None)} and all(map(rundir.is_number, (v for v in values if type(v) is int)))


def column(values: list[Any]) -> np.ndarray:
    """int64 or bool where every value is one, float64 where all are numbers or None, else object."""
    kinds = set(map(type, values))
    if kinds == {int}:
        try:
            return np.array(values, np.int64)
        except OverflowError:
            return np.array(values, float)
    if kinds == {bool}:
        return np.array(values, bool)
    if kinds <= {int, float, type(None)}:
        return np.array([np.nan if value is None else value for value in values], float)
    out = np.empty(len(values), object)
    out[:] = values
    return out


def joined(parts: Sequence[np.ndarray | None], lengths: Sequence[int]) -> np.ndarray:
    """One column of many runs; None where a run has no such column. The kind that holds all of them."""
    if not parts:
        return np.empty(0)
    kinds = {part.dtype.kind for part in parts if part is not None}
    if None in [part if part is None else 0 for part in parts]:
        kinds |= {"f"}
    if len(kinds) == 1 or kinds <= {"i", "f"}:
        kind = {"i": np.int64, "b": bool, "O": object}.get(min(kinds) if len(kinds) == 1 else "f", float)
        blank = [np.full(n, np.nan) if part is None else part for part, n in zip(parts, lengths, strict=True)]
        return np.concatenate(blank).astype(kind, copy=False)
    return np.concatenate(
        [np.full(n, np.nan, object) if part is None else part.astype(object) for part, n in zip(parts, lengths, strict=True)]
    )


def _ranked(values: np.ndarray) -> np.ndarray:
    """Sortable: texts as their rank, missing ones last."""
    if values.dtype != object:
        return values
    texts = [str(value) for value in values]
    rank = {text: place for place, text in enumerate(sorted(set(texts)))}
    return np.array([rank[text] for text in texts])
