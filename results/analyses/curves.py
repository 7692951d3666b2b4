"""Learning curves: training episodes in bins of environment frames, per training run and as means over training runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.errors import BadInput
from results.benchmarks import references
from results.importers import dreamerv3
from results.reading import load
from results.scoring import cells
from results.statistics import intervals

MOST_BINS = 40
IMPORTED = "imported"  # the preset of runs that others made
TYPICAL = 95  # percent of training episodes that are no longer than a bin is wide


@dataclass(frozen=True)
class Bins:
    """Bins (left, left + width] of environment frames from 0 on; `end` is the furthest point of any run of the task.

    The width is the smallest of 1, 2, 5 x 10^k that makes at most MOST_BINS bins and is no narrower than TYPICAL percent
    of the training episodes are long, so that a run which is still training seldom leaves a bin empty.
    """

    width: int
    end: int

    @classmethod
    def of(cls, training: pd.DataFrame, end: float) -> Bins:
        """Bins for the training episodes of one task; `end` where something was measured further on."""
        ends = training[["path", "frames"]].drop_duplicates().sort_values(["path", "frames"])
        lengths = ends.groupby("path").frames.diff().fillna(ends.frames)
        last_frame = int(max(end, training.frames.max() if len(training) else 0, 1))
        length = float(np.percentile(lengths, TYPICAL, method="higher")) if len(lengths) else 1.0
        return cls(_round_up(max(last_frame / MOST_BINS, length, 1)), last_frame)

    def left_edges(self, frames: pd.Series) -> pd.Series:
        """Left edge of the bin of each point; frame 0 belongs to the first."""
        return ((-(-frames // self.width) - 1).clip(lower=0) * self.width).astype(int)


def learning_runs(results: load.Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that have curves, each setting and seed once, and those left out as repeats. Random play has none."""
    runs, repeats = cells.distinct_runs(results.runs)
    learning = runs[runs.agent != "random"]
    return (learning if len(learning) else runs), repeats


def training_episodes(results: load.Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Training episodes of these runs in order; those whose return is not a finite number keep their row.

    Of an imported run that has none, the clean evaluations along its training: `omissions` says so.
    """
    e = results.episodes
    rows = e[(e.split == "train") | ((e.preset == IMPORTED) & (e.noise == "clean"))]
    rows = rows[rows.path.isin(runs.path)]
    train = rows.split == "train"
    rows = rows[train | ~rows.path.isin(rows[train].path)]
    without_frames = rows if "frames" not in rows else rows[rows.frames.isna()]
    if len(without_frames):
        raise BadInput(f"{without_frames.path.iloc[0]}/episodes.jsonl: a training episode lacks frames.")
    rows = rows if "frames" in rows else rows.assign(frames=0)
    return rows.astype({"frames": int}).sort_values([*load.AXES, "train_seed", "frames", "episode", "return"])


def bin_runs(points: pd.DataFrame, by: list[str], bins: Bins) -> pd.DataFrame:
    """Points (frames, return) -> per `by`, which names a run, and bin: bin_low, bin_high, x, mean, episodes.

    `x` is the mean frame of the points in the bin, so that nothing stands further right than what was measured.
    """
    points = points[np.isfinite(points["return"])]
    binned = points.assign(bin_low=bins.left_edges(points.frames)).groupby([*by, "bin_low"], sort=True)
    table = binned.agg(x=("frames", "mean"), mean=("return", "mean"), episodes=("return", "size")).reset_index()
    return table.assign(bin_high=table.bin_low + bins.width)


def omissions(repeats: pd.DataFrame, training: pd.DataFrame) -> defaultdict[tuple, str]:
    """Setting (AXES) -> `; 1 repeated runs left out; 2 returns not finite, left out`: what is in no number; mostly ''."""
    texts: defaultdict[tuple, str] = defaultdict(str)
    nonfinite = training[~np.isfinite(training["return"])]
    for rows, text in ((repeats, "repeated runs left out"), (nonfinite, "returns not finite, left out")):
        for key, count in Counter(rows[load.AXES].itertuples(index=False, name=None)).items():
            texts[key] += f"; {count} {text}"
    firsts = training.drop_duplicates("path")  # of a run either all are training episodes or none is
    for key in set(firsts[firsts.split == "eval"][load.AXES].itertuples(index=False, name=None)):
        texts[key] += "; clean evaluations during training"
    return texts


def mean_over_seeds(seeds: pd.DataFrame, runs: int, confidence: float) -> pd.DataFrame:
    """Per bin the mean over runs of per-run means, with Student's t interval over training runs; NaN ends for one run.

    Only runs with a point in the bin count: `seeds` of them, out of `runs` (column `of`).
    """
    rows = []
    for (low, high), in_bin in seeds.groupby(["bin_low", "bin_high"], sort=True):
        mean, ci_low, ci_high = intervals.mean_interval(in_bin["mean"].to_numpy(), confidence)
        place = {"bin_low": low, "bin_high": high, "x": in_bin.x.mean(), "seeds": len(in_bin), "of": runs}
        rows.append(place | {"mean": mean, "ci_low": ci_low, "ci_high": ci_high, "episodes": int(in_bin.episodes.sum())})
    return pd.DataFrame(rows, columns=["bin_low", "bin_high", "x", "seeds", "of", "mean", "ci_low", "ci_high", "episodes"])


def final_scores(results: load.Results) -> dict[tuple, tuple[cells.ScoreCell, int]]:
    """Setting (AXES, policy) -> its final clean evaluation and the frame of that checkpoint; of random play too."""
    final = load.final_episodes(results)
    last = final.groupby("path")["frames" if "frames" in final else "step"].max()
    frames = results.runs.assign(frames=results.runs.path.map(last)).groupby(load.AXES).frames.max()
    clean = [cell for cell in cells.select_cells(results) if cell.key["eval_noise"] == "clean" and cell.returns]
    return {cell.group: (cell, int(frames[cell.group[:-1]])) for cell in clean}


def random_score(task: str, final_cells: Iterable[cells.ScoreCell]) -> tuple[float, str]:
    """Mean return of random play and where it comes from: `runs`, the name of a stored table, or NaN and ''."""
    if seeds := cells.random_returns(task, final_cells):
        return float(np.mean([seeds[seed].mean() for seed in sorted(seeds)])), "runs"
    return references.reference_score(task) or (np.nan, "")


def has_task(path: Path | str, tasks: Iterable[str]) -> bool:
    """Whether a reference file has one of these tasks."""
    return bool(set(tasks) & set(_reference(path).task))


def _reference(path: Path | str) -> pd.DataFrame:
    protocol = dreamerv3.benchmark(path)
    table = dreamerv3.read(path).rename(columns={"x": "frames", "y": "return"})
    return table.assign(task=[dreamerv3.suite_task(task, protocol) for task in table.task])


def reference_points(paths: Iterable[Path | str], tasks: Iterable[str]) -> pd.DataFrame:
    """Points of reference files on our tasks: task (as ours), label, file, seed, frames, return (NaN: a null).

    BadInput where a file has none of our tasks: nothing of it could be shown.
    """
    tables, our_tasks = [], set(tasks)
    for path in paths:
        table = _reference(path)
        if not our_tasks & set(table.task):
            raise BadInput(
                f"{path} has no task of these runs ({', '.join(sorted(our_tasks))}), but {', '.join(_first_names(table))}."
            )
        label = table.method + f" ({dreamerv3.benchmark(path)} protocol)"
        tables.append(table[table.task.isin(our_tasks)].assign(label=label, file=Path(path).name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["task", "label", "file"])


def _first_names(table: pd.DataFrame, most: int = 5) -> list[str]:
    names = list(table.task.unique())
    return names[:most] + ["..."] * (len(names) > most)


def _round_up(value: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that is at least `value`."""
    power = 10 ** max(0, int(np.floor(np.log10(value))))
    return next(int(power * m) for m in (1, 2, 5, 10) if power * m >= value)
