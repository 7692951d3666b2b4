"""One-seed claims, tables whose differences are those of one seed, and tasks with fewer runs than others of the method."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from results.check import NOTE, PROBLEM, Evidence, Finding, by_method, listed
from results.reading.records import tuple_groups


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = evidence.runs.table
    yield from _one_seed_differences(runs[runs.agent != "random"])
    for where, group in by_method(runs[runs.agent != "random"]):
        counts = group.groupby("task").train_seed.nunique()
        if len(alone := counts[counts == 1]):
            what = f"one training run on {len(alone)} of {len(counts)} tasks: {listed(alone.index)}."
            why = "Training runs differ. One run shows the score of one model, not of the method; no interval can mend that."
            yield Finding("one_seed", PROBLEM, where, what, why, "Train more seeds, or claim nothing about the method there.")
        if counts.nunique() > 1:
            fewer = counts[counts < counts.max()]
            what = f"{counts.min()} to {counts.max()} runs per task; fewer than {counts.max()} on {listed(fewer.index)}."
            why = "In pooled aggregates (IQM, profile), tasks with more runs have more weight."
            do = "Train the missing runs, or read the task-balanced IQM."
            yield Finding("ragged_runs", NOTE, where, what, why, do)


def _one_seed_differences(runs: pd.DataFrame) -> Iterator[Finding]:
    """Tasks on which several settings have one training run each, so that tables set one run against another."""
    for (study, task), group in tuple_groups(runs, ["study", "task"], sort=True):
        counts = group.groupby(["method", "train_noise"]).train_seed.nunique()
        alone = [f"{method}, trained {noise}" for method, noise in counts.index[counts == 1]]
        if len(alone) > 1:
            what = f"{len(alone)} of {len(counts)} settings have one training run each: {listed(alone)}."
            why = "Every difference between them in the tables robustness, measures and ablations is that of one seed."
            do = "Train more seeds before comparing them."
            yield Finding("one_seed_differences", PROBLEM, f"{study}, {task}", what, why, do)
