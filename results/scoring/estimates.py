"""Estimates of robustness measures: functions of a method's scores under several noises and of random play's score.

All are paired within each trained model, so that its luck in training cancels. Intervals are Student's t on the jackknife
over training runs; with one trained model, over its episodes: then they say nothing about the method.

Shapes: K noises, S trained models, R sets of scores side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from results.benchmarks import references
from results.scoring.cells import ScoreCell, random_returns
from results.statistics import jackknife

# (scores under K noises (K, R), score of random play (R,)) -> (R,)
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class RandomPlay:
    """What random play scores on a task, its episodes where it was measured, and where the number comes from."""

    mean: float = np.nan
    source: str = ""
    episodes: np.ndarray | None = None

    @property
    def units(self) -> np.ndarray:
        """(n, 1) for the jackknife: nothing is trained, so each episode is a unit; a stored score is taken as exact."""
        return np.array([[self.mean]]) if self.episodes is None else self.episodes[:, None]


def find_random_play(task: str, cells: list[ScoreCell]) -> RandomPlay:
    """Clean evaluations of the random agent among the runs, each seed once; else the stored reference; else NaN."""
    if seeds := random_returns(task, cells):
        episodes = np.concatenate([seeds[seed] for seed in sorted(seeds)])
        return RandomPlay(float(episodes.mean()), "runs", episodes)
    if reference := references.reference_score(task):
        return RandomPlay(*reference)
    return RandomPlay()


def common_seeds(cells: Sequence[ScoreCell]) -> list[int]:
    """The training seeds that were evaluated under every one of these noises."""
    return sorted(set.intersection(*(set(cell.seeds) for cell in cells)))


def estimate_measure(
    cells: Sequence[ScoreCell], random_play: RandomPlay, measure: Measure, confidence: float = 0.95
) -> tuple[float, float, float]:
    """`measure` of the cells' scores over their common seeds, and its interval; NaN ends for one episode of one model.

    A statement about the method, over training runs; for one seed, about the precision with which its model was measured.
    """

    def measure_of_means(*means: np.ndarray) -> np.ndarray:
        *scores, random_score = np.broadcast_arrays(*(row for mean in means for row in mean))
        return measure(np.stack(scores), random_score)

    return jackknife.interval([*_units(cells), random_play.units], measure_of_means, confidence)


def estimate_sums(
    cells: Sequence[ScoreCell], random_play: RandomPlay, weights: np.ndarray, random_weight: float, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `estimate_measure`, of R sums `weights` (R, K) @ scores + `random_weight` * random score: three arrays (R,)."""
    groups: list[tuple[np.ndarray, np.ndarray]] = []
    column = 0
    for units in _units(cells):
        groups.append((units, weights[:, column : column + units.shape[1]]))
        column += units.shape[1]
    random_group = (random_play.units, np.full((len(weights), 1), random_weight))
    return jackknife.linear_interval([*groups, random_group], confidence)


def retention(scores: np.ndarray, random: np.ndarray) -> np.ndarray:
    """(S_noise - S_random) / (S_clean - S_random) of the scores (clean, noise): the share of the skill that is left.

    A method falls from 110 to 60, random play scores 10: half of the skill is left.

    >>> retention(np.array([[110.0], [60.0]]), np.array([10.0])).tolist()
    [0.5]
    """
    clean, noisy = scores
    return (noisy - random) / (clean - random)


def _units(cells: Sequence[ScoreCell]) -> list[np.ndarray]:
    """Independent groups whose means are the cells' scores, in order: per-seed means, paired within each model.

    Of a single model its episodes, paired where environment seeds agree; else each cell's episodes by themselves.
    """
    seeds = common_seeds(cells)
    if len(seeds) > 1:
        return [np.array([[cell.means[seed] for cell in cells] for seed in seeds])]
    returns = [cell.returns[seeds[0]] for cell in cells]
    if paired_episodes(cells, seeds):
        return [np.stack(returns, axis=1)]
    return [cell_returns[:, None] for cell_returns in returns]


def paired_episodes(cells: Sequence[ScoreCell], seeds: Sequence[int]) -> bool:
    """Whether the cells' episodes of each of these models were played on the same environment seeds."""
    return all(np.array_equal(cells[0].env_seeds[seed], cell.env_seeds[seed]) for cell in cells[1:] for seed in seeds)
