"""Scores: the score of every task and method, by a named rule, with an interval over training runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from results import benchmarks
from results.reading import load
from results.scoring import run_scores
from results.statistics import contrasts, intervals

COLUMNS = ["benchmark", "task", "method", "runs", "runs_missing", "score", "ci_low", "ci_high", "normalized"]
COLUMNS += ["normalized_low", "normalized_high", "best", "interval", "confidence", "final", "normaliser", "flags"]
FLAGS = run_scores.FLAGS


def table(results: load.Results, confidence: float = 0.95, score_rule: str | None = None) -> pd.DataFrame:
    """One row per task and method with COLUMNS: mean over runs of run scores, Student's t interval over runs.

    runs: those in the score; runs_missing: those without one. A single run has no interval. best: of its task, by
    contrasts that support it.
    """
    scored = run_scores.score_runs(results, score_rule)
    rows = [_row(runs, confidence) for _, runs in scored.groupby(["benchmark", "task", "method"], sort=True)]
    return pd.DataFrame(rows, columns=COLUMNS).assign(best=_best(scored, confidence))


def _best(scored: pd.DataFrame, confidence: float) -> list[bool]:
    """Whether a method is the best of its task, by contrasts that support it; in the order of `table`."""
    best: list[bool] = []
    for _, runs in scored.groupby(["benchmark", "task"], sort=True):
        methods = [method_runs.score.dropna().to_numpy() for _, method_runs in runs.groupby("method", sort=True)]
        measured = [values for values in methods if len(values)]
        place = contrasts.best_group(measured, confidence)
        best += [place is not None and values is measured[place] for values in methods]
    return best


def _row(runs: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """The row of one task and method, from its runs."""
    values: np.ndarray = runs.score.dropna().to_numpy()
    row: dict[str, Any] = {name: runs[name].iloc[0] for name in ("benchmark", "task", "method")}
    benchmark = benchmarks.get(row["benchmark"])
    low, high = benchmark.bounds(row["task"])
    score, *ends = intervals.mean_interval(values, confidence)
    normalized = [(value - low) / (high - low) for value in (score, *ends)]
    names = ["score", "ci_low", "ci_high", "normalized", "normalized_low", "normalized_high"]
    row |= {"runs": len(values), "runs_missing": len(runs) - len(values)}
    row |= dict(zip(names, [score, *ends, *normalized], strict=True))
    row |= {"interval": "t-runs" if len(values) > 1 else "", "confidence": confidence, "final": runs.final.iloc[0]}
    return row | {"normaliser": benchmark.normaliser, "flags": ";".join(_flags(runs, ends, low == low))}


def _flags(runs: pd.DataFrame, ends: list[float], normalised: bool) -> Iterator[str]:
    if runs.score.notna().sum() == 1:
        yield "one_run"
    yield from run_scores.missing_flags(runs)
    if runs.repeats.any():
        yield f"duplicate_seed:{int(runs.repeats.sum())}"
    if not normalised:
        yield "no_normaliser"
    if ends[0] == ends[1]:
        yield "no_spread"
