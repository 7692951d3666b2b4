"""Variance: how much of it lies between training runs, and how much between episodes of one run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from results import benchmarks
from results.reading import load
from results.scoring import cells, run_scores, score_rules
from results.statistics.components import variance_components

COLUMNS = ["task", "method", "seeds", "episodes", "seed_sd", "episode_sd", "icc", "design_effect", "mean", "unit"]
COLUMNS += ["benchmark", "final", "flags"]
POINTS = "last tenth of budget"  # the rule where runs hold no evaluation: it selects more points than a final window
FLAGS = {
    "one_seed": "one training run: the spread between runs is unknown",
    "one_episode": "one episode per run: the spread between episodes is unknown",
    "few_seeds": "fewer than 5 training runs: the spread between runs is known within a factor of 2 or 3 only",
}


def table(results: load.Results, score_rule: str | None = None) -> pd.DataFrame:
    """One row per task and method with COLUMNS, by mean squares (`statistics.components`).

    design_effect: the number of episodes of one model that are worth one independent episode, at their mean number per run.
    Evaluation episodes without noise where there are any, else the training points of the rule POINTS.
    """
    all_runs, _ = cells.distinct_runs(results.runs)
    all_runs = all_runs.assign(method=run_scores.method_names(all_runs))
    final = load.final_episodes(results)
    evaluations = final[(final.noise == "clean") & np.isfinite(final["return"])]
    training = run_scores.training_points(results, all_runs)
    rows: list[dict[str, Any]] = []
    for _, runs in all_runs.groupby("benchmark", sort=True):
        benchmark = benchmarks.get(runs.benchmark.iloc[0])
        evaluated = bool(len(runs[runs.done])) and runs[runs.done].path.isin(evaluations.path).all()
        rule = score_rules.canonical_name(score_rule) or (load.FINAL if evaluated else POINTS)
        points = evaluations
        if rule != load.FINAL:
            points = score_rules.select_points(rule, training[training.path.isin(runs.path)], benchmark)
        returns = {path: values.to_numpy() for path, values in points.groupby("path")["return"]}
        for (task, method), method_runs in runs.groupby(["task", "method"], sort=True):
            models = [returns[path] for path in method_runs.path if path in returns]
            if models:
                rows.append(_row(models) | {"task": task, "method": method, "benchmark": benchmark.name, "final": rule})
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(models: list[np.ndarray]) -> dict[str, Any]:
    """models: the returns of each training run's episodes."""
    variance = variance_components(models)
    flags = ["one_seed"] if variance.seeds == 1 else ["few_seeds"] if variance.seeds < 5 else []
    flags += ["one_episode"] if max(map(len, models)) == 1 else []
    row = {"seeds": variance.seeds, "episodes": variance.episodes, "seed_sd": variance.seed_sd}
    row |= {"episode_sd": variance.episode_sd, "icc": variance.icc}
    row |= {"design_effect": variance.design_effect(variance.episodes / variance.seeds)}
    return row | {"mean": float(np.mean([returns.mean() for returns in models])), "unit": "return", "flags": ";".join(flags)}
