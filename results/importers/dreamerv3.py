"""Score files of the DreamerV3 repository: `BENCHMARK-METHOD.json.gz`, an array of {task, method, seed, xs, ys}."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import BadInput

COLUMNS = ["task", "method", "seed", "x", "y"]
FIELDS = ("task", "method", "seed", "xs", "ys")
SUITES = {"dmc_proprio": "dmc", "dmc_vision": "dmc_vision", "atari100k": "atari100k", "atari57": "atari"}


def read(path: Path | str) -> pd.DataFrame:
    """One row per stored point with COLUMNS, in the file's order.

    task, method: as the file spells them. seed: a label, not contiguous, kept as text. x: environment frames including
    action repeat. y: return, or mean return of a bin; NaN where the file holds null, a bin without an episode:
    `table.y.isna()` counts them. BadInput names the file and the record that breaks the format.
    """
    path, seen, tables = Path(path), set(), []
    for number, record in enumerate(_array(path), 1):
        where = f"{path}, record {number}"
        _check(record, where)
        task, method, seed = (str(record[key]) for key in FIELDS[:3])
        if (task, method, seed) in seen:
            raise BadInput(f"{where}: a second run of {task}, {method}, seed {seed}; each stands once in a score file.")
        seen.add((task, method, seed))
        run = {"task": task, "method": method, "seed": seed, "x": record["xs"]}
        tables.append(pd.DataFrame(run | {"y": pd.array(record["ys"], dtype="Float64").to_numpy(float, na_value=math.nan)}))
    if not tables:
        raise BadInput(f"{path}: an empty array; a score file holds at least one record.")
    return pd.concat(tables, ignore_index=True).astype({"x": float})


def benchmark(path: Path | str) -> str:
    """`dmc_proprio` of `dmc_proprio-dreamerv3.json.gz`: the protocol, which no record names."""
    name, dash, _ = Path(path).name.partition("-")
    if not dash or not name:
        raise BadInput(f"{path}: the name of a score file is BENCHMARK-METHOD.json.gz; it says which protocol was followed.")
    return name


def suite_task(task: str, benchmark: str) -> str:
    """`dmc_cartpole_swingup` of dmc_proprio -> `dmc/cartpole_swingup`; `atari_asterix` of atari100k -> `atari100k/asterix`."""
    prefix, _, name = task.partition("_")
    return f"{SUITES.get(benchmark, prefix)}/{name}"


def _array(path: Path) -> list[Any]:
    try:
        stored = path.read_bytes()
        content = json.loads(gzip.decompress(stored) if stored[:2] == b"\x1f\x8b" else stored)
    except EOFError:
        raise BadInput(f"{path} ends before its compressed data do: it was cut off.") from None
    except (gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise BadInput(f"{path} is not JSON, plain or gzipped: {error}") from None
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None
    if not isinstance(content, list):
        raise BadInput(f"{path}: a score file is one JSON array of records, not {type(content).__name__}.")
    return content


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
