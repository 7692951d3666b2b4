"""Runs that are exact copies of others under another label. Runs whose returns never change are no copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd

from results.check import PROBLEM, Evidence, Finding, listed
from results.reading.records import tuple_groups
from results.scoring import cells


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = evidence.runs.table.set_index("path")
    same_content: dict[tuple[str, bytes], list[str]] = defaultdict(list)
    for path, content in _contents(evidence.runs.results.episodes):
        same_content[runs.task[path], content].append(path)
    for paths in same_content.values():
        if len(paths) > 1:
            yield _copies(runs.loc[paths])
    yield from _repeated_seeds(evidence.runs.table)


def _contents(episodes: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
    """`(path, points)` of every run with at least two different returns. The order of the rows makes no difference."""
    finite = episodes[np.isfinite(episodes["return"])]
    frames = finite.frames if "frames" in finite else finite.step
    table = pd.DataFrame({"path": finite.path, "frames": frames.astype(float), "value": finite["return"]})
    table["noise"] = pd.factorize(finite.split + finite.noise, sort=True)[0].astype(float)
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
    labels = "under several seed labels" if seeds else "under several names"
    what = f"{len(runs)} runs are equal point by point {labels}: {listed(runs.label)}."
    where = f"{runs.task.iloc[0]}, {listed(runs.method.unique())}, seeds {listed(map(str, runs.train_seed.unique()))}"
    why = "Copies count as independent runs: the interval is too narrow and the count n is too high."
    return Finding("duplicated_run", PROBLEM, where, what, why, "Keep one of them; find the run that the copy replaced.")


def _repeated_seeds(runs: pd.DataFrame) -> Iterator[Finding]:
    """Several runs of one setting and seed."""
    _, dropped = cells.distinct_runs(runs)
    for (task, method), group in tuple_groups(dropped, ["task", "method"], sort=True):
        what = f"{len(group)} more runs than settings and seeds: {listed(group.label)}."
        why = "Tables use one run of each setting and seed. The files do not say which one is meant."
        yield Finding("repeated_seed", PROBLEM, f"{task}, {method}", what, why, "Keep one run of each setting and seed.")
