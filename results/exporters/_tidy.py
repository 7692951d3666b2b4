"""All runs as one table: a row per episode, a column per fact, under the names that `import csv` reads."""

from __future__ import annotations

import pandas as pd

from results.importers.csv import OF_RUN
from results.load import Results

RUN_NAMES = {"agent": "method", "train_seed": "seed", "policy": "run_policy", "step": "run_step", "updates": "run_updates"}


def table(results: Results) -> pd.DataFrame:
    """Columns of the run (`results.importers.csv.OF_RUN`), then of the row; a run without episodes is one row."""
    runs = results.runs.rename(columns=RUN_NAMES)
    runs = runs.assign(eval_noises=[";".join(noises) for noises in runs.eval_noises])[["path", *OF_RUN]]
    shared = {"agent", "train_seed", "done", "final_step", *OF_RUN} - {"seed"}
    own = results.episodes[[name for name in results.episodes if name not in shared]]
    return runs.merge(own, on="path", how="left").drop(columns="path")
