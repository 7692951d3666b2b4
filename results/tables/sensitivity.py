"""Sensitivity: the same aggregates under every final-score rule, and their change against the default rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import Record, groups, records, tuple_groups
from results.tables._text import bootstrap_note, distinct_text, flag_letters, flag_marks, flag_notes, with_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

METRICS = ("mean", "median", "iqm", "capped_mean")  # csv and json hold all


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float) -> pd.DataFrame:
    """The long form of `analyses.sensitivity.table`."""
    from results.analyses import sensitivity

    return sensitivity.table(results, rng, reps, confidence)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per benchmark and method, with a row per rule and a column per aggregate."""
    return [_sheet(benchmark, method, rows) for (benchmark, method), rows in tuple_groups(long, ["benchmark", "method"])]


def _sheet(benchmark: str, method: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    letter_of, body = flag_letters(rows["flags"]), []
    for rule, group in groups(rows, "final"):
        cells = {cell["metric"]: cell for cell in records(group)}
        first = cells[METRICS[0]]
        name = rule + (" (default)" if first["default"] else "") + flag_marks(first["flags"], letter_of)
        body.append([name, str(first["runs"]), *(_cell(cells[metric]) for metric in METRICS)])
    head = ["final-score rule", "runs", *(metric.replace("_", " ") for metric in METRICS)]
    return Sheet(f"{benchmark}, {method}: sensitivity to the final-score rule", head, body, list(_notes(rows, letter_of)))


def _cell(cell: Record) -> str:
    change = "" if cell["default"] or cell["change"] != cell["change"] else f" ({cell['change']:+.3f})"
    return with_interval(cell["value"], cell["ci_low"], cell["ci_high"], 3) + change


def _notes(rows: pd.DataFrame, letter_of: dict[str, str]) -> Iterator[str]:
    from results.analyses.sensitivity import FLAGS

    default = distinct_text(rows.final[rows.default]) or "the default"
    yield (
        f"Unit: normalised score, 0 and 1 = {distinct_text(rows.normaliser)}. n, in the column `runs`: training runs with a "
        f"score by that rule. Final-score rule: one per row; in parentheses: the change from {default}."
    )
    if rows.ci_low.notna().any():
        yield bootstrap_note(rows)
    yield from flag_notes(letter_of, FLAGS)
