"""Ablations: the change of each against the baseline, with intervals, p and Holm's correction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import Record, records, tuple_groups
from results.tables._text import (
    confidence_text,
    count_range,
    distinct_text,
    flag_letters,
    flag_marks,
    flag_notes,
    number,
    p_text,
    with_interval,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

SHEET = ["metric", "agent", "train_noise", "study", "preset", "size", "precision", "steps", "variant", "policy"]


def make(
    results: Results,
    rng: np.random.Generator,
    confidence: float,
    final: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
) -> pd.DataFrame:
    """The long form of `analyses.ablations.table`. Nothing is random here; `rng` changes nothing."""
    from results.analyses import ablations

    return ablations.table(results, confidence, final, baseline, margin)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per metric and setting, with a row per task and ablation."""
    groups_of_sheets = tuple_groups(long, SHEET, dropna=False)
    return [_sheet(dict(zip(SHEET, key, strict=True)), rows) for key, rows in groups_of_sheets]


def _sheet(key: Record, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    letter_of, has_margin = flag_letters(rows["flags"]), bool(rows.margin.notna().any())
    body = [_row(row, letter_of, has_margin) for row in records(rows)]
    head = ["task", "ablation", "runs", "difference", "p", "p (Holm)", *(["p (margin)"] if has_margin else [])]
    task = f" on {rows.task.iloc[0]}" if rows.task.nunique() == 1 else ""
    title = f"{key['metric']}{task}: ablation minus {rows.baseline.iloc[0]} ({key['agent']}, trained with {key['train_noise']})"
    return Sheet(title, head, body, list(_notes(key, rows, letter_of)))


def _row(row: Record, letter_of: dict[str, str], has_margin: bool) -> list[str]:
    decimals = 2 if row["unit"] == "return" else 3
    delta = with_interval(row["delta"], row["ci_low"], row["ci_high"], decimals) + flag_marks(row["flags"], letter_of)
    runs = f"{row['seeds']}, {row['seeds_baseline']}"
    margin = [p_text(row["p_equivalent"])] if has_margin else []
    return [row["task"], row["ablation"], runs, delta, p_text(row["p"]), p_text(row["p_holm"]), *margin]


def _notes(key: Record, rows: pd.DataFrame, letter_of: dict[str, str]) -> Iterator[str]:
    from results.analyses.ablations import FLAGS

    yield (
        f"Unit: {distinct_text(rows.unit)}. n, in the column `runs`: training runs of the ablation ({count_range(rows.seeds)}) "
        f"and of the baseline ({count_range(rows.seeds_baseline)}). Final-score rule: {distinct_text(rows.final)}."
    )
    yield "Settings: " + ", ".join(f"{name} {key[name]}" for name in SHEET[3:] if key[name] != "") + "."
    if str(key["metric"]).startswith("loss"):
        yield "Loss: the score without the noise minus the score under it."
    family = int(rows.family.iloc[0])
    contrasts = (
        "the one contrast of this metric that has" if family == 1 else f"the {family} contrasts of this metric that have"
    )
    correction = f"corrected for {contrasts} a p" if family else "no contrast here has a p"
    yield (
        f"Brackets: {confidence_text(rows)} interval. The interval and p are from Welch's t over training runs, unpaired. "
        f"p (Holm): {correction}. A large p is no evidence of no effect."
    )
    if rows.margin.notna().any():
        yield (
            f"p (margin): two one-sided tests of a difference of at least {number(rows.margin.min())} to "
            f"{number(rows.margin.max())}. A small p (margin) shows that there is no effect that matters."
        )
    yield from flag_notes(letter_of, FLAGS)
