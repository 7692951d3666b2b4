"""Scores: the final score of every method on every task of a benchmark, with intervals over training runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import groups, records
from results.tables._text import (
    confidence_text,
    count_range,
    distinct_text,
    flag_letters,
    flag_marks,
    flag_notes,
    with_interval,
)

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
    """One sheet per benchmark, with a row per task and a column per method."""
    return [_sheet(name, rows) for name, rows in groups(long, "benchmark")]


def _sheet(benchmark: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    methods, letter_of = list(dict.fromkeys(rows.method)), flag_letters(rows["flags"])
    largest = rows.score.abs().max()
    decimals = 0 if largest >= 1000 else 1 if largest >= 10 else 2
    body: list[list[str]] = []
    best: set[tuple[int, int]] = set()
    for i, (task, group) in enumerate(groups(rows, "task")):
        texts = {}
        for cell in records(group):
            text = with_interval(cell["score"], cell["ci_low"], cell["ci_high"], decimals)
            texts[cell["method"]] = text + flag_marks(cell["flags"], letter_of)
            if cell["best"]:
                best.add((i, 1 + methods.index(cell["method"])))
        body.append([task, *(texts.get(method, "-") for method in methods)])
    return Sheet(f"{benchmark}: scores", ["task", *methods], body, list(_notes(rows, letter_of, bool(best))), frozenset(best))


def _notes(rows: pd.DataFrame, letter_of: dict[str, str], any_best: bool) -> Iterator[str]:
    from results.analyses.scores import FLAGS

    yield (
        f"Unit: return. Mean over training runs, n = {count_range(rows.runs)} runs per cell. Brackets: "
        f"{confidence_text(rows)} interval, Student's t over training runs. Final-score rule: {distinct_text(rows.final)}."
    )
    if any_best:
        yield "Bold: the best of its row. It differs from every other method (Welch's t over training runs, Holm)."
    yield from flag_notes(letter_of, FLAGS)
