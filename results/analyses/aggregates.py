"""Aggregates: mean, median, IQM and optimality gap over the tasks of a benchmark, per method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from results.analyses import _methods
from results.reading import load
from results.scoring import run_scores
from results.statistics import aggregates, intervals
from results.statistics.strata import Strata, exceeds

COLUMNS = ["benchmark", "method", "metric", "value", "ci_low", "ci_high", "runs", "tasks", "runs_missing", "best"]
COLUMNS += ["interval", "confidence", "reps", "final", "normaliser", "flags"]
LOWER_IS_BETTER = {"optimality_gap"}
NO_INTERVAL = (np.nan, np.nan)
FLAGS = _methods.FLAGS

Row = dict[str, Any]
Replicates = dict[str, np.ndarray]  # metric -> (reps,)


def table(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, score_rule: str | None = None
) -> pd.DataFrame:
    """One row per benchmark, method and metric of `statistics.aggregates.METRICS` with COLUMNS, in that order.

    best: above every other method of the benchmark (`strata.exceeds`), at a confidence that allows for their number.
    tasks, runs: those that are in the number.
    """
    scored = run_scores.score_runs(results, score_rule)
    rows, replicates = rows_of_methods(scored, _methods.draw_root_seed(rng), reps, confidence)
    methods = run_scores.strata_of_methods(scored)
    best = [_is_best(row, rows, methods, replicates, confidence) for row in rows]
    return pd.DataFrame(rows, columns=COLUMNS).assign(best=best)


def rows_of_methods(
    scored: pd.DataFrame, root: int, reps: int, confidence: float
) -> tuple[list[Row], dict[_methods.Method, Replicates]]:
    """The rows of `table` without `best`; and the bootstrap replicates of each method, none where it has no replication."""
    rows: list[Row] = []
    replicates: dict[_methods.Method, Replicates] = {}
    for key, strata in run_scores.strata_of_methods(scored).items():
        method_row = _methods.method_row(scored, key, strata) | {"confidence": confidence, "reps": reps}
        method_row["runs_missing"] = int(_methods.runs_of(scored, key).score.isna().sum())
        if strata.replicated:
            replicates[key] = strata.replicates(aggregates.METRICS, _methods.stream(root, *key), reps)
        for metric, statistic in aggregates.METRICS.items():
            interval = intervals.percentile_interval(replicates[key][metric], confidence) if key in replicates else NO_INTERVAL
            number = {
                "metric": metric,
                "value": float(strata.estimate(statistic)),
                "ci_low": interval[0],
                "ci_high": interval[1],
            }
            rows.append(method_row | number | {"interval": _methods.BOOTSTRAP if key in replicates else ""})
    return rows, replicates


def _is_best(
    row: Row,
    rows: list[Row],
    methods: dict[_methods.Method, Strata],
    replicates: dict[_methods.Method, Replicates],
    confidence: float,
) -> bool:
    """Whether the method of a row is above every other method of its benchmark in the metric of that row."""
    benchmark, metric, method = row["benchmark"], row["metric"], (row["benchmark"], row["method"])
    sign = -1 if metric in LOWER_IS_BETTER else 1
    rivals = (other for other in rows if (other["benchmark"], other["metric"]) == (benchmark, metric))
    leads = {(benchmark, rival["method"]): sign * (row["value"] - rival["value"]) for rival in rivals}
    del leads[method]
    if not leads or any(key not in replicates for key in (method, *leads)):
        return False
    tail = (1 - confidence) / 2 / len(leads)  # Bonferroni's correction for their number
    return all(
        exceeds(methods[method], methods[rival], lead, sign * (replicates[method][metric] - replicates[rival][metric]), tail)
        for rival, lead in sorted(leads.items(), key=lambda item: item[1])  # the strongest first: most differences are skipped
    )
