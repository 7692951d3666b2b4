"""Score rules: which of a run's numbers its final score is the mean of. The rule's name is part of every number.

Other rules move the headline of the same data by up to 18 points of human-normalised mean; the
`sensitivity` table shows by how much here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from harness.errors import unknown
from results.benchmarks import Benchmark
from results.reading import load

BINS = 30  # of the budget, as in the learning curves that DreamerV3's own plots show
POINTS = 10

# Points: path, method, task, frames, return (finite), sorted by path and frames; all of one benchmark. A rule selects those
# that count; a run of which none does is missing: neither zero nor carried forward.
Points = pd.DataFrame
Rule = Callable[[Points, Benchmark], Points]


def window(points: Points, benchmark: Benchmark) -> Points:
    """Points with A - W <= frames <= A, both ends in; by the benchmark's anchor A is the budget, or the largest frame
    <= budget over all runs of that method on that task."""
    anchor = pd.Series(benchmark.budget, points.index)
    if benchmark.anchor == "last":
        within = points[points.frames <= benchmark.budget]
        last = within.groupby(["method", "task"]).frames.max().rename("last").reset_index()
        anchor = points[["method", "task"]].merge(last, how="left").set_index(points.index)["last"]
    return points[(points.frames >= anchor - benchmark.window) & (points.frames <= anchor)]


def last_point(points: Points, benchmark: Benchmark) -> Points:
    """The last point of each run."""
    return points.groupby("path").tail(1)


def last_points(points: Points, benchmark: Benchmark) -> Points:
    """The last POINTS points of each run."""
    return points.groupby("path").tail(POINTS)


def run_window(points: Points, benchmark: Benchmark) -> Points:
    """The points in the window that ends where the run ends."""
    end = points.groupby("path").frames.transform("max")
    return points[points.frames >= end - benchmark.window]


def last_tenth(points: Points, benchmark: Benchmark) -> Points:
    """The points in the last tenth of the budget, both ends in."""
    return points[(points.frames >= 0.9 * benchmark.budget) & (points.frames <= benchmark.budget)]


def last_bin(points: Points, benchmark: Benchmark) -> Points:
    """The points in the last of BINS bins of the budget."""
    return points[_bins(points, benchmark) == BINS - 1]


def best_bin(points: Points, benchmark: Benchmark) -> Points:
    """The points in the best of BINS bins of the budget, per run: a maximum over noise, never a fair score."""
    binned = points.assign(bin=_bins(points, benchmark))
    binned = binned[binned.bin.between(0, BINS - 1)]
    if binned.empty:
        return binned
    means = binned.groupby(["path", "bin"])["return"].mean()
    best = pd.MultiIndex.from_tuples(means.groupby(level="path").idxmax(), names=["path", "bin"])
    return binned.set_index(["path", "bin"]).loc[best].reset_index()


RULES: dict[str, Rule] = {
    "window": window,
    "last point": last_point,
    f"last {POINTS} points": last_points,
    "own window": run_window,
    "last tenth of budget": last_tenth,
    f"last of {BINS} bins": last_bin,
    f"best of {BINS} bins": best_bin,
}
NAMES = (load.FINAL, *RULES)  # the first: the run's own evaluation, without noise


def canonical_name(name: str | None) -> str | None:
    """The rule's name as it is written under tables; `last-10-points` is the same as `last 10 points`. None stays."""
    spelled = name and name.replace("-", " ").replace("_", " ")
    if spelled not in (None, *NAMES):
        raise unknown("final-score rule", name, NAMES)
    return spelled


def select_points(rule: str, points: Points, benchmark: Benchmark) -> Points:
    """The training points that count by a rule; none for one that needs a budget where none is registered."""
    if not benchmark.budget and rule not in ("last point", f"last {POINTS} points"):
        return points.iloc[:0]
    return RULES[rule](points, benchmark)


def mean_returns(rule: str, points: Points, benchmark: Benchmark) -> pd.Series:
    """path -> mean return of the points that count by a rule."""
    return select_points(rule, points, benchmark).groupby("path")["return"].mean()


def _bins(points: Points, benchmark: Benchmark) -> np.ndarray:
    """Bin [k B/30, (k + 1) B/30) of each point, the last with its right end; -1 and BINS lie outside."""
    edges = np.linspace(0, benchmark.budget, BINS + 1)
    bins = np.searchsorted(edges, points.frames, side="right") - 1
    return np.where(points.frames == edges[-1], BINS - 1, bins)
