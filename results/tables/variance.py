"""Variance: the spread of scores between training runs, and between the episodes of one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.reading.records import records
from results.tables._text import count_range, distinct_text, flag_letters, flag_marks, flag_notes, number

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet


def make(results: Results, rng: np.random.Generator, final: str | None = None) -> pd.DataFrame:
    """The long form of `analyses.variance.table`. Nothing is random here; `rng` changes nothing."""
    from results.analyses import variance

    return variance.table(results, final)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet with a row per task and method."""
    from results.tables import Sheet

    if not len(long):
        return []
    letter_of = flag_letters(long["flags"])
    body = [
        [
            *(row["task"], row["method"] + flag_marks(row["flags"], letter_of), str(row["seeds"]), str(row["episodes"])),
            *(number(row[name]) for name in ("mean", "seed_sd", "episode_sd", "icc", "design_effect")),
        ]
        for row in records(long)
    ]
    head = ["task", "method", "runs", "episodes", "mean", "sd of runs", "sd of episodes", "ICC", "design effect"]
    return [Sheet("Variance components", head, body, list(_notes(long, letter_of)))]


def _notes(rows: pd.DataFrame, letter_of: dict[str, str]) -> Iterator[str]:
    from results.analyses.variance import FLAGS
    from results.reading.load import FINAL

    yield (
        f"Unit: return. n = {count_range(rows.seeds)} training runs, {count_range(rows.episodes)} episodes of all runs. "
        f"Final-score rule: {distinct_text(rows.final)}."
    )
    if (rows.final != FINAL).any():
        yield "Episodes: training points if there is no evaluation by that rule. The mean of a bin counts as one episode."
    yield (
        "ICC: the share of the variance between training runs; 0 if runs differ no more than their episodes do. Design "
        "effect: the number of episodes of one run that are worth one independent episode."
    )
    yield from flag_notes(letter_of, FLAGS)
