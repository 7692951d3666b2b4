"""Ablations: what each changes against the baseline, with intervals, p and Holm's correction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import chance, count, legend, letters, listed, marks, number, ranged
from results.tables._text import confidence as level

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
    """Per metric and setting one sheet: a row per task and ablation."""
    return [_sheet(dict(zip(SHEET, key, strict=True)), rows) for key, rows in long.groupby(SHEET, sort=False, dropna=False)]


def _sheet(key: dict, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    named, margin = letters(rows["flags"]), rows.margin.notna().any()
    body = []
    for row in rows.to_dict("records"):
        decimals = 3 if row["unit"] != "return" else 2
        delta = ranged(row["delta"], row["ci_low"], row["ci_high"], decimals) + marks(row["flags"], named)
        cells = [row["task"], row["ablation"], f"{row['seeds']}, {row['seeds_baseline']}", delta]
        body.append([*cells, chance(row["p"]), chance(row["p_holm"]), *([chance(row["p_equivalent"])] if margin else [])])
    head = ["task", "ablation", "runs", "difference", "p", "p (Holm)", *(["p (margin)"] if margin else [])]
    task = f" on {rows.task.iloc[0]}" if rows.task.nunique() == 1 else ""
    title = f"{key['metric']}{task}: ablation minus {rows.baseline.iloc[0]} ({key['agent']}, trained with {key['train_noise']})"
    return Sheet(title, head, body, list(_notes(key, rows, named)))


def _notes(key: dict, rows: pd.DataFrame, named: dict[str, str]) -> Iterator[str]:
    from results.analyses.ablations import FLAGS

    yield (
        f"Unit: {listed(rows.unit)}. n: `runs`, training runs of the ablation ({count(rows.seeds)}) and of the baseline "
        f"({count(rows.seeds_baseline)}). Final-score rule: {listed(rows.final)}."
    )
    yield "Settings: " + ", ".join(f"{name} {key[name]}" for name in SHEET[3:] if key[name] != "") + "."
    if str(key["metric"]).startswith("loss"):
        yield "Loss: what a model scores less under the noise than without it."
    family = int(rows.family.iloc[0])
    several = "the one contrast of this metric that has" if family == 1 else f"the {family} contrasts of this metric that have"
    corrected = f"corrected for {several} a p" if family else "no contrast here has a p"
    yield (
        f"Brackets: {level(rows)} interval; it and p: Welch's t over training runs, unpaired. p (Holm): {corrected}. "
        "A large p is no evidence of no effect."
    )
    if rows.margin.notna().any():
        yield (
            f"p (margin): of a difference of at least {number(rows.margin.min())} to {number(rows.margin.max())} (two "
            "one-sided tests); small where there is no effect that matters."
        )
    yield from legend(named, FLAGS)
