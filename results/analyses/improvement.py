"""Improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

from collections import Counter

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
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """One row per benchmark and ordered pair of methods that share a task, with COLUMNS: how often x beats y."""
    scored, root, rows = run_scores.of_runs(results, final), _methods.root_seed(rng), []
    methods = run_scores.strata(scored)
    for benchmark, rule in scored.groupby("benchmark").final.first().items():
        own = {method: runs for (name, method), runs in methods.items() if name == benchmark}
        streams = {method: _methods.stream(root, benchmark, method) for method in own}
        lacking = {method: list(run_scores.missing(scored[_methods.rows_of(scored, (benchmark, method))])) for method in own}
        common = {"benchmark": benchmark, "confidence": confidence, "reps": reps, "final": rule}
        for (x, y), drawn in improvement.bootstrap_pairs(own, streams, reps).items():
            a, b = own[x], own[y]
            per_task = improvement.probability_per_task(a, b)
            known = a.replicated or b.replicated
            low, high = intervals.percentile_interval(drawn, confidence) if known else (np.nan, np.nan)
            p, told = float(np.mean(list(per_task.values()))), ["no_width"] if low == high else []
            told += _summed(lacking[x] + lacking[y])
            common["tasks"] = len(per_task)
            rows.append(common | _pair(x, y, a, b, told) | {"probability": p, "ci_low": low, "ci_high": high})
            rows.append(common | _pair(y, x, b, a, told) | {"probability": 1 - p, "ci_low": 1 - high, "ci_high": 1 - low})
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["benchmark", "x", "y"], ignore_index=True)


def _pair(x: str, y: str, of_x: Strata, of_y: Strata, told: list[str]) -> dict:
    flags = [name for name, of in (("one_run_of_x", of_x), ("one_run_of_y", of_y)) if not of.replicated]
    if not (of_x.replicated or of_y.replicated):
        flags = ["unreplicated"]
    elif min(*of_x.sizes, *of_y.sizes) < _methods.FEW:
        flags.append("few_runs")
    if uncommon := len(set(of_x.tasks) ^ set(of_y.tasks)):
        flags.append(f"uncommon_tasks:{uncommon}")
    return {"x": x, "y": y, "runs_x": len(of_x.values), "runs_y": len(of_y.values), "flags": ";".join(flags + told)}


def _summed(flags: list[str]) -> list[str]:
    """Flags of several methods, each once, their counts added."""
    counts: Counter[str] = Counter()
    for flag in flags:
        name, _, many = flag.partition(":")
        counts[name] += int(many or 0)
    return [f"{name}:{many}" if many else name for name, many in counts.items()]
