"""Scores: the score of every task and method, by a named rule, with an interval over training runs."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from results import benchmarks
from results.reading import load
from results.scoring import run_scores
from results.statistics import contrasts, intervals

COLUMNS = ["benchmark", "task", "method", "runs", "runs_missing", "score", "ci_low", "ci_high", "normalized"]
COLUMNS += ["normalized_low", "normalized_high", "best", "interval", "confidence", "final", "normaliser", "flags"]
FLAGS = run_scores.FLAGS


def table(results: load.Results, confidence: float = 0.95, final: str | None = None) -> pd.DataFrame:
    """One row per task and method with COLUMNS: mean over runs of run scores, Student's t interval over runs.

    runs: those in the score; runs_missing: those without one. A single run has no interval. best: of its task, by
    contrasts that support it.
    """
    scored = run_scores.of_runs(results, final)
    rows = [_row(key, some, confidence) for key, some in scored.groupby(["benchmark", "task", "method"], sort=True)]
    return pd.DataFrame(rows, columns=COLUMNS).assign(best=_best(scored, confidence))


def _best(scored: pd.DataFrame, confidence: float) -> list[bool]:
    """Whether a method is the best of its task, by contrasts that support it; in the order of `table`."""
    found = []
    for _, runs in scored.groupby(["benchmark", "task"], sort=True):
        groups = [own.score.dropna().to_numpy() for _, own in runs.groupby("method", sort=True)]
        measured = [group for group in groups if len(group)]
        place = contrasts.best_group(measured, confidence)
        found += [place is not None and group is measured[place] for group in groups]
    return found


def _row(key: tuple[str, str, str], runs: pd.DataFrame, confidence: float) -> dict:
    values = runs.score.dropna().to_numpy()
    benchmark = benchmarks.get(key[0])
    low, high = benchmark.ends(key[1])
    score, *ends = intervals.mean_interval(values, confidence)
    normalized = [(value - low) / (high - low) for value in (score, *ends)]
    row = dict(zip(["benchmark", "task", "method"], key, strict=True))
    row |= {"runs": len(values), "runs_missing": len(runs) - len(values), "score": score}
    row |= dict(
        zip(["ci_low", "ci_high", "normalized", "normalized_low", "normalized_high"], [*ends, *normalized], strict=True)
    )
    row |= {"interval": "t-runs" if len(values) > 1 else "", "confidence": confidence, "final": runs.final.iloc[0]}
    return row | {"normaliser": benchmark.normaliser, "flags": ";".join(_flags(runs, ends, low != low))}


def _flags(runs: pd.DataFrame, ends: list[float], unknown: bool) -> Iterator[str]:
    known = runs.score.notna()
    if known.sum() == 1:
        yield "one_run"
    yield from run_scores.missing(runs)
    if runs.repeats.any():
        yield f"duplicate_seed:{int(runs.repeats.sum())}"
    if unknown:
        yield "no_normaliser"
    if ends[0] == ends[1]:
        yield "no_spread"
