"""Learning over all tasks of a benchmark: aggregates of normalised scores along environment frames, with intervals."""

from __future__ import annotations

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

    A run's score in a bin is the mean of its training points in it; a bin without one leaves the run out, never carries
    it forward. complete: whether every task of the method has a run in the bin; a point that is not is of other tasks
    than its neighbours and must be told apart. frames: right end of the bin, BINS of them to the benchmark's budget,
    or to the last point where none is registered.
    """
    runs, _ = cells.distinct(results.runs)
    runs = runs.assign(method=run_scores.methods(runs))
    points, root, rows = run_scores.training_points(results, runs), int(rng.integers(2**63)), []
    for name, of_benchmark in points.groupby("benchmark", sort=True):
        benchmark = benchmarks.get(name)
        ends = pd.DataFrame([benchmark.ends(task) for task in of_benchmark.task], of_benchmark.index, ["low", "high"])
        level = (of_benchmark["return"] - ends.low) / (ends.high - ends.low)
        width = (benchmark.budget or of_benchmark.frames.max()) / BINS
        place = np.ceil(of_benchmark.frames / width).clip(lower=1).astype(int)
        binned = of_benchmark.assign(level=level, bin=place)[level.notna() & (place <= BINS)]
        for method, own in binned.groupby("method", sort=True):
            per_run = own.groupby(["bin", "task", "path"])["level"].mean().reset_index()
            total = {"runs_of": per_run.path.nunique(), "tasks_of": per_run.task.nunique()}
            for place, some in per_run.groupby("bin", sort=True):
                strata = Strata.of({task: own_runs["level"] for task, own_runs in some.groupby("task")})
                at = {"frames_low": (place - 1) * width, "frames": place * width, "normaliser": benchmark.normaliser}
                row = {"benchmark": name, "method": method, "runs": len(strata.values), "tasks": len(strata.tasks)} | total
                row |= {"complete": row["tasks"] == row["tasks_of"], "confidence": confidence, "reps": reps} | at
                stream = _methods.stream(root, name, method, str(place))
                rows += [row | number for number in _numbers(strata, stream, metrics, reps, confidence)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _numbers(
    runs: Strata, rng: np.random.Generator, metrics: tuple[str, ...], reps: int, confidence: float
) -> list[dict[str, float | str]]:
    chosen = {metric: aggregates.METRICS[metric] for metric in metrics}
    drawn = runs.replicates(chosen, rng, reps) if runs.replicated else {}
    numbers = []
    for metric, of in chosen.items():
        low, high = intervals.percentile_interval(drawn[metric], confidence) if drawn else (np.nan, np.nan)
        numbers.append({"metric": metric, "value": float(runs.estimate(of)), "ci_low": low, "ci_high": high})
    return numbers
