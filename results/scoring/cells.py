"""The cells of a robustness grid: the episodes of each cell, and the flags that a reader must see.

A cell is what one setting scored under one evaluation noise: for each training seed the evaluation episodes of the last
checkpoint of a run that is done. Nothing is pooled over settings, and nothing is left out without a flag.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
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
    "unseeded": "the environment ignores its seed: episodes are not the same for every model and noise, nothing is paired",
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
class ScoreCell:
    """One setting under one evaluation noise: per training seed, the returns and the environment seeds they pair by.

    key: axis of KEY -> value. returns, env_seeds: training seed -> one value per episode, in the same order.
    """

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


Cells = dict[tuple, ScoreCell]  # by name


def select_cells(results: load.Results) -> list[ScoreCell]:
    """All cells, sorted: those that were measured, and those that runs were configured to measure and have not."""
    runs, repeats = distinct_runs(results.runs)
    cells: Cells = {}
    _add_measured(cells, load.final_episodes(results), runs)
    _flag_absent(cells, runs)
    _flag_duplicates(cells, repeats)
    _flag_unequal(cells)
    _flag_unseeded(cells, runs)
    return [cells[key] for key in sorted(cells)]


def distinct_runs(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each setting and training seed once, a run that is done before one that is not, and the repeats left out."""
    runs = runs.sort_values("done", ascending=False, kind="stable")
    repeats = runs.duplicated([*load.AXES, "train_seed"])
    return runs[~repeats], runs[repeats]


def random_returns(task: str, cells: Iterable[ScoreCell]) -> dict[int, np.ndarray]:
    """Clean evaluations of random play on a task, each training seed once; empty where none was run."""
    seeds: dict[int, np.ndarray] = {}
    for cell in cells:
        if (cell.key["task"], cell.key["agent"], cell.key["eval_noise"]) == (task, "random", "clean"):
            seeds = cell.returns | seeds
    return seeds


def _cell(cells: Cells, key: tuple) -> ScoreCell:
    """The cell of that name, added where there is none yet."""
    if key not in cells:
        cells[key] = ScoreCell(dict(zip(KEY, key, strict=True)))
    return cells[key]


def _add_measured(cells: Cells, episodes: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Fill in the final evaluation episodes of the runs, each (run, noise, policy, episode) once.

    There may be millions of episodes and tens of thousands of cells: a code numbers (run, noise, policy), one sort puts
    the episodes of a code beside each other, and slices of the sorted arrays are the cells.

    Example: codes 7, 3, 7, 7 of four episodes. Sorted: 3, 7, 7, 7. Groups start at 0 and 1. If the third episode repeats the
    first, 1 and 2 episodes are in use, which end at 1 and 3 of the episodes in use.
    """
    runs = runs.reset_index(drop=True)
    positions = pd.Index(runs.path).get_indexer(episodes.path)
    episodes = episodes.loc[positions >= 0, ["noise", "policy", "episode", "return", "env_seed", "step"]]
    positions = positions[positions >= 0]
    if episodes.empty:
        return
    # Which episodes belong together, and which of them do not count.
    noises, noise_names = pd.factorize(episodes.noise, sort=True)
    policies, policy_names = pd.factorize(episodes.policy, sort=True)
    code = (positions * len(noise_names) + noises) * len(policy_names) + policies
    repeated = pd.DataFrame({"code": code, "episode": episodes.episode.to_numpy()}).duplicated().to_numpy()
    nonfinite = ~repeated & ~np.isfinite(episodes["return"].to_numpy())
    early = episodes.step.to_numpy() < runs.steps.to_numpy()[positions]
    # One group per cell and run: its first episode, and where its episodes in use begin and end.
    order = np.lexsort((episodes.episode, episodes.env_seed, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    in_use = ~(repeated | nonfinite)[order]
    returns, env_seeds = (episodes[name].to_numpy()[order[in_use]] for name in ("return", "env_seed"))
    ends = np.cumsum(np.add.reduceat(in_use, starts, dtype=int)).tolist()
    counts = (np.add.reduceat(mask[order], starts, dtype=int).tolist() for mask in (repeated, nonfinite, early))
    firsts = order[starts]
    places = zip(positions[firsts].tolist(), noises[firsts].tolist(), policies[firsts].tolist(), strict=True)
    axes, seeds = list(runs[load.AXES].itertuples(index=False, name=None)), runs.train_seed.tolist()
    groups = zip(places, [0, *ends[:-1]], ends, *counts, strict=True)
    for (run, noise, policy), start, end, repeated_count, nonfinite_count, early_count in groups:
        key = (*axes[run], policy_names[policy], noise_names[noise])
        cell = _cell(cells, key)
        for name, count in (("repeated_episodes", repeated_count), ("nonfinite", nonfinite_count)):
            if count:
                cell.flag(name, (cell.flags.get(name) or 0) + count)
        if early_count:
            cell.flag("early_checkpoint")
        if start < end:
            cell.returns[seeds[run]] = returns[start:end]
            cell.env_seeds[seeds[run]] = _env_seeds(env_seeds[start:end], (*key, seeds[run]))


def _env_seeds(seeds: np.ndarray, key: tuple) -> np.ndarray:
    """Environment seeds; unknown ones (imported rows) get numbers that no other cell has: nothing says that they pair."""
    if seeds.dtype.kind == "i":
        return seeds
    seeds = seeds.astype(float)
    unknown = -np.arange(1, len(seeds) + 1) - (zlib.crc32(repr(key).encode()) << 20)
    return np.where(np.isnan(seeds), unknown, np.nan_to_num(seeds)).astype(np.int64)


def _flag_absent(cells: Cells, runs: pd.DataFrame) -> None:
    """Count, in every cell that a run was configured to fill, the runs that are not done and those that lack it."""
    unfinished: Counter[tuple] = Counter()
    missing: Counter[tuple] = Counter()
    groups = runs[GROUP].itertuples(index=False, name=None)
    for group, noises, done, seed in zip(groups, runs.eval_noises, runs.done, runs.train_seed, strict=True):
        for noise in noises:
            key = (*group, noise)
            cell = _cell(cells, key)
            if not done:
                unfinished[key] += 1
            elif seed not in cell.returns:
                missing[key] += 1
    for name, counts in {"unfinished": unfinished, "missing_cells": missing}.items():
        for key, count in counts.items():
            cells[key].flag(name, count)


def _flag_duplicates(cells: Cells, repeats: pd.DataFrame) -> None:
    repeated_settings = set(repeats[load.AXES].itertuples(index=False, name=None))
    for cell in cells.values():
        if cell.group[:-1] in repeated_settings:
            cell.flag("duplicate_seed")


def _flag_unseeded(cells: Cells, runs: pd.DataFrame) -> None:
    settings = set(runs.loc[~runs.seeded.astype(bool), load.AXES].itertuples(index=False, name=None))
    for cell in cells.values():
        if cell.group[:-1] in settings:
            cell.flag("unseeded")


def _flag_unequal(cells: Cells) -> None:
    """Mark cells with fewer seeds than their like, with unequal episodes, and settings that only look like one cell."""
    comparable_axes = [axis for axis in GROUP if axis not in ("variant", "ablation", "train_noise")]
    naming_axes = ["task", "agent", "ablation", "train_noise", "eval_noise"]
    most_seeds: Counter[tuple] = Counter()
    namesakes: defaultdict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for cell in cells.values():
        setting = tuple(cell.key[axis] for axis in comparable_axes)
        most_seeds[setting] = max(most_seeds[setting], len(cell.seeds))
        namesakes[tuple(cell.key[axis] for axis in naming_axes)].append(cell.key)
    for cell in cells.values():
        if len(cell.seeds) < most_seeds[tuple(cell.key[axis] for axis in comparable_axes)]:
            cell.flag("unequal_seeds")
        if len({len(values) for values in cell.returns.values()}) > 1:
            cell.flag("unequal_episodes")
        if len(cell.seeds) == 1:
            cell.flag("one_seed")
        keys = namesakes[tuple(cell.key[axis] for axis in naming_axes)]
        for axis in ("study", "preset", "size", "precision", "steps", "variant", "policy"):
            if len({key[axis] for key in keys}) > 1:
                cell.flag(f"mixed_{axis}")
