"""Improvement: the probability that a run of one method beats a run of another on the same task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import groups, records
from results.tables._text import confidence_text, distinct_text, flag_letters, flag_marks, flag_notes, with_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, final: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.improvement.table`."""
    from results.analyses import improvement

    return improvement.table(results, rng, reps, confidence, final)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per benchmark, with a row per ordered pair of methods."""
    return [_sheet(name, rows) for name, rows in groups(long, "benchmark")]


def _sheet(name: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    letter_of = flag_letters(rows["flags"])
    body = [
        [
            f"{row['x']} > {row['y']}",
            str(row["tasks"]),
            f"{row['runs_x']}, {row['runs_y']}",
            with_interval(row["probability"], row["ci_low"], row["ci_high"], 3) + flag_marks(row["flags"], letter_of),
        ]
        for row in records(rows)
    ]
    return Sheet(f"{name}: improvement", ["x > y", "tasks", "runs", "probability"], body, list(_notes(rows, letter_of)))


def _notes(rows: pd.DataFrame, letter_of: dict[str, str]) -> Iterator[str]:
    from results.analyses.improvement import FLAGS

    yield (
        "Unit: probability, the mean over common tasks of the share of pairs of runs in which x scores higher; a tie counts "
        f"half. n, in the column `runs`: training runs of x and y. Final-score rule: {distinct_text(rows.final)}."
    )
    yield (
        f"Brackets: {confidence_text(rows)} percentile interval, stratified bootstrap of the runs of both within each task, "
        f"{rows.reps.iloc[0]:,} replicates."
    )
    yield from flag_notes(letter_of, FLAGS)
