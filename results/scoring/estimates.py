"""Robustness measures: functions of what one method scores under several noises and of what random play scores.

All are paired within each trained model, so that its luck in training cancels. They have a jackknife t interval over
training runs. With one trained model it is over its episodes, and says nothing about the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from results.benchmarks import references
from results.scoring.cells import Cell, random_returns
from results.statistics import jackknife

# (scores under K noises (K, R), score of random play (R,)) -> (R,)
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Random:
    """What random play scores on a task, its episodes where it was measured, and where the number comes from."""

    mean: float = np.nan
    source: str = ""
    episodes: np.ndarray | None = None

    @property
    def units(self) -> np.ndarray:
        """(n, 1) for the jackknife: nothing is trained, so each episode is a unit; a stored score is taken as exact."""
        return np.array([[self.mean]]) if self.episodes is None else self.episodes[:, None]


def random_play(task: str, cells: list[Cell]) -> Random:
    """Clean evaluations of the random agent among the runs, each seed once; else the stored reference; else NaN."""
    if seeds := random_returns(task, cells):
        episodes = np.concatenate([seeds[seed] for seed in sorted(seeds)])
        return Random(float(episodes.mean()), "runs", episodes)
    return Random(*(references.stored(task) or ()))


def common_seeds(cells: Sequence[Cell]) -> list[int]:
    """The training seeds that were evaluated under every one of these noises."""
    return sorted(set.intersection(*(set(cell.seeds) for cell in cells)))


def estimate(cells: Sequence[Cell], random: Random, of: Measure, confidence: float = 0.95) -> tuple[float, float, float]:
    """`of` the cells' scores over their common seeds, and its interval. NaN ends where there is one episode of one model.

    A statement about the method, over training runs; for one seed, about the precision with which its model was measured.
    """

    def joined(*means: np.ndarray) -> np.ndarray:
        *scores, play = np.broadcast_arrays(*(row for mean in means for row in mean))
        return of(np.stack(scores), play)

    return jackknife.interval([*_units(cells), random.units], joined, confidence)


def linear(
    cells: Sequence[Cell], random: Random, weights: np.ndarray, of_random: float, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `estimate`, of many sums `weights` (R, K) @ scores + `of_random` * random at once: three arrays (R,)."""
    groups, at = [], 0
    for units in _units(cells):
        groups.append((units, weights[:, at : at + units.shape[1]]))
        at += units.shape[1]
    return jackknife.linear_interval([*groups, (random.units, np.full((len(weights), 1), of_random))], confidence)


def retention(scores: np.ndarray, random: np.ndarray) -> np.ndarray:
    """(S_noise - S_random) / (S_clean - S_random) of the scores (clean, noise): the share of the skill that is left."""
    clean, noisy = scores
    return (noisy - random) / (clean - random)


def _units(cells: Sequence[Cell]) -> list[np.ndarray]:
    """Independent groups whose means are the cells' scores, in order: per-seed means, paired within each model.

    Of a single model its episodes, paired where environment seeds agree; else each cell's episodes by themselves.
    """
    seeds = common_seeds(cells)
    if len(seeds) > 1:
        return [np.array([[cell.means[seed] for cell in cells] for seed in seeds])]
    played = [cell.returns[seeds[0]] for cell in cells]
    if paired_episodes(cells, seeds):
        return [np.stack(played, axis=1)]
    return [returns[:, None] for returns in played]


def paired_episodes(cells: Sequence[Cell], seeds: Sequence[int]) -> bool:
    """Whether the cells' episodes of each of these models were played on the same environment seeds."""
    return all(np.array_equal(cells[0].env_seeds[seed], cell.env_seeds[seed]) for cell in cells[1:] for seed in seeds)
