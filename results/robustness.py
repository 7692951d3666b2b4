"""What each setting scores under each evaluation noise, what share of its skill that is, and how sure that is."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import BadInput
from results import intervals, load, references
from results.cells import KEY, Cell, random_returns, select

CONTRACT = ["task", "agent", "ablation", "train_noise", "eval_noise", "seeds", "episodes", "mean", "ci_low", "ci_high"]
CONTRACT += ["interval", "retention", "retention_low", "retention_high", "flags"]
MORE = ["boot_low", "boot_high", "random", "random_source", "train_seeds", "study", "preset", "size", "precision"]
MORE += ["steps", "policy", "variant", "final", "confidence"]
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
    BadInput where no run evaluates, as in score files of others.
    """
    cells = select(results)
    if not cells:
        raise BadInput("None of these runs holds or plans evaluation episodes; `table curves` shows training.")
    boot = intervals.Bootstrap(rng, reps)
    randoms = {task: _random(task, cells, boot) for task in {cell.key["task"] for cell in cells}}
    rows = [row for some in _batches(cells) for row in _rows(some, randoms, boot, confidence, quantile)]
    return pd.DataFrame(rows, columns=COLUMNS)


def seed_means(results: load.Results) -> pd.DataFrame:
    """The per-seed means that cells are made of: KEY, train_seed, mean, episodes."""
    rows = [
        cell.key | {"train_seed": seed, "mean": cell.returns[seed].mean(), "episodes": len(cell.returns[seed])}
        for cell in select(results)
        for seed in cell.seeds
    ]
    return pd.DataFrame(rows, columns=[*KEY, "train_seed", "mean", "episodes"])


@dataclass(frozen=True)
class Random:
    """What random play scores on a task, with replicates where it was measured, and where the number comes from."""

    mean: float = np.nan
    source: str = ""
    replicates: np.ndarray | float = np.nan


def _random(task: str, cells: list[Cell], boot: intervals.Bootstrap) -> Random:
    """Clean evaluations of the random agent among the runs, each seed once; else the stored reference; else NaN."""
    if seeds := random_returns(task, cells):
        returns = [seeds[seed][:, None] for seed in sorted(seeds)]
        # An agent of its own: drawn independently of the models that are compared with it.
        return Random(float(np.mean([r.mean() for r in returns])), "runs", boot.means(returns, models_key=1)[:, 0])
    if found := references.stored(task):
        return Random(*found, replicates=found[0])
    return Random()


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
    cells: list[Cell], randoms: dict[str, Random], boot: intervals.Bootstrap, confidence: float, quantile: str
) -> Iterator[dict[str, Any]]:
    cleans = {cell.group: cell for cell in cells if cell.key["eval_noise"] == "clean"}
    common = {cell.name: _common(cell, cleans.get(cell.group)) for cell in cells}
    drawn = _draw(boot, cells, cleans, common)
    scores = {cell.name: _score(cell, drawn, confidence, quantile) for cell in cells}
    for cell in cells:
        clean, random = cleans.get(cell.group), randoms[cell.key["task"]]
        row = cell.key | scores[cell.name] | dict.fromkeys(["retention", "retention_low", "retention_high"], np.nan)
        if _defined(cell, clean, random, scores):
            row |= _retention(cell, clean, common[cell.name], random, drawn, confidence)
        row |= {"random": random.mean, "random_source": random.source, "train_seeds": " ".join(map(str, cell.seeds))}
        yield row | {"final": load.FINAL, "confidence": confidence, "flags": cell.flag_text()}


def _common(cell: Cell, clean: Cell | None) -> tuple[int, ...]:
    """The seeds that were evaluated both with and without noise."""
    return tuple(seed for seed in cell.seeds if clean and seed in clean.returns)


def _draw(
    boot: intervals.Bootstrap, cells: list[Cell], cleans: dict[tuple, Cell], common: dict[tuple, tuple[int, ...]]
) -> dict[tuple, np.ndarray]:
    """Replicates of every (cell, seeds) that is needed, once per layout: numbers of episodes and environment seeds."""
    wanted = {(cell.name, tuple(cell.seeds)): cell for cell in cells}
    wanted |= {(c.name, common[cell.name]): c for cell in cells for c in (cell, cleans.get(cell.group)) if c}
    layouts = defaultdict(dict)
    for (name, seeds), cell in wanted.items():
        layout = tuple(cell.env_seeds[seed].tobytes() for seed in seeds)
        layouts[layout][name, seeds] = [cell.returns[seed] for seed in seeds]
    layouts.pop((), None)
    drawn = {}
    for layout, members in layouts.items():
        models = [np.stack(columns, axis=1) for columns in zip(*members.values(), strict=True)]
        replicates = boot.means(models, episodes_key=zlib.crc32(b"/".join(layout)))
        drawn |= dict(zip(members, replicates.T, strict=True))
    return drawn


def _score(cell: Cell, drawn: dict[tuple, np.ndarray], confidence: float, quantile: str) -> dict[str, Any]:
    """Mean and intervals of a cell, and the name of the interval."""
    S, episodes = len(cell.seeds), sum(map(len, cell.returns.values()))
    values = next(iter(cell.returns.values())) if S == 1 else cell.seed_means
    mean, low, high = intervals.mean_interval(values, confidence, quantile)
    name = {0: "", 1: f"{quantile}-episodes-one-model"}.get(S, f"{quantile}-seeds")
    boot = (np.nan, np.nan)
    if episodes > 1:
        boot = intervals.percentiles(drawn[cell.name, tuple(cell.seeds)], confidence)
    if S > FEW and quantile == "t":
        (low, high), name = boot, "bootstrap-two-level"
    if low == high:
        cell.flag("no_spread")
    row = {"seeds": S, "episodes": episodes, "mean": mean, "ci_low": low, "ci_high": high, "interval": name}
    return row | {"boot_low": boot[0], "boot_high": boot[1]}


def _defined(cell: Cell, clean: Cell | None, random: Random, scores: dict[tuple, dict]) -> bool:
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
    return bool(random.source) and not touches and bool(_common(cell, clean))


def _retention(
    cell: Cell, clean: Cell, seeds: tuple[int, ...], random: Random, drawn: dict[tuple, np.ndarray], confidence: float
) -> dict[str, float]:
    """(S_noise - S_random) / (S_clean - S_random) over the seeds that have both, paired within each model."""
    # The random score is uncertain too: where replicates of the advantage reach zero, no share of it can be told.
    advantage = drawn[clean.name, seeds] - random.replicates
    if not intervals.percentiles(advantage, confidence)[0] > 0:
        cell.flag("clean_touches_random")
        return {}
    if len(seeds) < max(len(cell.seeds), len(clean.seeds)):
        cell.flag("fewer_common_seeds")
    if any(not np.array_equal(cell.env_seeds[seed], clean.env_seeds[seed]) for seed in seeds):
        cell.flag("unpaired")
    noisy_mean, clean_mean = (np.mean([c.returns[seed].mean() for seed in seeds]) for c in (cell, clean))
    low, high = intervals.ratio_interval(drawn[cell.name, seeds], drawn[clean.name, seeds], random.replicates, confidence)
    if min(sum(len(c.returns[seed]) for seed in seeds) for c in (cell, clean)) < 2:
        low = high = np.nan
    retention = (noisy_mean - random.mean) / (clean_mean - random.mean)
    return {"retention": retention, "retention_low": low, "retention_high": high}
