"""Measures: robustness in one number each: relative performance, worst noise, area, half lost, gain, mCE, ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from results.tables._text import count, legend, letters, listed, marks, ranged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

Row = dict[str, Any]  # of the long form
AXES = ["agent", "ablation", "train_noise", "eval_noise"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "variant", "policy"]


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, baseline: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.measures.table`; `baseline`: the ablation that mCE compares with."""
    from results.analyses import measures

    return measures.table(results, rng, reps, confidence, baseline)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per task and measure one sheet: a row per setting and noise."""
    from results.tables import Sheet

    if not len(long):
        return [Sheet("Robustness measures", ["task"], [], ["No setting was evaluated both with and without noise yet."])]
    sheets = defaultdict(list)
    for row in long.to_dict("records"):
        sheets[row["task"], row["measure"]].append(row)
    return [_sheet(*key, rows) for key, rows in sheets.items()]


def _sheet(task: str, measure: str, rows: list[Row]) -> Sheet:
    from results.tables import Sheet

    held = {axis: [row[axis] for row in rows if row[axis] == row[axis]] for axis in (*AXES, *SETTINGS)}
    axes = [axis for axis in AXES if len(held[axis]) == len(rows) and any(held[axis])]
    axes += [axis for axis in SETTINGS if len(set(held[axis])) > 1]
    named = letters(row["flags"] for row in rows)
    body = [[*(str(row[axis]) for axis in axes), str(row["seeds"]), _value(row) + marks(row["flags"], named)] for row in rows]
    head = [*(axis.replace("_", " ") for axis in axes), "runs", measure]
    return Sheet(f"{task}: {measure}", head, body, list(_notes(measure, rows, named)))


def _value(row: Row) -> str:
    return ranged(row["value"], row["ci_low"], row["ci_high"])


def _notes(measure: str, rows: list[Row], named: dict[str, str]) -> Iterator[str]:
    from results.analyses.measures import FLAGS, MEASURES

    unit = {"worst": "return", "area": "return", "gain": "return", "half lost": "strength of the noise"}.get(measure, "ratio")
    reference, interval = (listed(row[name] for row in rows) for name in ("reference", "interval"))
    compared = f" Reference: {reference}." if reference else ""
    yield f"{measure[0].upper()}{measure[1:]}: {MEASURES[measure]}.{compared}"
    runs = count(row["seeds"] for row in rows)
    yield f"Unit: {unit}. n = {runs} training runs. Final-score rule: {rows[0]['final']}."
    if interval:
        yield f"Brackets: {100 * rows[0]['confidence']:g} % interval, {interval}, paired within each trained model."
    yield from legend(named, FLAGS)
