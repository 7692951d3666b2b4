"""Improvement: the probability that a run of one method beats a run of another on the same task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import confidence as level
from results.tables._text import legend, letters, listed, marks, ranged

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
    """Per benchmark one sheet: a row per ordered pair of methods."""
    return [_sheet(name, rows) for name, rows in long.groupby("benchmark", sort=False)]


def _sheet(name: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    named = letters(rows["flags"])
    body = [
        [
            *(f"{row['x']} > {row['y']}", str(row["tasks"]), f"{row['runs_x']}, {row['runs_y']}"),
            ranged(row["probability"], row["ci_low"], row["ci_high"], 3) + marks(row["flags"], named),
        ]
        for row in rows.to_dict("records")
    ]
    return Sheet(f"{name}: improvement", ["x > y", "tasks", "runs", "probability"], body, list(_notes(rows, named)))


def _notes(rows: pd.DataFrame, named: dict[str, str]) -> Iterator[str]:
    from results.analyses.improvement import FLAGS

    yield (
        "Unit: probability; mean over common tasks of the share of pairs of runs in which x scores higher, ties half. "
        f"n: `runs`, training runs of x and y. Final-score rule: {listed(rows.final)}."
    )
    yield (
        f"Brackets: {level(rows)} percentile interval, stratified bootstrap of the runs of both within each task, "
        f"{rows.reps.iloc[0]:,} replicates."
    )
    yield from legend(named, FLAGS)
