"""Scores: the final score of every method on every task of a benchmark, with intervals over training runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import confidence as level
from results.tables._text import count, legend, letters, listed, marks, ranged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet


def make(results: Results, rng: np.random.Generator, confidence: float, final: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.scores.table`. Nothing is random here; `rng` changes nothing."""
    from results.analyses import scores

    return scores.table(results, confidence, final)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per benchmark one sheet: a row per task, a column per method."""
    return [_sheet(name, rows) for name, rows in long.groupby("benchmark", sort=False)]


def _sheet(name: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    methods, named = list(dict.fromkeys(rows.method)), letters(rows["flags"])
    largest = rows.score.abs().max()
    decimals = 0 if largest >= 1000 else 1 if largest >= 10 else 2
    body, marked = [], set()
    for i, (task, cells) in enumerate(rows.groupby("task", sort=False)):
        shown = {}
        for cell in cells.to_dict("records"):
            text = ranged(cell["score"], cell["ci_low"], cell["ci_high"], decimals)
            shown[cell["method"]] = text + marks(cell["flags"], named)
            marked |= {(i, 1 + methods.index(cell["method"]))} if cell["best"] else set()
        body.append([task, *(shown.get(method, "-") for method in methods)])
    return Sheet(f"{name}: scores", ["task", *methods], body, list(_notes(rows, named, bool(marked))), frozenset(marked))


def _notes(rows: pd.DataFrame, named: dict[str, str], marked: bool) -> Iterator[str]:
    from results.analyses.scores import FLAGS

    yield (
        f"Unit: return. Mean over training runs, n = {count(rows.runs)} runs per cell; brackets: {level(rows)} interval, "
        f"Student's t over training runs. Final-score rule: {listed(rows.final)}."
    )
    if marked:
        yield "Bold: the best of its row, different from every other method (Welch's t over training runs, Holm)."
    yield from legend(named, FLAGS)
