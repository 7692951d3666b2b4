"""Learning over all tasks of a benchmark: aggregates of normalised scores along environment frames, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from results import benchmarks
from results.analyses import _methods
from results.reading import load
from results.scoring import cells, run_scores
from results.statistics import aggregates, intervals
from results.statistics.strata import Strata

BINS = 30
COLUMNS = ["benchmark", "method", "metric", "frames_low", "frames", "value", "ci_low", "ci_high", "runs", "runs_of", "tasks"]
COLUMNS += ["tasks_of", "complete", "confidence", "reps", "normaliser"]


def table(
    results: load.Results,
    rng: np.random.Generator,
    reps: int = 2000,
    confidence: float = 0.95,
    metrics: tuple[str, ...] = ("mean", "median", "iqm"),
) -> pd.DataFrame:
    """One row per benchmark, method, metric and bin of frames with COLUMNS: the aggregate of run scores in that bin.

    A run's score in a bin is the mean of its training points in it; a bin without one leaves the run out: no score is
    carried forward. complete: whether every task of the method has a run in the bin. A point of an incomplete bin is of other
    tasks than its neighbours, so figures mark it. frames: right end of the bin. BINS bins reach to the benchmark's budget, or
    to the last point where no budget is registered.
    """
    runs, _ = cells.distinct_runs(results.runs)
    runs = runs.assign(method=run_scores.method_names(runs))
    all_points, root = run_scores.training_points(results, runs), _methods.draw_root_seed(rng)
    rows: list[dict[str, Any]] = []
    for _, points in all_points.groupby("benchmark", sort=True):
        benchmark = benchmarks.get(points.benchmark.iloc[0])
        bounds = pd.DataFrame([benchmark.bounds(task) for task in points.task], points.index, ["low", "high"])
        normalized = (points["return"] - bounds.low) / (bounds.high - bounds.low)
        width = (benchmark.budget or points.frames.max()) / BINS
        bins = np.maximum(np.ceil(points.frames / width), 1).astype(int)
        binned = points.assign(normalized=normalized, bin=bins)[normalized.notna() & (bins <= BINS)]
        for _, method_points in binned.groupby("method", sort=True):
            run_bins = method_points.groupby(["bin", "task", "path"]).normalized.mean().reset_index()
            method = method_points.method.iloc[0]
            totals = {"runs_of": run_bins.path.nunique(), "tasks_of": run_bins.task.nunique()}
            for _, in_bin in run_bins.groupby("bin", sort=True):
                place = int(in_bin.bin.iloc[0])
                strata = Strata.of({str(task): scores.normalized.to_numpy() for task, scores in in_bin.groupby("task")})
                row = {"benchmark": benchmark.name, "method": method, "runs": len(strata.values), "tasks": len(strata.tasks)}
                row |= totals | {"complete": len(strata.tasks) == totals["tasks_of"], "confidence": confidence, "reps": reps}
                row |= {"frames_low": (place - 1) * width, "frames": place * width, "normaliser": benchmark.normaliser}
                stream = _methods.stream(root, benchmark.name, method, str(place))
                rows += [row | numbers for numbers in _aggregates(strata, stream, metrics, reps, confidence)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _aggregates(
    strata: Strata, rng: np.random.Generator, metrics: tuple[str, ...], reps: int, confidence: float
) -> list[dict[str, Any]]:
    """Per metric its value and interval: metric, value, ci_low, ci_high."""
    statistics = {metric: aggregates.METRICS[metric] for metric in metrics}
    replicates = strata.replicates(statistics, rng, reps) if strata.replicated else {}
    rows: list[dict[str, Any]] = []
    for metric, statistic in statistics.items():
        low, high = intervals.percentile_interval(replicates[metric], confidence) if replicates else (np.nan, np.nan)
        rows.append({"metric": metric, "value": float(strata.estimate(statistic)), "ci_low": low, "ci_high": high})
    return rows
