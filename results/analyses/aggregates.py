"""Aggregates: mean, median, IQM and optimality gap over the tasks of a benchmark, per method."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.analyses import _methods
from results.reading import load
from results.scoring import run_scores
from results.statistics import aggregates, intervals
from results.statistics.strata import exceeds

COLUMNS = ["benchmark", "method", "metric", "value", "ci_low", "ci_high", "runs", "tasks", "runs_missing", "best"]
COLUMNS += ["interval", "confidence", "reps", "final", "normaliser", "flags"]
LOWER_IS_BETTER = {"optimality_gap"}
FLAGS = _methods.FLAGS


def table(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """One row per benchmark, method and metric of aggregates.METRICS with COLUMNS, in that order.

    best: above every other method of the benchmark (`strata.exceeds`), at a confidence that allows for their number.
    tasks, runs: those that are in the number.
    """
    scored = run_scores.of_runs(results, final)
    rows, drawn = of_methods(scored, _methods.root_seed(rng), reps, confidence)
    table, methods = pd.DataFrame(rows, columns=COLUMNS), run_scores.strata(scored)
    return table.assign(best=[_best(row, rows, methods, drawn, confidence) for row in rows])


def of_methods(scored: pd.DataFrame, root: int, reps: int, confidence: float) -> tuple[list[dict], dict]:
    """The rows of `table` without `best`; and each method's replicates by metric, None where it has no replication."""
    rows, drawn = [], {}
    for key, runs in run_scores.strata(scored).items():
        common = _methods.row(scored, key, runs) | {"confidence": confidence, "reps": reps}
        common["runs_missing"] = _methods.missing_runs(scored, key)
        drawn[key] = runs.replicates(aggregates.METRICS, _methods.stream(root, *key), reps) if runs.replicated else None
        for metric, of in aggregates.METRICS.items():
            low, high = intervals.percentile_interval(drawn[key][metric], confidence) if drawn[key] else (np.nan, np.nan)
            number = {"metric": metric, "value": float(runs.estimate(of)), "ci_low": low, "ci_high": high}
            rows.append(common | number | {"interval": _methods.BOOTSTRAP if drawn[key] else ""})
    return rows, drawn


def _best(row: dict, rows: list[dict], methods: dict, drawn: dict, confidence: float) -> bool:
    benchmark, metric, own = row["benchmark"], row["metric"], (row["benchmark"], row["method"])
    sign = -1 if metric in LOWER_IS_BETTER else 1
    same = (one for one in rows if (one["benchmark"], one["metric"]) == (benchmark, metric))
    ahead = {(benchmark, one["method"]): sign * (row["value"] - one["value"]) for one in same}
    del ahead[own]
    if not ahead or any(drawn[key] is None for key in (own, *ahead)):
        return False
    tail = (1 - confidence) / 2 / len(ahead)  # Bonferroni's correction for their number
    return all(
        exceeds(methods[own], methods[key], ahead[key], sign * (drawn[own][metric] - drawn[key][metric]), tail)
        for key in sorted(ahead, key=ahead.get)  # the strongest first: few differences are ever looked at
    )
