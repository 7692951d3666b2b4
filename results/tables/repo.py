"""RePo's constraint, run by run: the final KL, and whether KL, beta and loss stayed within their bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from results.analyses.repo import METRICS, NEAR, SETTLED
from results.reading.records import groups, records

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

__all__ = ["METRICS", "make", "sheets"]  # METRICS: the metrics that the table is made from, for the hash of its data


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float) -> pd.DataFrame:
    """The long form of `analyses.repo.table`. The options have no effect: nothing is random."""
    from results.analyses import repo

    return repo.table(results)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per task, with a row per run."""
    from results.tables import Sheet

    return [
        Sheet(f"{task}: RePo's constraint", *_head_and_body(rows), _notes(rows))
        for task, rows in groups(long, "task", sort=True)
    ]


def _head_and_body(rows: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    axes = ["ablation", "train_noise", "train_seed"]
    head = [name.replace("_", " ") for name in axes] + ["target", "e-folds", "K", "max KL", "beta", "moved", "max |loss|"]
    body = [
        [
            *(str(row[name]) for name in axes),
            f"{row['target']:g}",
            f"{row['e_folds']:g}",
            f"{row['kl']:.2f}",
            f"{row['kl_max']:.1f}",
            f"{row['beta_low']:.2g} to {row['beta_high']:.2g}",
            f"{row['moved']:.1f}",
            f"{row['loss_max']:.3g}",
            row["flags"] or "-",
        ]
        for row in records(rows)
    ]
    return [*head, "flags"], body


def _notes(rows: pd.DataFrame) -> list[str]:
    near = int((~rows["flags"].str.contains("_target")).sum())
    bounds = {"not_finite", "updates_skipped", "kl_above_bound", "beta_outside", "beta_too_fast", "loss_above_bound"}
    broken = sum(bool(bounds & set(text.split(";"))) for text in rows["flags"])
    return [
        f"{broken} of {len(rows)} runs left a bound; in {near} the KL ended within {NEAR:.0%} of its target.",
        f"K: the constrained KL in nats per step, mean over the last {SETTLED:.0%} of updates. max KL: of a single step; its "
        f"bound is {rows.kl_bound.min():.1f} nats. moved: the largest distance of beta from its start, in e-folds. e-folds: "
        "what a whole run allows at a violation of one target. max |loss|: of beta (K - target), over log intervals. "
        "beta_growing: beta grew by more than a factor of e over that last part, with K above its target.",
    ]
