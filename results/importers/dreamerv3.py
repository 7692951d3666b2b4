"""DreamerV3's score files (BENCHMARK-METHOD.json.gz) and the scores.jsonl of its log directories.

A score file is an array of {task, method, seed, xs, ys}. xs are environment frames; ys are returns, or mean returns of a
bin, null for a bin without an episode. A scores.jsonl holds {step, episode/score} per training episode. Its folder is
called `TIME-TASK-METHOD-SEED`, or `TASK/METHOD/SEED` in older versions. The benchmark comes from --benchmark, or from a
folder above that has a benchmark's name. Both count frames, action repeat included. Neither says whether points are from
training or evaluation; they are stored as training episodes.
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
from results.importers._run import ImportedRun, ImportOptions, RunNames, finite_or_none, integers_where_whole, suite_task
from results.importers._text import MAX_STEP, json_rows, numeric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["benchmark", "read", "runs", "suite_task"]

FILES = ("*.json.gz", "scores.jsonl")
COLUMNS = ["task", "method", "seed", "x", "y"]
FIELDS = ("task", "method", "seed", "xs", "ys")
STEP, SCORE = "step", "episode/score"
MAX_BYTES = 500_000_000  # of a score file, uncompressed: it is read as a whole
_BLANK = re.compile(r"[ \t\r\n]*")


def runs(files: Sequence[Path], options: ImportOptions) -> Iterator[ImportedRun]:
    """Every record of the score files and every scores.jsonl, as a run of training episodes. Nulls stay."""
    for path in files:
        if path.name.endswith(".jsonl"):
            yield _logged_run(path, options)
            continue
        for where, record in _records(path):
            in_file = {key: str(record[key]) for key in FIELDS[:3]} | {"benchmark": options.benchmark or benchmark(path)}
            names = options.run_names(path, in_file)
            where = where.removeprefix(f"{path}, ")
            yield _run(path, where, names, (record["xs"], record["ys"]), options.frames_per_step(names.benchmark), Counter())


def read(path: Path | str) -> pd.DataFrame:
    """One row per stored point of a score file with COLUMNS, in the file's order.

    task, method: as the file spells them. seed: a label, kept as text; labels need not be contiguous. x: environment frames
    including action repeat. y: return, or mean return of a bin; NaN for a null, a bin without an episode, so that
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
    path: Path,
    where: str,
    names: RunNames,
    points: tuple[list[float], list[float | None]],
    frames_per_step: int,
    notes: Counter[str],
) -> ImportedRun:
    """points: environment frames, and the return at each."""
    frames, returns = integers_where_whole(points[0]), finite_or_none(points[1], notes)
    rows = {"step": [int(x // frames_per_step) for x in frames], "frames": frames, "return": returns}
    our_names = names._replace(task=suite_task(names.task, names.benchmark))
    return ImportedRun(path, where, our_names, rows, "episode or mean of a bin", source_task=names.task, notes=notes)


def _logged_run(path: Path, options: ImportOptions) -> ImportedRun:
    """The run of one scores.jsonl."""
    notes: Counter[str] = Counter()
    frames: list[float] = []
    returns: list[float | None] = []
    for where, row in json_rows(path, notes):
        if SCORE not in row:
            notes["other lines"] += 1
            continue
        frame, score = numeric(row.get(STEP), STEP, where), numeric(row[SCORE], SCORE, where)
        if frame is None or not 0 <= frame < MAX_STEP:
            raise BadInput(f"{where}: {STEP} = {json.dumps(frame)}; every score has a step, at least 0.")
        frames.append(frame)
        returns.append(score)
    if not frames:
        raise BadInput(f"{path}: no line holds {SCORE}.")
    benchmark_folder = next((folder.name for folder in path.absolute().parents if folder.name in benchmarks.registry()), None)
    dashed = path.absolute().parent.name.count("-") >= 3
    layout = "*-{task}-{method}-{seed}/scores.jsonl" if dashed else "{task}/{method}/{seed}/scores.jsonl"
    names = options.run_names(path, {"benchmark": benchmark_folder}, layout)
    points = frames, returns
    return _run(path, f"lines 1 to {len(frames)}", names, points, options.frames_per_step(names.benchmark), notes)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(where, record)` of a score file, parsed and checked one by one. Every task, method and seed stands there once."""
    names, number = set(), 0
    for number, record in enumerate(_parsed(path), 1):
        where = f"{path}, record {number}"
        _check_record(record, where)
        name = task, method, seed = tuple(str(record[key]) for key in FIELDS[:3])
        if name in names:
            raise BadInput(f"{where}: a second run of {task}, {method}, seed {seed}; each stands once in a score file.")
        names.add(name)
        yield where, record
    if not number:
        raise BadInput(f"{path}: an empty array; a score file holds at least one record.")


def _parsed(path: Path) -> Iterator[Any]:
    """The elements of a JSON array. Only one of them is in memory beside the text."""
    text, parse, number = _decompressed_text(path), json.JSONDecoder().raw_decode, 0
    try:
        position = _skip_blank(text, 0)
        if text[position : position + 1] != "[":
            raise BadInput(f"{path}: a score file is one JSON array of records, not {type(json.loads(text)).__name__}.")
        position = _skip_blank(text, position + 1)
        while text[position : position + 1] != "]":
            record, position = parse(text, position)
            number += 1
            yield record
            position = _skip_blank(text, position)
            if text[position : position + 1] not in (",", "]"):
                raise ValueError(f"neither a comma nor the end of the array at character {position}")
            position = _skip_blank(text, position + 1) if text[position] == "," else position
        if trailing := text[_skip_blank(text, position + 1) :]:
            raise ValueError(f"something stands behind the array: {trailing[:20]!r}")
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON, plain or gzipped (record {number + 1}): {error}") from None


def _skip_blank(text: str, position: int) -> int:
    """The position of the first character that is not blank."""
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _decompressed_text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if gzipped else open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadInput(f"{path} holds more than {MAX_BYTES:,} bytes uncompressed; a score file is not that large.")
        return content.decode()
    except EOFError:
        raise BadInput(f"{path} ends before its compressed data do: it was cut off.") from None
    except (gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not JSON, plain or gzipped: {error}") from None
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None


def _check_record(record: Any, where: str) -> None:
    """BadInput unless the record has every field and its points are in order."""
    if not isinstance(record, dict):
        raise BadInput(f"{where}: {str(record)[:40]!r} is not a record {{{', '.join(FIELDS)}}}.")
    if lacking := [key for key in FIELDS if key not in record]:
        raise BadInput(f"{where}: lacks {', '.join(lacking)}; a record holds {', '.join(FIELDS)}.")
    if wrong := [key for key in FIELDS[:3] if type(record[key]) not in (str, int)]:
        raise BadInput(f"{where}: {wrong[0]} = {str(record[wrong[0]])[:40]!r}; allowed is text, or a whole number.")
    where += f" ({record['task']}, seed {record['seed']})"
    xs, ys = record["xs"], record["ys"]
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys) or not xs:
        raise BadInput(f"{where}: xs and ys are arrays of the same length, at least 1.")
    for name, values, allowed in (("xs", xs, {int, float}), ("ys", ys, {int, float, type(None)})):
        for i, value in enumerate(values):
            if type(value) not in allowed or (value is not None and not abs(value) < (MAX_STEP if name == "xs" else 1e300)):
                nulls = " or null" if name == "ys" else ""
                raise BadInput(f"{where}: {name}[{i}] = {json.dumps(value)[:40]}; allowed is a finite number{nulls}.")
    if xs[0] < 0 or any(b <= a for a, b in itertools.pairwise(xs)):
        raise BadInput(f"{where}: xs are environment frames, at least 0 and strictly increasing.")
