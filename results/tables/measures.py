"""Measures: robustness in one number each: relative performance, worst noise, area, half lost, gain, mCE, ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import confidence as level
from results.tables._text import count, legend, letters, listed, marks, ranged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.load import Results
    from results.tables import Sheet

AXES = ["agent", "ablation", "train_noise", "eval_noise"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "variant", "policy"]


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, baseline: str | None = None) -> pd.DataFrame:
    """The long form of `results.summaries.table`; `baseline`: the ablation that mCE compares with."""
    from results import summaries

    return summaries.table(results, rng, reps, confidence, baseline)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per task and measure one sheet: a row per setting and noise."""
    from results.tables import Sheet

    if not len(long):
        return [Sheet("Robustness measures", ["task"], [], ["No setting was evaluated both with and without noise yet."])]
    return [_sheet(*key, rows) for key, rows in long.groupby(["task", "measure"], sort=False)]


def _sheet(task: str, measure: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    axes = [axis for axis in AXES if rows[axis].notna().all() and any(rows[axis])]
    axes += [axis for axis in SETTINGS if rows[axis].nunique() > 1]
    named = letters(rows["flags"])
    body = [
        [*(str(row[axis]) for axis in axes), str(row["seeds"]), _value(row) + marks(row["flags"], named)]
        for row in rows.to_dict("records")
    ]
    head = [*(axis.replace("_", " ") for axis in axes), "runs", measure]
    return Sheet(f"{task}: {measure}", head, body, list(_notes(measure, rows, named)))


def _value(row: dict) -> str:
    return ranged(row["value"], row["ci_low"], row["ci_high"])


def _notes(measure: str, rows: pd.DataFrame, named: dict[str, str]) -> Iterator[str]:
    from results.summaries import FLAGS, MEASURES

    unit = {"worst": "return", "area": "return", "gain": "return", "half lost": "strength of the noise"}.get(measure, "ratio")
    compared = f" Reference: {listed(rows.reference)}." if any(rows.reference) else ""
    yield f"{measure[0].upper()}{measure[1:]}: {MEASURES[measure]}.{compared}"
    yield f"Unit: {unit}. n = {count(rows.seeds)} training runs. Final-score rule: {rows.final.iloc[0]}."
    if any(rows.interval):
        yield f"Brackets: {level(rows)} interval, {listed(rows.interval)}, paired within each trained model."
    yield from legend(named, FLAGS)
