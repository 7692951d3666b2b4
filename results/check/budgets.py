"""Unequal budgets, runs that stopped early or are not done, and counters that run fast."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from results import benchmarks
from results.check import NOTE, PROBLEM, Evidence, Finding, RunEvidence, by_method, listed
from results.reading.records import groups, records

UNEQUAL = 1.1  # ratio of the furthest runs of two methods, above which their budgets differ
SHORT = 0.9  # of the furthest run of its task and method
FAST = (5e-4, 5e-3)  # excess of a fast counter: 0.2 % if a reset counts as a step of an episode of 500
BEYOND = 0.01  # of the budget; points further out belong to another budget


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = _with_ends(evidence.runs)
    yield from _unequal(runs[runs.done & (runs.agent != "random")])
    for where, group in by_method(runs):
        yield from _early(where, group[group.done & (group.agent != "random")])
        if len(unfinished := group[~group.done]):
            names = listed(unfinished.label + " (" + unfinished.state + ")")
            what = f"{len(unfinished)} of {len(group)} runs are not done: {names}."
            why = "Their evaluations enter no number; their training points are in the learning curves."
            yield Finding("unfinished", NOTE, where, what, why, "Run the same command again; it resumes them.")
        yield from _fast(where, group)


def _with_ends(evidence: RunEvidence) -> pd.DataFrame:
    """The runs with `end`, the frames of their last row (else their step), and `stride`, the usual distance of points."""
    runs, e = evidence.table, evidence.results.episodes
    frames = pd.to_numeric(e.frames if "frames" in e else e.step).fillna(e.step)
    last = frames.groupby(e.path).max()
    training = pd.DataFrame({"path": e.path, "frames": frames})[e.split == "train"].sort_values(["path", "frames"])
    gap = training.frames.diff().where(~training.path.ne(training.path.shift()))
    usual = gap[gap > 0].groupby(training.path).agg(lambda gaps: gaps.median() if (gaps == gaps.median()).mean() > 0.5 else 0)
    return runs.assign(end=runs.path.map(last).fillna(runs.step), stride=runs.path.map(usual).fillna(0))


def _unequal(runs: pd.DataFrame) -> Iterator[Finding]:
    """Between methods on a task; one finding per benchmark."""
    furthest = runs.groupby(["benchmark", "task", "method"]).end.max().reset_index()
    for benchmark, group in groups(furthest, "benchmark", sort=True):
        ends = group.groupby("task").end
        if len(unequal := group[ends.transform("max") > UNEQUAL * ends.transform("min")]):
            per_method = unequal.groupby("method").end.max()
            ends_text = ", ".join(f"{method} {end:g}" for method, end in per_method.items())
            what = f"methods end at different frames on {listed(unequal.task.unique())}: {ends_text}."
            why = "A method with more training scores higher for that reason alone."
            do = "Compare at the smaller budget (--final window cuts there), or in separate tables."
            yield Finding("unequal_budgets", PROBLEM, benchmark, what, why, do)


def _early(where: str, runs: pd.DataFrame) -> Iterator[Finding]:
    short = runs[(runs.end < SHORT * runs.groupby("task").end.transform("max")) | (runs.step < SHORT * runs.steps)]
    if len(short):
        names = listed(f"{label} at {end:g}" for label, end in zip(short.label, short.end, strict=True))
        what = (
            f"{len(short)} of {len(runs)} runs end before {SHORT:.0%} of the furthest run of their task, or of their steps: "
            f"{names}."
        )
        why = "The cause may depend on their scores, and their last score is one of less training."
        yield Finding("stopped_early", PROBLEM, where, what, why, "Run them to their end, or leave them out by name.")


def _fast(where: str, runs: pd.DataFrame) -> Iterator[Finding]:
    budget = benchmarks.get(runs.benchmark.iloc[0]).budget
    beyond = runs[(runs.end > budget) & (runs.end <= (1 + BEYOND) * budget)] if budget else runs.iloc[:0]
    scale = 10.0 ** np.floor(np.log10(runs.stride.where(runs.stride > 0, 1)))
    excess = runs.stride / (np.round(runs.stride / scale) * scale) - 1
    fast = runs[excess.between(*FAST) | runs.index.isin(beyond.index)]
    if len(fast):
        names = listed(f"{run['label']} (last frame {run['end']:g}, usual distance {run['stride']:g})" for run in records(fast))
        what = f"the frame counter of {len(fast)} runs is too fast, or ends just beyond the budget: {names}."
        why = "It may count resets as steps. Points beyond the budget are in no final window."
        yield Finding("fast_counter", NOTE, where, what, why, "Divide the counter by its excess on import.")
