"""The cells of a robustness grid: the episodes of each cell, and the flags that a reader must see.

A cell is what one setting scored under one evaluation noise: for each training seed the evaluation episodes of the last
checkpoint of a run that is done. Nothing is pooled over settings, and nothing is left out without a flag.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from results.reading import load

GROUP = [*load.AXES, "policy"]  # equal for all runs of a cell, whatever the evaluation noise
KEY = [*GROUP, "eval_noise"]

FLAGS = {
    "one_seed": "one trained model: the interval is the evaluation precision of that model, no claim about the method",
    "unfinished": "runs of this cell that are not done; none of their episodes is in the numbers",
    "missing_cells": "runs that are done but hold no final evaluation under this noise",
    "unequal_seeds": "fewer training seeds than other cells of the same task and agent",
    "unequal_episodes": "the seeds were evaluated on different numbers of episodes; each seed weighs the same",
    "duplicate_seed": "several runs of the same setting and seed; one of them is used",
    "repeated_episodes": "an evaluation episode is recorded more than once; one record is used",
    "nonfinite": "episodes whose return is not a finite number, left out",
    "early_checkpoint": "the last evaluated checkpoint lies before the run's final step",
    "no_spread": "all values are equal, so the interval has no width",
    "no_random": "no random agent for this task among the runs and no stored reference: retention is undefined",
    "stored_random": "the random score is a stored one from the literature, not measured with these settings",
    "no_clean": "no evaluation without noise to compare with: retention is undefined",
    "clean_touches_random": "the clean score's interval reaches the random score: retention is undefined",
    "unpaired": "clean and noisy episodes have different environment seeds: retention is paired by model only",
    "fewer_common_seeds": "retention uses only the seeds evaluated both with and without noise",
    **{
        f"mixed_{axis}": f"rows of the same cell differ in {what}; they are kept apart, not averaged"
        for axis, what in {
            "study": "study",
            "preset": "preset",
            "size": "model size",
            "precision": "numeric precision",
            "steps": "training length",
            "variant": "other settings (column variant)",
            "policy": "evaluation policy",
        }.items()
    },
}

ON_RETENTION = ["no_random", "stored_random", "no_clean", "clean_touches_random", "unpaired", "fewer_common_seeds"]


@dataclass
class Cell:
    """One setting under one evaluation noise: per training seed, the returns and the environment seeds they pair by."""

    key: dict[str, Any]
    returns: dict[int, np.ndarray] = field(default_factory=dict)
    env_seeds: dict[int, np.ndarray] = field(default_factory=dict)
    flags: dict[str, int | None] = field(default_factory=dict)

    @cached_property
    def group(self) -> tuple:
        return tuple(self.key[axis] for axis in GROUP)

    @cached_property
    def name(self) -> tuple:
        return tuple(self.key[axis] for axis in KEY)

    @property
    def seeds(self) -> list[int]:
        return sorted(self.returns)

    @cached_property
    def means(self) -> dict[int, float]:
        """Training seed -> mean return of its model, in the order of `seeds`."""
        return {seed: self.returns[seed].mean() for seed in self.seeds}

    @property
    def seed_means(self) -> np.ndarray:
        return np.array(list(self.means.values()))

    def flag(self, name: str, count: int | None = None) -> None:
        self.flags[name] = count

    def flag_text(self) -> str:
        """`unfinished:2;one_seed`-like, in the order of FLAGS."""
        return ";".join(f if self.flags[f] is None else f"{f}:{self.flags[f]}" for f in FLAGS if f in self.flags)


def select(results: load.Results) -> list[Cell]:
    """All cells, sorted: those that were measured, and those that runs were configured to measure and have not."""
    runs, dropped = distinct(results.runs)
    cells: dict[tuple, Cell] = {}
    _measured(cells, load.final_episodes(results), runs)
    _expected(cells, runs)
    _flag_duplicates(cells, dropped)
    _flag_unequal(cells)
    return [cells[key] for key in sorted(cells)]


def distinct(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each setting and training seed once, a run that is done before one that is not, and the repeats left out."""
    runs = runs.sort_values("done", ascending=False, kind="stable")
    repeats = runs.duplicated([*load.AXES, "train_seed"])
    return runs[~repeats], runs[repeats]


def random_returns(task: str, cells: Iterable[Cell]) -> dict[int, np.ndarray]:
    """Clean evaluations of random play on a task, each training seed once; empty where none was run."""
    seeds: dict[int, np.ndarray] = {}
    for cell in cells:
        if (cell.key["task"], cell.key["agent"], cell.key["eval_noise"]) == (task, "random", "clean"):
            seeds = cell.returns | seeds
    return seeds


def _get(cells: dict[tuple, Cell], key: tuple) -> Cell:
    if key not in cells:
        cells[key] = Cell(dict(zip(KEY, key, strict=True)))
    return cells[key]


def _measured(cells: dict[tuple, Cell], episodes: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Fill in the final evaluation episodes of the runs, each (run, noise, policy, episode) once."""
    runs = runs.reset_index(drop=True)
    place = pd.Index(runs.path).get_indexer(episodes.path)
    known, place = episodes.loc[place >= 0, ["noise", "policy", "episode", "return", "env_seed", "step"]], place[place >= 0]
    if known.empty:
        return
    # Runs, noises and policies as one number: there may be millions of rows and tens of thousands of cells.
    noises, noise_names = pd.factorize(known.noise, sort=True)
    policies, policy_names = pd.factorize(known.policy, sort=True)
    code = (place * len(noise_names) + noises) * len(policy_names) + policies
    again = pd.DataFrame({"code": code, "episode": known.episode.to_numpy()}).duplicated().to_numpy()
    lost = ~again & ~np.isfinite(known["return"].to_numpy())
    early = known.step.to_numpy() < runs.steps.to_numpy()[place]
    order = np.lexsort((known.episode, known.env_seed, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    kept = order[~(again | lost)[order]]
    returns, env_seeds = known["return"].to_numpy()[kept], known.env_seed.to_numpy()[kept]
    heads = order[starts]
    axes, seeds = list(runs[load.AXES].itertuples(index=False, name=None)), runs.train_seed.tolist()
    names = zip(place[heads].tolist(), noises[heads].tolist(), policies[heads].tolist(), strict=True)
    counts = (np.add.reduceat(mask[order], starts, dtype=int).tolist() for mask in (again, lost, early))
    ends = np.cumsum(np.add.reduceat(~(again | lost)[order], starts, dtype=int)).tolist()
    for (run, noise, policy), first, last, *told in zip(names, [0, *ends[:-1]], ends, *counts, strict=True):
        key = (*axes[run], policy_names[policy], noise_names[noise])
        cell = _get(cells, key)
        for name, count in zip(("repeated_episodes", "nonfinite"), told[:2], strict=True):
            if count:
                cell.flag(name, (cell.flags.get(name) or 0) + count)
        if told[2]:
            cell.flag("early_checkpoint")
        if first < last:
            cell.returns[seeds[run]] = returns[first:last]
            cell.env_seeds[seeds[run]] = _env_seeds(env_seeds[first:last], (*key, seeds[run]))


def _env_seeds(seeds: np.ndarray, key: tuple) -> np.ndarray:
    """Environment seeds; unknown ones (imported rows) get numbers that no other cell has: nothing says that they pair."""
    if seeds.dtype.kind == "i":
        return seeds
    seeds = seeds.astype(float)
    unknown = -np.arange(1, len(seeds) + 1) - (zlib.crc32(repr(key).encode()) << 20)
    return np.where(np.isnan(seeds), unknown, np.nan_to_num(seeds)).astype(np.int64)


def _expected(cells: dict[tuple, Cell], runs: pd.DataFrame) -> None:
    """Count, in every cell that a run was configured to fill, the runs that are not done and those that lack it."""
    unfinished, missing = Counter(), Counter()
    groups = runs[GROUP].itertuples(index=False, name=None)
    for group, noises, done, seed in zip(groups, runs.eval_noises, runs.done, runs.train_seed, strict=True):
        for noise in noises:
            key = (*group, noise)
            cell = _get(cells, key)
            if not done:
                unfinished[key] += 1
            elif seed not in cell.returns:
                missing[key] += 1
    for name, counts in {"unfinished": unfinished, "missing_cells": missing}.items():
        for key, count in counts.items():
            cells[key].flag(name, count)


def _flag_duplicates(cells: dict[tuple, Cell], dropped: pd.DataFrame) -> None:
    doubled = set(dropped[load.AXES].itertuples(index=False, name=None))
    for cell in cells.values():
        if cell.group[:-1] in doubled:
            cell.flag("duplicate_seed")


def _flag_unequal(cells: dict[tuple, Cell]) -> None:
    """Mark cells with fewer seeds than their like, with unequal episodes, and settings that only look like one cell."""
    comparable = [axis for axis in GROUP if axis not in ("variant", "ablation", "train_noise")]
    named = ["task", "agent", "ablation", "train_noise", "eval_noise"]
    most, spellings = Counter(), {}
    for cell in cells.values():
        like = tuple(cell.key[axis] for axis in comparable)
        most[like] = max(most[like], len(cell.seeds))
        spellings.setdefault(tuple(cell.key[axis] for axis in named), []).append(cell.key)
    for cell in cells.values():
        if len(cell.seeds) < most[tuple(cell.key[axis] for axis in comparable)]:
            cell.flag("unequal_seeds")
        if len({len(values) for values in cell.returns.values()}) > 1:
            cell.flag("unequal_episodes")
        if len(cell.seeds) == 1:
            cell.flag("one_seed")
        alike = spellings[tuple(cell.key[axis] for axis in named)]
        for axis in ("study", "preset", "size", "precision", "steps", "variant", "policy"):
            if len({key[axis] for key in alike}) > 1:
                cell.flag(f"mixed_{axis}")
