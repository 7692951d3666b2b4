"""Profile: the share of runs whose normalised score is above each threshold, per method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import bootstrap, count, legend, letters, listed, marks, ranged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

EVERY = 10  # of the thresholds that people are shown; csv and json hold all


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, final: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.profile.table`."""
    from results.analyses import profile

    return profile.table(results, rng, reps, confidence, final)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per benchmark one sheet: a row per method, a column per threshold."""
    return [_sheet(name, rows) for name, rows in long.groupby("benchmark", sort=False)]


def _sheet(name: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    taus, named = sorted(set(rows.tau))[::EVERY], letters(rows["flags"])
    body = []
    for method, cells in rows.groupby("method", sort=False):
        chosen = cells[cells.tau.isin(taus)].to_dict("records")
        shown = [ranged(cell["fraction"], cell["ci_low"], cell["ci_high"]) for cell in chosen]
        body.append([method + marks(cells["flags"].iloc[0], named), *shown])
    return Sheet(f"{name}: profile", ["method", *(f"> {tau:g}" for tau in taus)], body, list(_notes(rows, named)))


def _notes(rows: pd.DataFrame, named: dict[str, str]) -> Iterator[str]:
    from results.analyses.profile import FLAGS

    yield (
        f"Unit: share of all runs; thresholds in normalised score, 0 and 1 = {listed(rows.normaliser)}. "
        f"n = {count(rows.runs)} training runs in {count(rows.tasks)} tasks. Final-score rule: {listed(rows.final)}."
    )
    if rows.ci_low.notna().any():
        yield bootstrap(rows)
    yield from legend(named, FLAGS)
