"""Robustness: the score of each setting under each evaluation noise, its retention, and the intervals of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import BadInput
from results.reading import load
from results.scoring import estimates
from results.scoring.cells import KEY, Cell, select
from results.statistics import contrasts, intervals

CONTRACT = ["task", "agent", "ablation", "train_noise", "eval_noise", "seeds", "episodes", "mean", "ci_low", "ci_high"]
CONTRACT += ["interval", "retention", "retention_low", "retention_high", "flags"]
MORE = ["boot_low", "boot_high", "random", "random_source", "train_seeds", "study", "preset", "size", "precision"]
MORE += ["steps", "policy", "variant", "final", "confidence", "best"]
COLUMNS = CONTRACT + MORE
FEW = 10  # up to so many seeds Student's t on seed means is used: the bootstrap's percentiles are too narrow there


def table(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, quantile: str = "t"
) -> pd.DataFrame:
    """One row per cell with COLUMNS, sorted. `mean` is the mean over seeds of per-seed mean returns.

    `ci_low`, `ci_high` say, by the name in `interval`:
    t-seeds: where the method's expected score lies, over training runs; Student's t on S per-seed means, S <= FEW.
    bootstrap-two-level: the same, by drawing seeds and then episodes, S > FEW.
    t-episodes-one-model: how precisely the one trained model there is was measured; nothing about the method.
    `boot_low`, `boot_high` are the two-level bootstrap in every case. `episodes` counts those of all seeds together.
    best: among the training noises of otherwise one setting, by contrasts that support it.
    BadInput where no run evaluates, as in score files of others.
    """
    cells = select(results)
    if not cells:
        raise BadInput("None of these runs holds or plans evaluation episodes; `table curves` shows training.")
    boot = intervals.TwoLevelBootstrap(rng, reps)
    randoms = {task: estimates.random_play(task, cells) for task in {cell.key["task"] for cell in cells}}
    rows = [row for some in _batches(cells) for row in _rows(some, randoms, boot, confidence, quantile)]
    return pd.DataFrame(rows, columns=COLUMNS).assign(best=_best(cells, confidence))


def seed_means(results: load.Results) -> pd.DataFrame:
    """The per-seed means that cells are made of: KEY, train_seed, mean, episodes."""
    rows = [
        cell.key | {"train_seed": seed, "mean": mean, "episodes": len(cell.returns[seed])}
        for cell in select(results)
        for seed, mean in cell.means.items()
    ]
    return pd.DataFrame(rows, columns=[*KEY, "train_seed", "mean", "episodes"])


def _best(cells: list[Cell], confidence: float) -> list[bool]:
    columns = defaultdict(list)
    for cell in cells:
        columns[tuple(cell.key[axis] for axis in KEY if axis not in ("variant", "train_noise"))].append(cell)
    found = set()
    for column in columns.values():
        measured = [cell for cell in column if cell.seeds]
        place = contrasts.best_group([cell.seed_means for cell in measured], confidence)
        found |= set() if place is None else {measured[place].name}
    return [cell.name in found for cell in cells]


def _batches(cells: list[Cell], size: int = 128) -> Iterator[list[Cell]]:
    """Runs of about `size` cells that keep a group, the cells of the same models, together."""
    batch: list[Cell] = []
    for _, group in groupby(cells, key=lambda cell: cell.group):
        batch += group
        if len(batch) >= size:
            yield batch
            batch = []
    yield batch


def _rows(
    cells: list[Cell], randoms: dict[str, estimates.Random], boot: intervals.TwoLevelBootstrap, confidence: float, quantile: str
) -> Iterator[dict[str, Any]]:
    cleans = {cell.group: cell for cell in cells if cell.key["eval_noise"] == "clean"}
    boots = {
        cell.name: ends
        for members, drawn in _drawn(boot, cells)
        for cell, *ends in zip(members, *intervals.percentile_interval(drawn, confidence), strict=True)
    }
    scores = {cell.name: _score(cell, boots, confidence, quantile) for cell in cells}
    advantages = {group: _advantage(clean, randoms[clean.key["task"]], confidence) for group, clean in cleans.items()}
    for cell in cells:
        clean, random = cleans.get(cell.group), randoms[cell.key["task"]]
        row = cell.key | scores[cell.name] | dict.fromkeys(["retention", "retention_low", "retention_high"], np.nan)
        if _defined(cell, clean, random, scores):
            row |= _retention(cell, clean, random, advantages[cell.group], confidence)
        row |= {"random": random.mean, "random_source": random.source, "train_seeds": " ".join(map(str, cell.seeds))}
        yield row | {"final": load.FINAL, "confidence": confidence, "flags": cell.flag_text()}


def replicates(boot: intervals.TwoLevelBootstrap, cells: list[Cell]) -> dict[tuple, np.ndarray]:
    """Name of a cell -> replicates of its mean (reps,)."""
    alike = _drawn(boot, cells)
    return {cell.name: means for members, drawn in alike for cell, means in zip(members, drawn.T, strict=True)}


def _drawn(boot: intervals.TwoLevelBootstrap, cells: list[Cell]) -> Iterator[tuple[list[Cell], np.ndarray]]:
    """Cells that have the same numbers of episodes, and replicates of their means (reps, N), drawn once for all of them."""
    alike = defaultdict(list)
    for cell in cells:
        alike[tuple(len(cell.returns[seed]) for seed in cell.seeds)].append(cell)
    alike.pop((), None)
    for members in alike.values():
        yield members, boot.means([np.stack(columns, axis=1) for columns in zip(*map(_by_seed, members), strict=True)])


def _by_seed(cell: Cell) -> list[np.ndarray]:
    return [cell.returns[seed] for seed in cell.seeds]


def _score(cell: Cell, boots: dict[tuple, Sequence[float]], confidence: float, quantile: str) -> dict[str, Any]:
    """Mean and intervals of a cell, and the name of the interval."""
    S, episodes = len(cell.seeds), sum(map(len, cell.returns.values()))
    values = next(iter(cell.returns.values())) if S == 1 else cell.seed_means
    mean, low, high = intervals.mean_interval(values, confidence, quantile)
    name = {0: "", 1: f"{quantile}-episodes-one-model"}.get(S, f"{quantile}-seeds")
    boot = boots[cell.name] if episodes > 1 else (np.nan, np.nan)
    if S > FEW and quantile == "t":
        (low, high), name = boot, "bootstrap-two-level"
    if low == high:
        cell.flag("no_spread")
    row = {"seeds": S, "episodes": episodes, "mean": mean, "ci_low": low, "ci_high": high, "interval": name}
    return row | {"boot_low": boot[0], "boot_high": boot[1]}


def _defined(cell: Cell, clean: Cell | None, random: estimates.Random, scores: dict[tuple, dict]) -> bool:
    """Whether retention is; the reasons against it become flags of the cell. Of random play itself it is 0 / 0."""
    if cell.key["agent"] == "random":
        return False
    if random.source != "runs":
        cell.flag("stored_random" if random.source else "no_random")
    if clean is None or not clean.seeds:
        cell.flag("no_clean")
        return False
    # Also where the clean interval is unknown: then nothing says that there is skill to lose.
    if touches := random.source and not scores[clean.name]["ci_low"] > random.mean:
        cell.flag("clean_touches_random")
    return bool(random.source) and not touches and bool(estimates.common_seeds([cell, clean]))


def _advantage(clean: Cell, random: estimates.Random, confidence: float) -> float:
    """The lower end of clean minus random score, of which both are uncertain; NaN where nothing was measured."""
    if not clean.seeds:
        return np.nan
    return estimates.estimate([clean], random, lambda scores, play: scores[0] - play, confidence)[1]


def _retention(cell: Cell, clean: Cell, random: estimates.Random, advantage: float, confidence: float) -> dict[str, float]:
    """(S_noise - S_random) / (S_clean - S_random) over the seeds that have both, paired within each model."""
    if advantage <= 0:  # it may be nothing: no share of it can be told
        cell.flag("clean_touches_random")
        return {}
    seeds = estimates.common_seeds([clean, cell])
    if len(seeds) < max(len(cell.seeds), len(clean.seeds)):
        cell.flag("fewer_common_seeds")
    if not estimates.paired_episodes([clean, cell], seeds):
        cell.flag("unpaired")
    retention = estimates.estimate([clean, cell], random, estimates.retention, confidence)
    return dict(zip(["retention", "retention_low", "retention_high"], retention, strict=True))
