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
# Where and how fast a run ran is no part of its result.
INCIDENTAL = ("run_updates", "attempt", "host", "message", "wall_seconds")
RESULT_COLUMNS = [name for name in OF_RUN if name not in INCIDENTAL]
RESULT_COLUMNS += ["split", "step", "frames", "noise", "policy", "episode", "env_seed", "return", "length"]


def table(results: Results) -> pd.DataFrame:
    """Columns of the run (`results.importers.csv.OF_RUN`), then of the episode. A run without episodes is one row."""
    runs = results.runs.rename(columns=RUN_NAMES)
    runs = runs.assign(eval_noises=[";".join(noises) for noises in runs.eval_noises])[["path", *OF_RUN]]
    shared = {"agent", "train_seed", "done", "final_step", *OF_RUN} - {"seed"}
    episodes = results.episodes[[name for name in results.episodes if name not in shared]]
    return runs.merge(episodes, on="path", how="left").drop(columns="path")


def canonical(results: Results) -> str:
    """The data of tables and figures as CSV with RESULT_COLUMNS. The same results give the same text, however stored.

    Rows are in the order of `results.reading.load`. Whole numbers have no point; missing and non-finite values are empty.
    """
    full = table(results)
    columns = {name: [_cell(x) for x in full[name].tolist()] if name in full else "" for name in RESULT_COLUMNS}
    return pd.DataFrame(columns, index=full.index).to_csv(index=False, lineterminator="\n")


def digest(results: Results, metric_names: Sequence[str] = ()) -> str:
    """sha256 of `canonical`: the hash of a stored table is that of its uncompressed file.

    metric_names: metrics of metrics.jsonl that are data too. They change the hash.
    """
    text = canonical(results)
    if metric_names:
        logged = metrics.logged_rows(results, metric_names, needed=metric_names[0])
        run_names = dict(zip(results.runs.path, results.runs.run, strict=True))
        logged = logged.assign(path=logged.path.map(run_names)).rename(columns={"path": "run"})
        text += logged.to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value == int(value) else repr(value)
    return "" if value is None else str(value)
