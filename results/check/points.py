"""Rows without a number, runs whose returns never change, runs of a single point, episodes recorded twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from results.check import NOTE, PROBLEM, Evidence, Finding, by_method, listed


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.results is None:
        return
    runs, episodes = evidence.runs, evidence.results.episodes
    finite = np.isfinite(episodes["return"])
    values = episodes[finite].groupby("path")["return"].agg(points="size", low="min", high="max")
    runs = runs.assign(nulls=_per_run(runs, episodes[~finite]), twice=_per_run(runs, _twice(episodes)))
    runs = runs.join(values, on="path").fillna({"points": 0})
    for where, own in by_method(runs):
        yield from _of_method(where, own)


def _of_method(where: str, runs: pd.DataFrame) -> Iterator[Finding]:
    if runs.nulls.any():
        told = runs[runs.nulls > 0]
        what = f"{int(told.nulls.sum())} rows without a return in {len(told)} runs: {listed(told.label)}."
        why = "A bin without a finished episode is no score of zero; such rows are in no number."
        yield Finding("nulls", NOTE, where, what, why, "Nothing, where the file means so; else look for what was not finite.")
    if runs.twice.any():
        told = runs[runs.twice > 0]
        what = f"{int(told.twice.sum())} evaluation episodes recorded more than once in {len(told)} runs: {listed(told.label)}."
        why = "The same episode counted twice makes a score look more precise than it is; tables use one record."
        yield Finding("repeated_episodes", PROBLEM, where, what, why, "Find out which program wrote them twice.")
    flat = runs[(runs.points > 1) & (runs.low == runs.high)]
    if len(flat):
        what = f"every return is the same in {len(flat)} runs: {listed(flat.label)}."
        why = "Some tasks do that (no score at all); so does a reward that never reaches the agent. An interval has no width."
        yield Finding("constant_run", NOTE, where, what, why, "Look at one of these runs; trust no interval of width zero.")
    longer = set(runs.task[runs.points > 1])
    single = runs[(runs.points == 1) & runs.task.isin(longer)]
    if len(single):
        what = f"a single point in {len(single)} runs, where others of their task have more: {listed(single.label)}."
        why = "One point is a run that stopped at once, or a summary that passes for a run."
        yield Finding("single_point", PROBLEM, where, what, why, "Run them to their end, or leave them out by name.")
    empty = runs[(runs.points == 0) & runs.done]
    if len(empty):
        what = f"no return at all in {len(empty)} runs that are done: {listed(empty.label)}."
        why = "They are in no number, and nobody sees that they are missing."
        yield Finding("empty_run", PROBLEM, where, what, why, "Run them again, or leave them out by name.")


def _per_run(runs: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    return runs.path.map(rows.groupby("path").size()).fillna(0)


def _twice(episodes: pd.DataFrame) -> pd.DataFrame:
    tested = episodes[(episodes.split == "eval") & episodes.episode.notna()]
    return tested[tested.duplicated(["path", "step", "noise", "policy", "episode"])]
