"""Measures: the robustness of a setting in one number, by each measure of the field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import Record, records
from results.tables._text import count_range, distinct_text, flag_letters, flag_marks, flag_notes, with_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

AXES = ["agent", "ablation", "train_noise", "eval_noise"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "variant", "policy"]


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, baseline: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.measures.table`; `baseline`: the ablation that mCE compares with."""
    from results.analyses import measures

    return measures.table(results, rng, reps, confidence, baseline)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per task and measure, with a row per setting and noise."""
    from results.tables import Sheet

    if not len(long):
        return [Sheet("Robustness measures", ["task"], [], ["No setting has been evaluated both with and without noise yet."])]
    rows_of: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for row in records(long):
        rows_of[row["task"], row["measure"]].append(row)
    return [_sheet(task, measure, rows) for (task, measure), rows in rows_of.items()]


def _sheet(task: str, measure: str, rows: list[Record]) -> Sheet:
    from results.tables import Sheet

    values = {axis: [row[axis] for row in rows if row[axis] == row[axis]] for axis in (*AXES, *SETTINGS)}
    axes = [axis for axis in AXES if len(values[axis]) == len(rows) and any(values[axis])]
    axes += [axis for axis in SETTINGS if len(set(values[axis])) > 1]
    letter_of = flag_letters(row["flags"] for row in rows)
    body = [
        [*(str(row[axis]) for axis in axes), str(row["seeds"]), _value(row) + flag_marks(row["flags"], letter_of)]
        for row in rows
    ]
    head = [*(axis.replace("_", " ") for axis in axes), "runs", measure]
    return Sheet(f"{task}: {measure}", head, body, list(_notes(measure, rows, letter_of)))


def _value(row: Record) -> str:
    return with_interval(row["value"], row["ci_low"], row["ci_high"])


def _notes(measure: str, rows: list[Record], letter_of: dict[str, str]) -> Iterator[str]:
    from results.analyses.measures import FLAGS, MEASURES, UNITS

    reference, interval = (distinct_text(row[name] for row in rows) for name in ("reference", "interval"))
    reference_text = f" Reference: {reference}." if reference else ""
    yield f"{measure[0].upper()}{measure[1:]}: {MEASURES[measure]}.{reference_text}"
    runs = count_range(row["seeds"] for row in rows)
    yield f"Unit: {UNITS.get(measure, 'ratio')}. n = {runs} training runs. Final-score rule: {rows[0]['final']}."
    if interval:
        yield f"Brackets: {100 * rows[0]['confidence']:g} % interval, {interval}, paired within each trained model."
    yield from flag_notes(letter_of, FLAGS)
