"""Probability of improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from results.statistics.strata import CHUNK, Strata


def per_task(x: Strata, y: Strata) -> dict[str, float]:
    """Common task -> mean over pairs of runs of [x > y] + [x = y]/2, the Mann-Whitney U over the number of pairs."""
    return {task: float(wins.mean()) for task, _, _, wins in _pairs(x, y)}


def replicates(x: Strata, y: Strata, rng: np.random.Generator, reps: int) -> np.ndarray:
    """Stratified bootstrap (reps,) of the mean over common tasks; the runs of x and y are drawn independently."""
    common, parts = list(_pairs(x, y)), []
    for start in range(0, reps, CHUNK):
        rows = min(CHUNK, reps - start)
        drawn_x, drawn_y = x.draw(rng, rows), y.draw(rng, rows)
        total = np.zeros(rows)
        for _, of_x, of_y, wins in common:
            total += ((wins / wins.size) @ drawn_y[of_y] * drawn_x[of_x]).sum(axis=0)
        parts.append(total / len(common))
    return np.concatenate(parts)


def _pairs(x: Strata, y: Strata) -> Iterator[tuple[str, slice, slice, np.ndarray]]:
    """Per common task its name, its runs in x and in y, and who wins each pair: (n_x, n_y) of 1, 1/2, 0."""
    others = dict(y.by_task())
    for task, own in x.by_task():
        if task in others:
            a, b = x.values[own][:, None], y.values[others[task]]
            yield task, own, others[task], (a > b) + (a == b) / 2
