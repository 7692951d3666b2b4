"""Sensitivity: the same aggregates under every final-score rule, and how far each is from the rule in use."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from results.analyses import _methods, aggregates
from results.reading import load
from results.scoring import run_scores, score_rules

COLUMNS = ["benchmark", "method", "final", "default", "metric", "value", "change", "ci_low", "ci_high", "runs", "tasks"]
COLUMNS += ["runs_missing", "confidence", "reps", "normaliser", "flags"]
FLAGS = _methods.FLAGS


def table(results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """The aggregates under every final-score rule that gives scores: COLUMNS, `change` from the default rule.

    default: whether the rule is the one that the other tables use for this benchmark.
    """
    default, *by_rule = run_scores.score_runs_by_rules(results, [None, *score_rules.NAMES])
    root = _methods.draw_root_seed(np.random.default_rng(_methods.draw_root_seed(rng)))
    rows = itertools.chain.from_iterable(aggregates.rows_of_methods(scored, root, reps, confidence)[0] for scored in by_rule)
    table = pd.DataFrame(rows, columns=aggregates.COLUMNS)
    table["default"] = table.final == table.benchmark.map(default.groupby("benchmark").final.first())
    key = ["benchmark", "method", "metric"]
    default_values = table[table.default].set_index(key).value
    table["change"] = table.value - default_values.reindex(pd.MultiIndex.from_frame(table[key])).to_numpy()
    flags = table["flags"].where(~table.final.str.startswith("best"), table["flags"] + ";best_of_many")
    table = table.assign(flags=flags.str.strip(";"), rule=table.final.map(score_rules.NAMES.index))
    return table.sort_values(["benchmark", "method", "rule"], kind="stable", ignore_index=True)[COLUMNS]
