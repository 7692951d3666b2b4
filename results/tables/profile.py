"""Profile: the share of runs whose normalised score is above each threshold, per method."""

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

STRIDE = 10  # sheets show every tenth threshold; csv and json hold all


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, final: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.profile.table`."""
    from results.analyses import profile

    return profile.table(results, rng, reps, confidence, final)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per benchmark, with a row per method and a column per threshold."""
    return [_sheet(name, rows) for name, rows in groups(long, "benchmark")]


def _sheet(name: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    taus, letter_of = sorted(set(rows.tau))[::STRIDE], flag_letters(rows["flags"])
    body = []
    for method, points in groups(rows, "method"):
        cells = records(points[points.tau.isin(taus)])
        texts = [with_interval(cell["fraction"], cell["ci_low"], cell["ci_high"]) for cell in cells]
        body.append([method + flag_marks(points["flags"].iloc[0], letter_of), *texts])
    return Sheet(f"{name}: profile", ["method", *(f"> {tau:g}" for tau in taus)], body, list(_notes(rows, letter_of)))


def _notes(rows: pd.DataFrame, letter_of: dict[str, str]) -> Iterator[str]:
    from results.analyses.profile import FLAGS

    yield (
        f"Unit: share of all runs; thresholds in normalised score, 0 and 1 = {distinct_text(rows.normaliser)}. "
        f"n = {count_range(rows.runs)} training runs in {count_range(rows.tasks)} tasks. "
        f"Final-score rule: {distinct_text(rows.final)}."
    )
    if rows.ci_low.notna().any():
        yield bootstrap_note(rows)
    yield from flag_notes(letter_of, FLAGS)
