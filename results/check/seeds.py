"""One-seed claims, and tasks with fewer runs than others of the same method."""

from __future__ import annotations

from collections.abc import Iterator

from results.check import NOTE, PROBLEM, Evidence, Finding, by_method, listed


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = evidence.runs.table
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
