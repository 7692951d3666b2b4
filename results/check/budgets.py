"""Unequal budgets, runs that stopped early or are not done, and counters that run fast."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from results import benchmarks
from results.check import NOTE, PROBLEM, Evidence, Finding, by_method, listed

UNEQUAL = 1.1  # the furthest run of one method over that of another, from which on budgets are not the same
SHORT = 0.9  # of the furthest run of its task and method
FAST = (5e-4, 5e-3)  # a counter is fast by so much: 0.2 % where a reset counts as a step of an episode of 500
BEYOND = 0.01  # of the budget: points further than that are another budget


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.results is None:
        return
    runs = _ends(evidence)
    yield from _unequal(runs[runs.done & (runs.agent != "random")])
    for where, own in by_method(runs):
        yield from _early(where, own[own.done & (own.agent != "random")])
        if len(waiting := own[~own.done]):
            what = f"{len(waiting)} of {len(own)} runs are not done: {listed(waiting.label + ' (' + waiting.state + ')')}."
            why = "Their evaluation is in no number; their training points are in learning curves."
            yield Finding("unfinished", NOTE, where, what, why, "Run the same command again; it resumes them.")
        yield from _fast(where, own)


def _ends(evidence: Evidence) -> pd.DataFrame:
    """The runs with `end`, the frames of their last row (without one: steps), and `stride`, the usual distance of points."""
    runs, e = evidence.runs, evidence.results.episodes
    frames = pd.to_numeric(e.frames if "frames" in e else e.step).fillna(e.step)
    last = frames.groupby(e.path).max()
    training = pd.DataFrame({"path": e.path, "frames": frames})[e.split == "train"].sort_values(["path", "frames"])
    gap = training.frames.diff().where(~training.path.ne(training.path.shift()))
    usual = gap[gap > 0].groupby(training.path).agg(lambda gaps: gaps.median() if (gaps == gaps.median()).mean() > 0.5 else 0)
    return runs.assign(end=runs.path.map(last).fillna(runs.step), stride=runs.path.map(usual).fillna(0))


def _unequal(runs: pd.DataFrame) -> Iterator[Finding]:
    """Between methods on a task; one finding for each benchmark."""
    furthest = runs.groupby(["benchmark", "task", "method"]).end.max().reset_index()
    for benchmark, own in furthest.groupby("benchmark", sort=True):
        ends = own.groupby("task").end
        if len(mixed := own[ends.transform("max") > UNEQUAL * ends.transform("min")]):
            per_method = mixed.groupby("method").end.max()
            told = ", ".join(f"{method} {end:g}" for method, end in per_method.items())
            what = f"methods end at different frames on {listed(mixed.task.unique())}: {told}."
            why = "A method that was trained longer scores more for that alone."
            do = "Compare at the smaller budget (--final window cuts there), or in tables of their own."
            yield Finding("unequal_budgets", PROBLEM, benchmark, what, why, do)


def _early(where: str, runs: pd.DataFrame) -> Iterator[Finding]:
    short = runs[(runs.end < SHORT * runs.groupby("task").end.transform("max")) | (runs.step < SHORT * runs.steps)]
    if len(short):
        told = listed(f"{label} at {end:g}" for label, end in zip(short.label, short.end, strict=True))
        what = (
            f"{len(short)} of {len(runs)} runs end before {SHORT:.0%} of the furthest of their task, or of their steps: {told}."
        )
        why = "What stopped them may depend on how they did; a last score of theirs is one of less training."
        yield Finding("stopped_early", PROBLEM, where, what, why, "Run them to their end, or leave them out by name.")


def _fast(where: str, runs: pd.DataFrame) -> Iterator[Finding]:
    budget = benchmarks.get(runs.benchmark.iloc[0]).budget
    beyond = runs[(runs.end > budget) & (runs.end <= (1 + BEYOND) * budget)] if budget else runs.iloc[:0]
    scale = 10.0 ** np.floor(np.log10(runs.stride.where(runs.stride > 0, 1)))
    excess = runs.stride / (np.round(runs.stride / scale) * scale) - 1
    fast = runs[excess.between(*FAST) | runs.index.isin(beyond.index)]
    if len(fast):
        told = listed(f"{run.label} (last frame {run.end:g}, usual distance {run.stride:g})" for run in fast.itertuples())
        what = f"the frame counter of {len(fast)} runs runs fast, or ends just beyond the budget: {told}."
        why = "Steps that are none (resets) are counted; points beyond the budget are in no final window."
        yield Finding("fast_counter", NOTE, where, what, why, "Divide the counter by what it counts too much, on import.")
