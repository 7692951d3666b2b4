"""Rows without a number, runs whose returns never change, runs of a single point, episodes recorded twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from results.check import NOTE, PROBLEM, Evidence, Finding, by_method, listed


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs, episodes = evidence.runs.table, evidence.runs.results.episodes
    finite = np.isfinite(episodes["return"])
    values = episodes[finite].groupby("path")["return"].agg(points="size", low="min", high="max")
    runs = runs.assign(nulls=_per_run(runs, episodes[~finite]), repeated=_per_run(runs, _repeated_episodes(episodes)))
    runs = runs.join(values, on="path").fillna({"points": 0})
    for where, group in by_method(runs):
        yield from _of_method(where, group)


def _of_method(where: str, runs: pd.DataFrame) -> Iterator[Finding]:
    nulls = runs[runs.nulls > 0]
    if len(nulls):
        what = f"{int(nulls.nulls.sum())} rows without a return in {len(nulls)} runs: {listed(nulls.label)}."
        why = "A bin without a finished episode is not a score of zero. Such rows enter no number."
        do = "Nothing, if the file means an empty bin; else find out why the return was not finite."
        yield Finding("nulls", NOTE, where, what, why, do)
    repeated = runs[runs.repeated > 0]
    if len(repeated):
        count = int(repeated.repeated.sum())
        what = f"{count} evaluation episodes are recorded more than once in {len(repeated)} runs: {listed(repeated.label)}."
        why = "An episode that counts twice makes a score look too precise. Tables use one record."
        yield Finding("repeated_episodes", PROBLEM, where, what, why, "Find out which program wrote them twice.")
    flat = runs[(runs.points > 1) & (runs.low == runs.high)]
    if len(flat):
        what = f"every return is the same in {len(flat)} runs: {listed(flat.label)}."
        why = "Some tasks never give a score, or the reward never reaches the agent. The interval has no width."
        yield Finding("constant_run", NOTE, where, what, why, "Look at one of these runs; trust no interval of width zero.")
    tasks_with_more = set(runs.task[runs.points > 1])
    single = runs[(runs.points == 1) & runs.task.isin(tasks_with_more)]
    if len(single):
        what = f"{len(single)} runs have a single point, where others of their task have more: {listed(single.label)}."
        why = "Such a run stopped at once, or is a summary and no run."
        yield Finding("single_point", PROBLEM, where, what, why, "Run them to their end, or leave them out by name.")
    empty = runs[(runs.points == 0) & runs.done]
    if len(empty):
        what = f"{len(empty)} runs are done but have no return: {listed(empty.label)}."
        why = "They enter no number, and nobody sees that they are missing."
        yield Finding("empty_run", PROBLEM, where, what, why, "Run them again, or leave them out by name.")


def _per_run(runs: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """The number of rows of every run."""
    return runs.path.map(rows.groupby("path").size()).fillna(0)


def _repeated_episodes(episodes: pd.DataFrame) -> pd.DataFrame:
    numbered = episodes[(episodes.split == "eval") & episodes.episode.notna()]
    return numbered[numbered.duplicated(["path", "step", "noise", "policy", "episode"])]
