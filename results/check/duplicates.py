"""Runs that are exact copies of others under another label; runs whose returns never change are no copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd

from results.check import PROBLEM, Evidence, Finding, listed
from results.scoring import cells


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.results is None:
        return
    runs = evidence.runs.set_index("path")
    alike = defaultdict(list)
    for path, content in _contents(evidence.results.episodes):
        alike[runs.task[path], content].append(path)
    for paths in alike.values():
        if len(paths) > 1:
            yield _copies(runs.loc[paths])
    yield from _repeated(evidence)


def _contents(episodes: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Path and points of every run with at least two different returns, in an order that rows do not decide."""
    known = episodes[np.isfinite(episodes["return"])]
    frames = known.frames if "frames" in known else known.step
    table = pd.DataFrame({"path": known.path, "frames": frames.astype(float), "value": known["return"]})
    table["noise"] = pd.factorize(known.split + known.noise, sort=True)[0].astype(float)
    table = table.sort_values(["path", "noise", "frames", "value"])
    if table.empty:
        return
    columns = table[["noise", "frames", "value"]].to_numpy(float)
    starts = np.flatnonzero(~table.path.duplicated().to_numpy())
    for path, rows in zip(table.path.iloc[starts], np.split(columns, starts[1:]), strict=True):
        if len(np.unique(rows[:, 2])) > 1:
            yield path, rows.tobytes()


def _copies(runs: pd.DataFrame) -> Finding:
    seeds = runs.train_seed.nunique() > 1 and runs.method.nunique() == 1
    how = "under several seed labels" if seeds else "under several names"
    what = f"{len(runs)} runs are equal point by point {how}: {listed(runs.label)}."
    where = f"{runs.task.iloc[0]}, {listed(runs.method.unique())}, seeds {listed(map(str, runs.train_seed.unique()))}"
    why = "Copies count as independent runs: the interval is too narrow and the count n too high."
    return Finding("duplicated_run", PROBLEM, where, what, why, "Keep one of them; find the run that it took the place of.")


def _repeated(evidence: Evidence) -> Iterator[Finding]:
    """Several runs of one setting and seed."""
    _, dropped = cells.distinct(evidence.runs)
    for (task, method), own in dropped.groupby(["task", "method"], sort=True):
        what = f"{len(own)} runs more than settings and seeds: {listed(own.label)}."
        why = "One run of each setting and seed is used in tables; which one, these files do not say."
        yield Finding("repeated_seed", PROBLEM, f"{task}, {method}", what, why, "Leave one run of each setting and seed.")
