"""RePo's constraint, run by run: the final KL, and whether KL, beta and loss stayed within their bounds."""

from __future__ import annotations

from math import e, inf, log
from typing import TYPE_CHECKING, Any

from results.reading.records import Record, records

if TYPE_CHECKING:
    import pandas as pd

    from results.reading.load import Results

METRICS = ["repo/kl", "repo/beta", "repo/loss", "repo/beta_at_cap", "repo/low_kl", "repo/kl_of_bound", "kl/max"]
METRICS += ["loss/reward", "reward/constant", "optimizer/skipped", "loss/total"]
AXES = ["task", "ablation", "train_noise", "train_seed", "variant"]
COLUMNS = [*AXES, "target", "e_folds", "updates", "kl", "kl_max", "kl_bound", "beta_low", "beta_high", "floor", "ceiling"]
COLUMNS += ["moved", "loss_max", "loss_bound", "skipped", "flags"]
SETTLED = 0.25  # the last part of the run, in which the KL should be constant
NEAR = 0.25  # largest relative distance from the target at which the constraint counts as met


def table(results: Results) -> pd.DataFrame:
    """One row per run of a RePo agent with COLUMNS. Nothing is random.

    kl: mean over the last quarter of the updates, nats per step. kl_max: largest KL of a single step. moved: largest
    distance of beta from its start, in e-folds. loss_max: largest |beta (K - target)|; loss_bound: its upper bound.
    Means are over the log intervals of metrics.jsonl. The error is `Nothing` if no run has a RePo agent.
    """
    import pandas as pd

    from harness.errors import NothingToShow
    from results.reading import metrics

    logged = metrics.logged_rows(results, METRICS, needed="repo/kl")
    runs = results.runs[results.runs.path.isin(logged.path)].sort_values([*AXES, "path"])
    if not len(runs):
        raise NothingToShow("None of these runs has metrics of RePo (agent.kl of kind repo).")
    rows = [_row(run, logged[logged.path == run["path"]]) for run in records(runs)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(run: Record, logged: pd.DataFrame) -> Record:
    from results.reading import metrics

    part, dual = metrics.config_value(run["path"], "agent", "kl"), metrics.config_value(run["path"], "agent", "kl", "dual")
    late = logged[logged.updates > (1 - SETTLED) * logged.updates.max()]
    bound = _kl_bound(metrics.config_value(run["path"], "agent", "latent"))
    beta, kl = logged["repo/beta"], float(late["repo/kl"].mean())
    moved = max(abs(log(x / part["init"])) for x in (beta.min(), beta.max())) if beta.gt(0).all() else inf
    row = {name: run[name] for name in AXES} | {
        "target": part["target"],
        "e_folds": dual["e_folds"],
        "updates": int(logged.updates.max()),
        "kl": kl,
        "kl_max": logged["kl/max"].max(),
        "kl_bound": bound,
        "beta_low": beta.min(),
        "beta_high": beta.max(),
        "floor": part["floor"],
        "ceiling": part["ceiling"],
        "moved": moved,
        "loss_max": logged["repo/loss"].abs().max(),
        "loss_bound": part["ceiling"] * max(bound - part["target"], part["target"]),
        "skipped": int(logged["optimizer/skipped"].max()),
    }
    return row | {"flags": ";".join(_flags(row, dual.get("limit", inf), logged, late))}


def _kl_bound(latent: dict[str, Any]) -> float:
    """The largest KL that two of the latent distributions can have, nats (agents/dreamer/parts/latent.py)."""
    if not latent.get("unimix"):
        return inf
    floor = latent["unimix"] / latent["classes"]
    return latent["latents"] * (1 - latent["unimix"]) * log((1 - latent["unimix"] + floor) / floor)


def _flags(row: Record, limit: float, logged: pd.DataFrame, late: pd.DataFrame) -> list[str]:
    import numpy as np

    slack = 1.001  # for float32 rounding and means over many steps
    finite = np.isfinite(logged[["repo/kl", "repo/beta", "loss/total"]].to_numpy(float))
    conditions = {
        "not_finite": not finite.all(),
        "updates_skipped": row["skipped"] > 0,
        "kl_above_bound": row["kl_max"] > slack * row["kl_bound"],
        "beta_outside": row["beta_low"] < row["floor"] / slack or row["beta_high"] > row["ceiling"] * slack,
        "beta_too_fast": row["moved"] > slack * row["e_folds"] * min(limit, 1e9) and limit < inf,
        "loss_above_bound": row["loss_max"] > slack * row["loss_bound"],
        "beta_growing": row["kl"] > row["target"] and late["repo/beta"].iloc[-1] > e * late["repo/beta"].iloc[0],
        "at_cap": late["repo/beta_at_cap"].mean() > 0.5,
        "above_target": row["kl"] > (1 + NEAR) * row["target"],
        "below_target": row["kl"] < (1 - NEAR) * row["target"],
        "collapsed": late["repo/low_kl"].mean() > 0.5 and late["loss/reward"].mean() >= late["reward/constant"].mean(),
    }
    return [name for name, holds in conditions.items() if holds]
