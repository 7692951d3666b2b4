"""The cache of rows and facts of runs, in `.cache/` of a root: parsing is the main cost of loading thousands of runs.

An entry is used only while its file has the same size, mtime, ctime and inode; a file that was changed a moment ago is not
stored: a second change in the same tick of the clock would not show. The cache is written under another name, then renamed.
A cache that is missing, broken or of another version is ignored, and a folder that cannot be written gets none.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from results.reading.rows import Columns, FileKey

VERSION = 2
LEAST = 1 << 20  # bytes of new rows that are worth a file
TEXT = "settings"  # the fact that most runs share
SETTLED = 3.0  # seconds since the last change of a file, after which another change has another time
Schema = tuple[tuple[str, str], ...]  # (column, kind) of a run
Facts = dict[str, Any]  # JSON


class Cache:
    """Rows and facts (what config.json and state.json come to) of runs below `root`, by their path relative to it."""

    def __init__(self, root: Path):
        self.root = str(root)
        self._file = root / ".cache" / f"episodes-{VERSION}.npz"
        self._is_open = False
        self._stored: dict[str, tuple[FileKey, Columns]] = {}
        self._added: dict[str, tuple[FileKey, Columns]] = {}
        self._facts: dict[str, tuple[FileKey, Facts]] = {}
        self._added_bytes = 0

    def get(self, run: str, key: FileKey) -> Columns | None:
        """The rows of a run's file with that key."""
        self._open()
        entry = self._stored.get(run)
        return entry[1] if entry and entry[0] == key else None

    def facts(self, run: str, key: FileKey) -> Facts | None:
        """The facts of a run whose files have that key."""
        self._open()
        entry = self._facts.get(run)
        return entry[1] if entry and tuple(entry[0]) == key else None

    def put_facts(self, run: str, key: FileKey, facts: Facts, age: float) -> None:
        if age > SETTLED:
            self._facts[run] = key, facts
            self._added_bytes += key[0]

    def _open(self) -> None:
        if not self._is_open:
            self._stored, self._facts = _read(self._file)
            self._is_open = True

    def put(self, run: str, key: FileKey, columns: Columns, age: float) -> None:
        if age > SETTLED and columns:
            self._added[run] = key, columns
            self._added_bytes += key[0]

    def save(self) -> None:
        """Write the entries that were added, if they are large enough, beside the stored ones. A write error is ignored."""
        if self._added_bytes < LEAST:
            return
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(exist_ok=True)
            _write(temporary, self._stored | self._added, self._facts)
            os.replace(temporary, self._file)
        except (OSError, ValueError):
            temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None


def _write(path: Path, entries: dict[str, tuple[FileKey, Columns]], facts: dict[str, tuple[FileKey, Facts]]) -> None:
    """Runs with the same columns of the same kinds go together: one array per column. Long texts that repeat stand once."""
    blocks: dict[Schema, list[str]] = defaultdict(list)
    for run, (_, columns) in entries.items():
        blocks[tuple((name, values.dtype.kind) for name, values in columns.items())].append(run)
    arrays: dict[str, Any] = {}
    about = []
    for number, (schema, runs) in enumerate(blocks.items()):
        vocabularies = {}
        for place, (name, kind) in enumerate(schema):
            values = np.concatenate([entries[run][1][name] for run in runs])
            if kind == "O":
                values, vocabularies[name] = _coded(values)
            arrays[f"{number}-{place}"] = _narrow(values) if kind in "iO" else values
        arrays[f"{number}-keys"] = np.array([entries[run][0] for run in runs], np.int64)
        lengths = [len(next(iter(entries[run][1].values()))) for run in runs]
        arrays[f"{number}-lengths"] = np.array(lengths, np.int64)
        about.append({"schema": schema, "runs": runs, "vocabularies": vocabularies})
    texts: dict[str, int] = {}
    shared = {
        run: [key, run_facts | {TEXT: texts.setdefault(run_facts[TEXT], len(texts))}] for run, (key, run_facts) in facts.items()
    }
    content = {"blocks": about, "texts": list(texts), "facts": shared}
    arrays["about"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _read(path: Path) -> tuple[dict[str, tuple[FileKey, Columns]], dict[str, tuple[FileKey, Facts]]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            entries = {run: entry for i, block in enumerate(about["blocks"]) for run, entry in _block(stored, i, block)}
        facts = about["facts"]
        for _, run_facts in facts.values():
            run_facts[TEXT] = about["texts"][run_facts[TEXT]]
        return entries, facts
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, zipfile.BadZipFile):
        return {}, {}


def _block(stored: np.lib.npyio.NpzFile, number: int, block: dict) -> list[tuple[str, tuple[FileKey, Columns]]]:
    columns = {}
    for place, (name, kind) in enumerate(block["schema"]):
        values = stored[f"{number}-{place}"]
        if kind == "O":
            vocabulary = np.empty(len(block["vocabularies"][name]), object)
            vocabulary[:] = [json.loads(text) for text in block["vocabularies"][name]]
            values = vocabulary[values]
        columns[name] = values.astype(np.int64) if kind == "i" else values
    keys, lengths = stored[f"{number}-keys"].tolist(), stored[f"{number}-lengths"]
    ends = np.cumsum(lengths)
    starts = (ends - lengths).tolist()
    if any(len(values) != ends[-1] for values in columns.values()):
        raise ValueError("columns of different lengths")
    places = zip(block["runs"], keys, starts, ends.tolist(), strict=True)
    return [(run, (tuple(key), {name: v[a:b] for name, v in columns.items()})) for run, key, a, b in places]


def _coded(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Codes, and the JSON text of each code's value."""
    codes: dict[str, int] = {}
    codes_by_id: dict[int, int] = {}  # most values are a few objects that occur often
    out = np.empty(len(values), np.int64)
    for place, value in enumerate(values):
        code = codes_by_id.get(id(value))
        if code is None:
            code = codes_by_id[id(value)] = codes.setdefault(json.dumps(value), len(codes))
        out[place] = code
    return out, list(codes)


def _narrow(values: np.ndarray) -> np.ndarray:
    """The same whole numbers in as few bytes as hold them."""
    ends = (values.min(), values.max()) if len(values) else (0, 0)
    return values.astype(np.promote_types(*map(np.min_scalar_type, ends)))
