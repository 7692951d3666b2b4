"""All runs as one table: a row per episode, a column per fact, under the names that `import csv` reads."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from results.importers.csv import OF_RUN
from results.reading import metrics
from results.reading.load import Results

RUN_NAMES = {"agent": "method", "train_seed": "seed", "policy": "run_policy", "step": "run_step", "updates": "run_updates"}
# Where and how fast it ran is no part of a result.
INCIDENTAL = ("run_updates", "attempt", "host", "message", "wall_seconds")
RESULT = [name for name in OF_RUN if name not in INCIDENTAL]
RESULT += ["split", "step", "frames", "noise", "policy", "episode", "env_seed", "return", "length"]


def table(results: Results) -> pd.DataFrame:
    """Columns of the run (`results.importers.csv.OF_RUN`), then of the row; a run without episodes is one row."""
    runs = results.runs.rename(columns=RUN_NAMES)
    runs = runs.assign(eval_noises=[";".join(noises) for noises in runs.eval_noises])[["path", *OF_RUN]]
    shared = {"agent", "train_seed", "done", "final_step", *OF_RUN} - {"seed"}
    own = results.episodes[[name for name in results.episodes if name not in shared]]
    return runs.merge(own, on="path", how="left").drop(columns="path")


def canonical(results: Results) -> str:
    """What tables and figures are made from, as CSV with the columns RESULT: the same for the same results, however stored.

    Rows are in the order of `reading.load`; whole numbers have no point, what is missing or not finite is empty.
    """
    full = table(results)
    columns = {name: [_text(x) for x in full[name].tolist()] if name in full else "" for name in RESULT}
    return pd.DataFrame(columns, index=full.index).to_csv(index=False, lineterminator="\n")


def digest(results: Results, logged: Sequence[str] = ()) -> str:
    """sha256 of `canonical`: the hash of a stored table is that of its uncompressed file.

    `logged`: metrics that count too, for what is made of metrics.jsonl; after them the hash is another.
    """
    text = canonical(results)
    if logged:
        found = metrics.rows(results, logged, needed=logged[0])
        runs = dict(zip(results.runs.path, results.runs.run, strict=True))
        found = found.assign(path=found.path.map(runs)).rename(columns={"path": "run"})
        text += found.to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: Any) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value == int(value) else repr(value)
    return "" if value is None else str(value)
