"""Robustness: the score of each setting under each evaluation noise, its retention, and the intervals of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import BadInput
from results.reading import load
from results.scoring import estimates
from results.scoring.cells import KEY, ScoreCell, select_cells
from results.statistics import contrasts, intervals

CONTRACT = ["task", "agent", "ablation", "train_noise", "eval_noise", "seeds", "episodes", "mean", "ci_low", "ci_high"]
CONTRACT += ["interval", "retention", "retention_low", "retention_high", "flags"]
CONTEXT = ["boot_low", "boot_high", "random", "random_source", "train_seeds", "study", "preset", "size", "precision"]
CONTEXT += ["steps", "policy", "variant", "final", "confidence", "best"]
COLUMNS = CONTRACT + CONTEXT
FEW = 10  # up to so many seeds Student's t on seed means is used: the bootstrap's percentiles are too narrow there


def table(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, quantile: str = "t"
) -> pd.DataFrame:
    """One row per cell with COLUMNS, sorted. `mean` is the mean over seeds of per-seed mean returns.

    `ci_low`, `ci_high` say, by the name in `interval`:
    t-seeds: where the method's expected score lies, over training runs; Student's t on S per-seed means, S <= FEW.
    bootstrap-two-level: the same, by drawing seeds and then episodes, S > FEW.
    t-episodes-one-model: there is one trained model; how precisely it was measured, nothing about the method.
    `boot_low`, `boot_high` are the two-level bootstrap in every case. `episodes` counts those of all seeds together.
    best: of the training noises of one setting, if every contrast with the others is significant.
    BadInput where no run evaluates, as in score files of others.
    """
    cells = select_cells(results)
    if not cells:
        raise BadInput("None of these runs holds or plans evaluation episodes; `table curves` shows training.")
    options = _Options(intervals.TwoLevelBootstrap(rng, reps), confidence, quantile)
    random_play = {task: estimates.find_random_play(task, cells) for task in {cell.key["task"] for cell in cells}}
    rows = [row for batch in _batches(cells) for row in _rows(batch, random_play, options)]
    return pd.DataFrame(rows, columns=COLUMNS).assign(best=_best(cells, confidence))


def seed_means(results: load.Results) -> pd.DataFrame:
    """The per-seed means that cells are made of: KEY, train_seed, mean, episodes."""
    rows = [
        cell.key | {"train_seed": seed, "mean": mean, "episodes": len(cell.returns[seed])}
        for cell in select_cells(results)
        for seed, mean in cell.means.items()
    ]
    return pd.DataFrame(rows, columns=[*KEY, "train_seed", "mean", "episodes"])


def _best(cells: list[ScoreCell], confidence: float) -> list[bool]:
    """Per cell, whether it is the best of the training noises of one setting; in the order of the cells."""
    columns = defaultdict(list)
    for cell in cells:
        columns[tuple(cell.key[axis] for axis in KEY if axis not in ("variant", "train_noise"))].append(cell)
    best: set[tuple] = set()
    for column in columns.values():
        measured = [cell for cell in column if cell.seeds]
        place = contrasts.best_group([cell.seed_means for cell in measured], confidence)
        if place is not None:
            best.add(measured[place].name)
    return [cell.name in best for cell in cells]


def _batches(cells: list[ScoreCell], size: int = 128) -> Iterator[list[ScoreCell]]:
    """Batches of about `size` cells. The cells of a group, those of the same models, stay together."""
    batch: list[ScoreCell] = []
    for _, group in groupby(cells, key=lambda cell: cell.group):
        batch += group
        if len(batch) >= size:
            yield batch
            batch = []
    yield batch


@dataclass(frozen=True)
class _Options:
    """What intervals are made with. quantile: `t`, or `normal` as older tables have it."""

    bootstrap: intervals.TwoLevelBootstrap
    confidence: float
    quantile: str


@dataclass(frozen=True)
class _Reference:
    """What retention is relative to: the clean cell of a group, the lower ends of its score and of its advantage."""

    clean: ScoreCell
    ci_low: float
    least_advantage: float


def _rows(cells: list[ScoreCell], random_play: dict[str, estimates.RandomPlay], options: _Options) -> Iterator[dict[str, Any]]:
    """One row per cell. `cells` holds every cell of a group, or none of it. random_play: by task."""
    clean_cells = {cell.group: cell for cell in cells if cell.key["eval_noise"] == "clean"}
    boot_ends = {
        cell.name: (float(low), float(high))
        for members, replicates in _replicates_by_shape(options.bootstrap, cells)
        for cell, low, high in zip(members, *intervals.percentile_interval(replicates, options.confidence), strict=True)
    }
    scores = {cell.name: _score(cell, boot_ends.get(cell.name, (np.nan, np.nan)), options) for cell in cells}
    references = {
        group: _Reference(
            clean, scores[clean.name]["ci_low"], _least_advantage(clean, random_play[clean.key["task"]], options.confidence)
        )
        for group, clean in clean_cells.items()
    }
    for cell in cells:
        random = random_play[cell.key["task"]]
        row = cell.key | scores[cell.name] | dict.fromkeys(["retention", "retention_low", "retention_high"], np.nan)
        row |= _retention(cell, references.get(cell.group), random, options.confidence)
        row |= {"random": random.mean, "random_source": random.source, "train_seeds": " ".join(map(str, cell.seeds))}
        yield row | {"final": load.FINAL, "confidence": options.confidence, "flags": cell.flag_text()}


def replicate_means(bootstrap: intervals.TwoLevelBootstrap, cells: list[ScoreCell]) -> dict[tuple, np.ndarray]:
    """Name of a cell -> replicates of its mean (reps,)."""
    groups = _replicates_by_shape(bootstrap, cells)
    return {cell.name: means for members, replicates in groups for cell, means in zip(members, replicates.T, strict=True)}


def _replicates_by_shape(
    bootstrap: intervals.TwoLevelBootstrap, cells: list[ScoreCell]
) -> Iterator[tuple[list[ScoreCell], np.ndarray]]:
    """Cells that have the same numbers of episodes, and replicates of their means (reps, N), drawn once for all of them."""
    by_shape: defaultdict[tuple[int, ...], list[ScoreCell]] = defaultdict(list)
    for cell in cells:
        by_shape[tuple(len(cell.returns[seed]) for seed in cell.seeds)].append(cell)
    by_shape.pop((), None)
    for members in by_shape.values():
        models = [np.stack(columns, axis=1) for columns in zip(*map(_returns_by_seed, members), strict=True)]
        yield members, bootstrap.means(models)


def _returns_by_seed(cell: ScoreCell) -> list[np.ndarray]:
    return [cell.returns[seed] for seed in cell.seeds]


def _score(cell: ScoreCell, boot_ends: tuple[float, float], options: _Options) -> dict[str, Any]:
    """Mean and intervals of a cell, and the name of the interval. boot_ends: of the two-level bootstrap."""
    S, episodes = len(cell.seeds), sum(map(len, cell.returns.values()))
    values = next(iter(cell.returns.values())) if S == 1 else cell.seed_means
    mean, low, high = intervals.mean_interval(values, options.confidence, options.quantile)
    name = {0: "", 1: f"{options.quantile}-episodes-one-model"}.get(S, f"{options.quantile}-seeds")
    boot_ends = boot_ends if episodes > 1 else (np.nan, np.nan)
    if S > FEW and options.quantile == "t":
        (low, high), name = boot_ends, "bootstrap-two-level"
    if low == high:
        cell.flag("no_spread")
    row = {"seeds": S, "episodes": episodes, "mean": mean, "ci_low": low, "ci_high": high, "interval": name}
    return row | {"boot_low": boot_ends[0], "boot_high": boot_ends[1]}


def _least_advantage(clean: ScoreCell, random: estimates.RandomPlay, confidence: float) -> float:
    """The lower end of clean minus random score, of which both are uncertain; NaN where nothing was measured."""
    if not clean.seeds:
        return np.nan
    return estimates.estimate_measure([clean], random, lambda scores, random_score: scores[0] - random_score, confidence)[1]


def _retention(
    cell: ScoreCell, reference: _Reference | None, random: estimates.RandomPlay, confidence: float
) -> dict[str, float]:
    """(S_noise - S_random) / (S_clean - S_random) over the seeds that have both, paired within each model.

    Empty where it is undefined: the reasons become flags of the cell. Of random play itself it is 0 / 0.
    """
    if cell.key["agent"] == "random":
        return {}
    if random.source != "runs":
        cell.flag("stored_random" if random.source else "no_random")
    if reference is None or not reference.clean.seeds:
        cell.flag("no_clean")
        return {}
    if not random.source:
        return {}
    # `not >` also holds for an unknown (NaN) end: then nothing shows that there is skill to lose.
    if not reference.ci_low > random.mean:
        cell.flag("clean_touches_random")
        return {}
    clean = reference.clean
    seeds = estimates.common_seeds([clean, cell])
    if not seeds:
        return {}
    if reference.least_advantage <= 0:  # perhaps there is no advantage over random play, of which a share could remain
        cell.flag("clean_touches_random")
        return {}
    if len(seeds) < max(len(cell.seeds), len(clean.seeds)):
        cell.flag("fewer_common_seeds")
    if not estimates.paired_episodes([clean, cell], seeds):
        cell.flag("unpaired")
    retention = estimates.estimate_measure([clean, cell], random, estimates.retention, confidence)
    return dict(zip(["retention", "retention_low", "retention_high"], retention, strict=True))
