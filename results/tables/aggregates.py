"""Aggregates: mean, median, IQM and optimality gap of every method over all tasks of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import groups, records
from results.tables._text import bootstrap_note, count_range, distinct_text, flag_letters, flag_marks, flag_notes, with_interval

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
    """One sheet per benchmark, with a row per method and a column per aggregate."""
    return [_sheet(name, rows) for name, rows in groups(long, "benchmark")]


def _sheet(benchmark: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    metrics, letter_of = list(dict.fromkeys(rows.metric)), flag_letters(rows["flags"])
    body: list[list[str]] = []
    best: set[tuple[int, int]] = set()
    for i, (method, group) in enumerate(groups(rows, "method")):
        cells = {cell["metric"]: cell for cell in records(group)}
        texts = {name: with_interval(cell["value"], cell["ci_low"], cell["ci_high"], 3) for name, cell in cells.items()}
        runs = f"{group.runs.iloc[0]} in {group.tasks.iloc[0]}" + flag_marks(group["flags"].iloc[0], letter_of)
        body.append([method, runs, *(texts[metric] for metric in metrics)])
        best |= {(i, 2 + metrics.index(metric)) for metric, cell in cells.items() if cell["best"]}
    head = ["method", "runs in tasks", *(metric.replace("_", " ") for metric in metrics)]
    return Sheet(f"{benchmark}: aggregates", head, body, list(_notes(rows, letter_of, bool(best))), frozenset(best))


def _notes(rows: pd.DataFrame, letter_of: dict[str, str], any_best: bool) -> Iterator[str]:
    from results.analyses.aggregates import FLAGS

    yield (
        f"Unit: normalised score, 0 and 1 = {distinct_text(rows.normaliser)}. n = {count_range(rows.runs)} training runs. "
        f"Final-score rule: {distinct_text(rows.final)}."
    )
    if rows.interval.any():
        yield bootstrap_note(rows)
    yield (
        "Mean, median, capped mean: of task means. IQM, optimality gap: of all runs pooled. Task-balanced: every task has the "
        "same weight."
    )
    if any_best:
        yield (
            "Bold: the best of its column. Its difference to every other method excludes zero (same bootstrap, widened for few "
            "runs, Bonferroni)."
        )
    yield from flag_notes(letter_of, FLAGS)
