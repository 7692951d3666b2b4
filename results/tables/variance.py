"""Variance: how much scores differ between training runs and between episodes of one, and what episodes are worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from results.tables._text import count, legend, letters, listed, marks, number

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
    """One sheet: a row per task and method."""
    from results.tables import Sheet

    if not len(long):
        return []
    named = letters(long["flags"])
    body = [
        [
            *(row["task"], row["method"] + marks(row["flags"], named), str(row["seeds"]), str(row["episodes"])),
            *(number(row[name]) for name in ("mean", "seed_sd", "episode_sd", "icc", "design_effect")),
        ]
        for row in long.to_dict("records")
    ]
    head = ["task", "method", "runs", "episodes", "mean", "sd of runs", "sd of episodes", "ICC", "design effect"]
    return [Sheet("Variance components", head, body, list(_notes(long, named)))]


def _notes(rows: pd.DataFrame, named: dict[str, str]) -> Iterator[str]:
    from results.analyses.variance import FLAGS
    from results.reading.load import FINAL

    yield (
        f"Unit: return. n = {count(rows.seeds)} training runs, {count(rows.episodes)} episodes of all runs together. "
        f"Final-score rule: {listed(rows.final)}."
    )
    if (rows.final != FINAL).any():
        yield "Episodes: training points where there is no evaluation by that rule; the mean of a bin counts as one episode."
    yield (
        "ICC: the training runs' share of the variance, 0 where runs differ no more than their episodes do. Design effect: "
        "episodes of one run worth one independent episode."
    )
    yield from legend(named, FLAGS)
