"""DreamerV3's score files (BENCHMARK-METHOD.json.gz) and the scores.jsonl of its log directories.

A score file is an array of {task, method, seed, xs, ys}: environment frames and returns, or mean returns of a bin, null
where the bin holds no episode. A scores.jsonl holds {step, episode/score} per training episode; its folder is called
`TIME-TASK-METHOD-SEED`, or `TASK/METHOD/SEED` in older versions, and does not say the benchmark: --benchmark does, or a
folder above it that has a benchmark's name. Both count frames, action repeat included; neither says whether points are
from training or evaluation: they are stored as training episodes.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import BadInput
from results import benchmarks
from results.importers._run import Run, Told, finite, suite_task, whole
from results.importers._text import json_rows, numeric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["benchmark", "read", "runs", "suite_task"]

FILES = ("*.json.gz", "scores.jsonl")
COLUMNS = ["task", "method", "seed", "x", "y"]
FIELDS = ("task", "method", "seed", "xs", "ys")
STEP, SCORE = "step", "episode/score"
_BLANK = re.compile(r"[ \t\r\n]*")


def runs(files: Sequence[Path], told: Told) -> Iterator[Run]:
    """Every record of the score files, every scores.jsonl, as a run of training episodes; nulls stay."""
    for path in files:
        if path.name.endswith(".jsonl"):
            yield _logged(path, told)
            continue
        for where, record in _records(path):
            names = {key: str(record[key]) for key in FIELDS[:3]}
            names = told.named(path, benchmark=told.benchmark or benchmark(path), **names)
            yield _run(path, where.removeprefix(f"{path}, "), names, record["xs"], record["ys"], told, Counter())


def read(path: Path | str) -> pd.DataFrame:
    """One row per stored point of a score file with COLUMNS, in the file's order.

    task, method: as the file spells them. seed: a label, not contiguous, kept as text. x: environment frames including
    action repeat. y: return, or mean return of a bin; NaN where the file holds null, a bin without an episode:
    `table.y.isna()` counts them. BadInput names the file and the record that breaks the format.
    """
    import pandas as pd  # a sixth of an import's time, and only this function makes a table

    tables = []
    for _, record in _records(Path(path)):
        run = {key: str(record[key]) for key in FIELDS[:3]} | {"x": record["xs"]}
        tables.append(pd.DataFrame(run | {"y": pd.array(record["ys"], dtype="Float64").to_numpy(float, na_value=math.nan)}))
    return pd.concat(tables, ignore_index=True).astype({"x": float})


def benchmark(path: Path | str) -> str:
    """`dmc_proprio` of `dmc_proprio-dreamerv3.json.gz`: the protocol, which no record names."""
    name, dash, _ = Path(path).name.partition("-")
    if not dash or not name:
        raise BadInput(f"{path}: the name of a score file is BENCHMARK-METHOD.json.gz; it says which protocol was followed.")
    return name


def _run(
    path: Path, where: str, names: dict[str, str], xs: list[float], ys: list[float | None], told: Told, notes: Counter
) -> Run:
    frames, repeat = whole(xs), told.frames_per_step(names["benchmark"])
    rows = {"step": [int(x // repeat) for x in frames], "frames": frames, "return": finite(ys, notes)}
    names, spelled = names | {"task": suite_task(names["task"], names["benchmark"])}, names["task"]
    return Run(path, where, **names, rows=rows, unit="episode or mean of a bin", spelled=spelled, notes=notes)


def _logged(path: Path, told: Told) -> Run:
    notes, xs, ys = Counter(), [], []
    for where, row in json_rows(path, notes):
        if SCORE not in row:
            notes["other lines"] += 1
            continue
        x, y = numeric(row.get(STEP), STEP, where), numeric(row[SCORE], SCORE, where)
        if x is None or x < 0:
            raise BadInput(f"{where}: {STEP} = {json.dumps(x)}; every score has a step, at least 0.")
        xs.append(x)
        ys.append(y)
    if not xs:
        raise BadInput(f"{path}: no line holds {SCORE}.")
    above = next((folder.name for folder in path.absolute().parents if folder.name in benchmarks.registry()), None)
    new = path.absolute().parent.name.count("-") >= 3
    layout = "*-{task}-{method}-{seed}/scores.jsonl" if new else "{task}/{method}/{seed}/scores.jsonl"
    return _run(path, f"lines 1 to {len(xs)}", told.named(path, layout, benchmark=above), xs, ys, told, notes)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(where, record)` of a score file, one parsed at a time and checked; each task, method and seed once."""
    seen, number = set(), 0
    for number, record in enumerate(_parsed(path), 1):
        where = f"{path}, record {number}"
        _check(record, where)
        task, method, seed = name = tuple(str(record[key]) for key in FIELDS[:3])
        if name in seen:
            raise BadInput(f"{where}: a second run of {task}, {method}, seed {seed}; each stands once in a score file.")
        seen.add(name)
        yield where, record
    if not number:
        raise BadInput(f"{path}: an empty array; a score file holds at least one record.")


def _parsed(path: Path) -> Iterator[Any]:
    """The elements of a JSON array, of which only one is held beside the text."""
    text, parse, number = _text(path), json.JSONDecoder().raw_decode, 0
    try:
        at = _after_blank(text, 0)
        if text[at : at + 1] != "[":
            raise BadInput(f"{path}: a score file is one JSON array of records, not {type(json.loads(text)).__name__}.")
        at = _after_blank(text, at + 1)
        while text[at : at + 1] != "]":
            record, at = parse(text, at)
            number += 1
            yield record
            at = _after_blank(text, at)
            if text[at : at + 1] not in (",", "]"):
                raise ValueError(f"neither a comma nor the end of the array at character {at}")
            at = _after_blank(text, at + 1) if text[at] == "," else at
        if rest := text[_after_blank(text, at + 1) :]:
            raise ValueError(f"something stands behind the array: {rest[:20]!r}")
    except ValueError as error:
        raise BadInput(f"{path} is not JSON, plain or gzipped (record {number + 1}): {error}") from None


def _after_blank(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()


def _text(path: Path) -> str:
    try:
        stored = path.read_bytes()
        return (gzip.decompress(stored) if stored[:2] == b"\x1f\x8b" else stored).decode()
    except EOFError:
        raise BadInput(f"{path} ends before its compressed data do: it was cut off.") from None
    except (gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not JSON, plain or gzipped: {error}") from None
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None


def _check(record: Any, where: str) -> None:
    """BadInput unless the record has every field and its points can be told in order."""
    if not isinstance(record, dict):
        raise BadInput(f"{where}: {str(record)[:40]!r} is not a record {{{', '.join(FIELDS)}}}.")
    if lacking := [key for key in FIELDS if key not in record]:
        raise BadInput(f"{where}: lacks {', '.join(lacking)}; a record holds {', '.join(FIELDS)}.")
    where += f" ({record['task']}, seed {record['seed']})"
    xs, ys = record["xs"], record["ys"]
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys) or not xs:
        raise BadInput(f"{where}: xs and ys are arrays of the same length, at least 1.")
    for name, values, allowed in (("xs", xs, {int, float}), ("ys", ys, {int, float, type(None)})):
        for i, value in enumerate(values):
            if type(value) not in allowed or (value is not None and not math.isfinite(value)):
                nulls = " or null" if name == "ys" else ""
                raise BadInput(f"{where}: {name}[{i}] = {json.dumps(value)}; allowed is a finite number{nulls}.")
    if xs[0] < 0 or any(b <= a for a, b in itertools.pairwise(xs)):
        raise BadInput(f"{where}: xs are environment frames, at least 0 and strictly increasing.")
