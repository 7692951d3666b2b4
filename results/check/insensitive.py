"""Policies whose returns do not depend on the noise at all: they ignore what they see, which is no robustness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from results.check import PROBLEM, Evidence, Finding, by_method, listed
from results.reading import load


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = evidence.runs.table
    paths = insensitive_paths(load.final_episodes(evidence.runs.results))
    for where, group in by_method(runs[(runs.agent != "random") & runs.path.isin(paths)]):
        what = f"in {len(group)} runs every evaluation episode returns the same under every noise: {listed(group.label)}."
        why = "Such a policy does not depend on what it sees. Equal scores under noise are then no robustness."
        do = "Train longer, or take a task in which observations matter; do not read these rows as robust."
        yield Finding("insensitive", PROBLEM, where, what, why, do)


def insensitive_paths(episodes: pd.DataFrame) -> list[str]:
    """Runs that were evaluated under several noises, two or more episodes each, and whose episodes of equal `env_seed` all
    return the same. Episodes without a finite return or an environment seed count for nothing."""
    usable = episodes[np.isfinite(episodes["return"]) & episodes.env_seed.notna()]
    if usable.empty:
        return []
    per_seed = usable.groupby(["path", "env_seed"]).agg(
        noises=("noise", "nunique"), low=("return", "min"), high=("return", "max")
    )
    paired = per_seed[per_seed.noises > 1]
    per_run = paired.assign(equal=paired.low == paired.high).groupby("path").equal.agg(["size", "all"])
    return list(per_run.index[(per_run["size"] > 1) & per_run["all"]])
