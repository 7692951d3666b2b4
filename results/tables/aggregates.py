"""Aggregates: mean, median, IQM and optimality gap of every method over all tasks of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import bootstrap, count, legend, letters, listed, marks, ranged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, final: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.aggregates.table`."""
    from results.analyses import aggregates

    return aggregates.table(results, rng, reps, confidence, final)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per benchmark one sheet: a row per method, a column per aggregate."""
    return [_sheet(name, rows) for name, rows in long.groupby("benchmark", sort=False)]


def _sheet(name: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    metrics, named = list(dict.fromkeys(rows.metric)), letters(rows["flags"])
    body, marked = [], set()
    for i, (method, cells) in enumerate(rows.groupby("method", sort=False)):
        shown = {cell["metric"]: ranged(cell["value"], cell["ci_low"], cell["ci_high"], 3) for cell in cells.to_dict("records")}
        about = f"{cells.runs.iloc[0]} in {cells.tasks.iloc[0]}" + marks(cells["flags"].iloc[0], named)
        body.append([method, about, *(shown[metric] for metric in metrics)])
        marked |= {(i, 2 + metrics.index(metric)) for metric in cells.metric[cells.best]}
    head = ["method", "runs in tasks", *(metric.replace("_", " ") for metric in metrics)]
    return Sheet(f"{name}: aggregates", head, body, list(_notes(rows, named, bool(marked))), frozenset(marked))


def _notes(rows: pd.DataFrame, named: dict[str, str], marked: bool) -> Iterator[str]:
    from results.analyses.aggregates import FLAGS

    yield (
        f"Unit: normalised score, 0 and 1 = {listed(rows.normaliser)}. n = {count(rows.runs)} training runs. "
        f"Final-score rule: {listed(rows.final)}."
    )
    if rows.interval.any():
        yield bootstrap(rows)
    yield "Mean, median, capped mean: of task means. IQM, optimality gap: of all runs pooled; task-balanced: tasks weigh alike."
    if marked:
        yield (
            "Bold: the best of its column: its difference to every other method excludes zero (same bootstrap, widened for "
            "few runs, Bonferroni)."
        )
    yield from legend(named, FLAGS)
