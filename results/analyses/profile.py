"""Profile: the share of runs whose normalised score is above each threshold, per method."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.analyses import _methods
from results.reading import load
from results.scoring import run_scores
from results.statistics import aggregates, intervals

COLUMNS = ["benchmark", "method", "tau", "fraction", "ci_low", "ci_high", "runs", "tasks", "confidence", "reps", "final"]
COLUMNS += ["normaliser", "flags"]
TAUS = np.linspace(0, 2, 81)
FLAGS = _methods.FLAGS


def table(
    results: load.Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    final: str | None = None,
    taus: np.ndarray = TAUS,
) -> pd.DataFrame:
    """One row per benchmark, method and tau with COLUMNS: the share of runs whose normalised score is above tau."""
    scored, root, parts = run_scores.of_runs(results, final), _methods.root_seed(rng), []
    for key, runs in run_scores.strata(scored).items():
        of = aggregates.profile(taus)
        numbers = {"tau": taus, "fraction": runs.estimate(of), "ci_low": np.nan, "ci_high": np.nan}
        if runs.replicated:
            drawn = runs.replicates({"": of}, _methods.stream(root, *key), reps)[""]
            numbers["ci_low"], numbers["ci_high"] = intervals.percentile_interval(drawn.T, confidence)
        row = _methods.row(scored, key, runs) | {"confidence": confidence, "reps": reps}
        parts.append(pd.DataFrame(numbers).assign(**row)[COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
