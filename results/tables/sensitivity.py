"""Sensitivity: the same aggregates under every final-score rule, and how far each is from the rule in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import bootstrap, legend, letters, listed, marks, ranged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

SHOWN = ("mean", "median", "iqm", "capped_mean")  # csv and json hold all


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float) -> pd.DataFrame:
    """The long form of `analyses.sensitivity.table`."""
    from results.analyses import sensitivity

    return sensitivity.table(results, rng, reps, confidence)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per benchmark and method one sheet: a row per rule, a column per aggregate."""
    return [_sheet(*key, rows) for key, rows in long.groupby(["benchmark", "method"], sort=False)]


def _sheet(benchmark: str, method: str, rows: pd.DataFrame) -> Sheet:
    from results.tables import Sheet

    named, body = letters(rows["flags"]), []
    for rule, cells in rows.groupby("final", sort=False):
        own = {cell["metric"]: cell for cell in cells.to_dict("records")}
        first = own[SHOWN[0]]
        name = rule + (" (default)" if first["default"] else "") + marks(first["flags"], named)
        body.append([name, str(first["runs"]), *(_cell(own[metric]) for metric in SHOWN)])
    head = ["final-score rule", "runs", *(metric.replace("_", " ") for metric in SHOWN)]
    return Sheet(f"{benchmark}, {method}: sensitivity to the final-score rule", head, body, list(_notes(rows, named)))


def _cell(cell: dict) -> str:
    change = "" if cell["default"] or cell["change"] != cell["change"] else f" ({cell['change']:+.3f})"
    return ranged(cell["value"], cell["ci_low"], cell["ci_high"], 3) + change


def _notes(rows: pd.DataFrame, named: dict[str, str]) -> Iterator[str]:
    from results.analyses.sensitivity import FLAGS

    yield (
        f"Unit: normalised score, 0 and 1 = {listed(rows.normaliser)}. n: `runs`, training runs with a score by that rule. "
        f"Final-score rule: one per row; in parentheses the change from {listed(rows.final[rows.default]) or 'the default'}."
    )
    if rows.ci_low.notna().any():
        yield bootstrap(rows)
    yield from legend(named, FLAGS)
