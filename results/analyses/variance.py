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
POINTS = "last tenth of budget"  # of training points, where runs hold no evaluation: more of them than a final window
FLAGS = {
    "one_seed": "one training run: nothing is known of the spread between runs",
    "one_episode": "one episode per run: nothing is known of the spread between episodes",
    "few_seeds": "fewer than 5 training runs: the spread between runs is known within a factor of 2 or 3 only",
}


def table(results: load.Results, final: str | None = None) -> pd.DataFrame:
    """One row per task and method with COLUMNS, by mean squares (`statistics.components`).

    design_effect: of the mean number of episodes per run: so many episodes of one model are worth one independent one.
    Evaluation episodes without noise where there are any, else the training points of the rule POINTS.
    """
    runs, _ = cells.distinct(results.runs)
    runs = runs.assign(method=run_scores.methods(runs))
    own = load.final_episodes(results)
    own = own[(own.noise == "clean") & np.isfinite(own["return"])]
    training = run_scores.training_points(results, runs)
    rows = []
    for name, some in runs.groupby("benchmark", sort=True):
        evaluated = bool(len(some[some.done])) and some[some.done].path.isin(own.path).all()
        rule = score_rules.check(final) or (load.FINAL if evaluated else POINTS)
        benchmark = benchmarks.get(name)
        points = own if rule == load.FINAL else score_rules.select(rule, training[training.path.isin(some.path)], benchmark)
        returns = {path: values.to_numpy() for path, values in points.groupby("path")["return"]}
        for (task, method), group in some.groupby(["task", "method"], sort=True):
            models = [returns[path] for path in group.path if path in returns]
            if models:
                rows.append(_row(models) | {"task": task, "method": method, "benchmark": name, "final": rule})
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(models: list[np.ndarray]) -> dict[str, Any]:
    found = variance_components(models)
    flags = ["one_seed"] if found.seeds == 1 else ["few_seeds"] if found.seeds < 5 else []
    flags += ["one_episode"] if max(map(len, models)) == 1 else []
    row = {"seeds": found.seeds, "episodes": found.episodes, "seed_sd": found.seed_sd, "episode_sd": found.episode_sd}
    row |= {"icc": found.icc, "design_effect": found.design_effect(found.episodes / found.seeds)}
    return row | {"mean": float(np.mean([m.mean() for m in models])), "unit": "return", "flags": ";".join(flags)}
