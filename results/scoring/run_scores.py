"""The final score of every run, by a named rule, normalised; and the runs of a method, task by task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from results import benchmarks
from results.reading import load
from results.scoring import cells, score_rules
from results.statistics.strata import Strata

RUN_COLUMNS = ["benchmark", "task", "method", "path", "train_seed", "done", "score", "normalized", "final", "recent"]
RUN_COLUMNS += ["recent_normalized", "repeats"]
DISTINGUISHING_AXES = ["study", "preset", "size", "precision", "steps", "variant"]  # named only where methods differ there

FLAGS = {
    "one_run": "one training run: its seed variance is in no interval, no claim about the method",
    "few_runs": "a task has fewer than 6 runs: the bootstrap of runs is too narrow there (it covers 90 % with 5, 87 % with 3)",
    "unreplicated": "no task has two runs: a bootstrap of runs has no spread, so there is no interval",
    "missing_runs": "runs without a score by this rule, left out: neither zero nor carried forward",
    "missing_lead": "most runs left out scored above the method's median at their last points: they are not missing at random",
    "unfinished": "runs that are not done",
    "missing_tasks": "tasks of the benchmark that this method has no score for, though another has",
    "duplicate_seed": "several runs of the same setting and seed; one of them is used",
    "no_normaliser": "no reference scores for these tasks: nothing is normalised, they are in no aggregate",
    "no_spread": "all runs have the same score, so the interval has no width",
}


def method_names(runs: pd.DataFrame) -> pd.Series:
    """What a run's method is called: agent, ablation and training noise where there are any, and what else differs.

    `study`, `size` and so on are part of the name only where runs of one method differ in them on one task.
    """
    identity = ["agent", "ablation", "train_noise"]
    names = runs.agent + _unless(runs.ablation, "none") + _unless(runs.train_noise, "clean")
    namesakes = runs.groupby(["benchmark", "task", *identity], dropna=False)
    for axis in DISTINGUISHING_AXES:
        differs = (namesakes[axis].transform("nunique") > 1).groupby(names).transform("any")
        text = runs[axis].astype(str) if axis == "variant" else axis + "=" + runs[axis].astype(str)
        names = names + (" " + text).where(differs & (runs[axis].astype(str) != ""), "")
    return names


def _unless(values: pd.Series, default: str) -> pd.Series:
    return (" " + values.astype(str)).where(values != default, "")


def score_runs(results: load.Results, score_rule: str | None = None) -> pd.DataFrame:
    """One row per run with RUN_COLUMNS, each setting and seed once. repeats: how many more runs of it there are, unused.

    score: return, NaN where missing; final: the score rule; recent: mean of the run's last 10 points, whatever the rule.

    score_rule: one of score_rules.NAMES. Default, per benchmark: the runs' own evaluation, or, where a run that is done has
    none but training points, the benchmark's rule, which is made for those.
    """
    return next(score_runs_by_rules(results, [score_rule]))


def score_runs_by_rules(results: load.Results, rules: Iterable[str | None]) -> Iterator[pd.DataFrame]:
    """`score_runs` by each of several rules: what does not depend on the rule is worked out once."""
    runs, repeats = cells.distinct_runs(results.runs)
    runs = runs.assign(method=method_names(runs))
    repeat_counts = repeats.groupby([*load.AXES, "train_seed"]).size().rename("repeats").reset_index()
    runs = runs.merge(repeat_counts, how="left").fillna({"repeats": 0})
    final = load.final_episodes(results)
    runs["evaluated"] = runs.path.map(final[final.noise == "clean"].groupby("path")["return"].mean()).astype(float)
    points = training_points(results, runs)
    parts = [
        (_add_bounds(benchmark_runs, benchmark_points), benchmark_points)
        for _, benchmark_runs in runs.groupby("benchmark")
        for benchmark_points in [points[points.path.isin(benchmark_runs.path)]]
    ]
    for rule in rules:
        scored = pd.concat([_add_scores(*part, rule) for part in parts])[RUN_COLUMNS]
        yield scored.sort_values(["benchmark", "task", "method", "train_seed", "path"], ignore_index=True)


def training_points(results: load.Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Training points with a finite return: path, benchmark, method, task, frames, return; a run's in order of frames."""
    e = results.episodes
    e = e[(e.split == "train") & np.isfinite(e["return"])]
    e = e.assign(frames=e.frames if "frames" in e else e.step).dropna(subset="frames")
    points = e[["path", "task", "frames", "return"]].merge(runs[["path", "benchmark", "method"]], on="path")
    return points.sort_values(["path", "frames", "return"], kind="stable", ignore_index=True)


def strata_of_methods(scored: pd.DataFrame) -> dict[tuple[str, str], Strata]:
    """(benchmark, method) -> its normalised run scores by task, for methods that have any."""
    scored = scored[scored.normalized.notna()]
    values = scored.normalized.to_numpy()
    by_task: defaultdict[tuple[str, str], dict[str, np.ndarray]] = defaultdict(dict)
    columns = [scored[name].tolist() for name in ("benchmark", "method", "task")]
    for rows in scored.groupby(["benchmark", "method", "task"]).indices.values():
        benchmark, method, task = (column[rows[0]] for column in columns)
        by_task[benchmark, method][task] = values[rows]
    return {key: Strata.of(by_task[key]) for key in sorted(by_task)}


def missing_flags(runs: pd.DataFrame) -> Iterator[str]:
    """Flags about runs that are in no number: how many, how many lead the others of their task, how many are not done."""
    if count := int(runs.score.isna().sum()):
        yield f"missing_runs:{count}"
        if count_leading(runs) > count / 2:
            yield "missing_lead"
    if count := int((~runs.done).sum()):
        yield f"unfinished:{count}"


def count_leading(runs: pd.DataFrame) -> int:
    """Runs of one method without a score whose last points, normalised, are above its median run: high scorers left out."""
    level = "normalized" if runs.normalized.notna().any() else "score"
    recent = runs.recent_normalized if level == "normalized" else runs.recent
    return int((runs.score.isna() & (recent > runs[level].median())).sum())


def _add_bounds(runs: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """The runs of one benchmark with low and high, the bounds of its scale, and recent. points: their training points."""
    benchmark = benchmarks.get(runs.benchmark.iloc[0])
    bounds = {task: benchmark.bounds(task) for task in runs.task.unique()}
    low, high = (runs.task.map({task: ends[i] for task, ends in bounds.items()}).astype(float) for i in (0, 1))
    recent = runs.path.map(score_rules.mean_returns("last 10 points", points, benchmark)).astype(float)
    return runs.assign(low=low, high=high, recent=recent, recent_normalized=(recent - low) / (high - low))


def _add_scores(runs: pd.DataFrame, points: pd.DataFrame, score_rule: str | None) -> pd.DataFrame:
    """The runs of one benchmark, from `_add_bounds`, with score, normalized and final. points: their training points."""
    benchmark = benchmarks.get(runs.benchmark.iloc[0])
    unevaluated = runs[runs.done & runs.evaluated.isna()]
    rule = score_rule or (benchmark.score_rule if unevaluated.path.isin(points.path).any() else load.FINAL)
    by_points = score_rules.mean_returns(rule, points, benchmark) if rule != load.FINAL else None
    score = runs.evaluated if by_points is None else runs.path.map(by_points).astype(float)
    return runs.assign(score=score, normalized=(score - runs.low) / (runs.high - runs.low), final=rule)
