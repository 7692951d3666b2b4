"""Profile: the share of runs whose normalised score is above each threshold, per method."""

from __future__ import annotations

from typing import Any

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
    score_rule: str | None = None,
    taus: np.ndarray = TAUS,
) -> pd.DataFrame:
    """One row per benchmark, method and tau with COLUMNS: the share of runs whose normalised score is above tau."""
    scored, root = run_scores.score_runs(results, score_rule), _methods.draw_root_seed(rng)
    parts: list[pd.DataFrame] = []
    for key, strata in run_scores.strata_of_methods(scored).items():
        profile = aggregates.profile(taus)
        numbers: dict[str, Any] = {"tau": taus, "fraction": strata.estimate(profile), "ci_low": np.nan, "ci_high": np.nan}
        if strata.replicated:
            replicates = strata.replicates({"profile": profile}, _methods.stream(root, *key), reps)["profile"]
            numbers["ci_low"], numbers["ci_high"] = intervals.percentile_interval(replicates.T, confidence)
        row = _methods.method_row(scored, key, strata) | {"confidence": confidence, "reps": reps}
        parts.append(pd.DataFrame(numbers).assign(**row)[COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
