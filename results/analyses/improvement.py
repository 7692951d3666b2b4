"""Improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from results.analyses import _methods
from results.reading import load
from results.scoring import run_scores
from results.statistics import improvement, intervals
from results.statistics.strata import Strata

COLUMNS = ["benchmark", "x", "y", "probability", "ci_low", "ci_high", "flags", "tasks", "runs_x", "runs_y", "confidence"]
COLUMNS += ["reps", "final"]
FLAGS = _methods.FLAGS


def table(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, score_rule: str | None = None
) -> pd.DataFrame:
    """One row per benchmark and ordered pair of methods that share a task, with COLUMNS: how often x beats y."""
    scored, root = run_scores.score_runs(results, score_rule), _methods.draw_root_seed(rng)
    rows: list[dict[str, Any]] = []
    all_methods = run_scores.strata_of_methods(scored)
    rules = scored.drop_duplicates("benchmark").sort_values("benchmark")
    for benchmark, rule in zip(rules.benchmark.tolist(), rules.final.tolist(), strict=True):
        methods = {method: strata for (name, method), strata in all_methods.items() if name == benchmark}
        streams = {method: _methods.stream(root, benchmark, method) for method in methods}
        missing = {method: list(run_scores.missing_flags(_methods.runs_of(scored, (benchmark, method)))) for method in methods}
        for (x, y), replicates in improvement.bootstrap_pairs(methods, streams, reps).items():
            strata_x, strata_y = methods[x], methods[y]
            per_task = improvement.probability_per_task(strata_x, strata_y)
            p = float(np.mean(list(per_task.values())))
            replicated = strata_x.replicated or strata_y.replicated
            low, high = intervals.percentile_interval(replicates, confidence) if replicated else (np.nan, np.nan)
            flags = ["no_width"] if low == high else []
            flags += _sum_flags(missing[x] + missing[y])
            row = {"benchmark": benchmark, "confidence": confidence, "reps": reps, "final": rule, "tasks": len(per_task)}
            rows.append(row | _pair_row(x, y, strata_x, strata_y, flags) | {"probability": p, "ci_low": low, "ci_high": high})
            reverse = {"probability": 1 - p, "ci_low": 1 - high, "ci_high": 1 - low}
            rows.append(row | _pair_row(y, x, strata_y, strata_x, flags) | reverse)
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["benchmark", "x", "y"], ignore_index=True)


def _pair_row(x: str, y: str, strata_x: Strata, strata_y: Strata, score_flags: list[str]) -> dict[str, Any]:
    """Names, numbers of runs and flags of a pair, from the side of x. score_flags: of the scores of both."""
    flags = [name for name, strata in (("one_run_of_x", strata_x), ("one_run_of_y", strata_y)) if not strata.replicated]
    if not (strata_x.replicated or strata_y.replicated):
        flags = ["unreplicated"]
    elif min(*strata_x.sizes, *strata_y.sizes) < _methods.FEW:
        flags.append("few_runs")
    if uncommon := len(set(strata_x.tasks) ^ set(strata_y.tasks)):
        flags.append(f"uncommon_tasks:{uncommon}")
    runs = {"runs_x": len(strata_x.values), "runs_y": len(strata_y.values)}
    return {"x": x, "y": y} | runs | {"flags": ";".join(flags + score_flags)}


def _sum_flags(flags: list[str]) -> list[str]:
    """Flags of several methods, each once, their counts added."""
    counts: Counter[str] = Counter()
    for flag in flags:
        name, _, count = flag.partition(":")
        counts[name] += int(count or 0)
    return [f"{name}:{count}" if count else name for name, count in counts.items()]
