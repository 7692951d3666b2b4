"""What an ablation changes: contrasts with the baseline, task by task and over all tasks, as one corrected family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import unknown
from results import benchmarks
from results.reading import load
from results.scoring import cells, run_scores
from results.statistics import contrasts
from results.statistics.contrasts import Contrast

SETTING = [axis for axis in (*load.AXES, "policy") if axis not in ("task", "ablation")]
PLACE = [*SETTING, "metric"]
COLUMNS = ["task", "ablation", "baseline", "metric", "delta", "ci_low", "ci_high", "p", "p_holm", "seeds", "flags"]
COLUMNS += ["seeds_baseline", "mean", "mean_baseline", "unit", "interval", "p_equivalent", "margin", "family", "confidence"]
COLUMNS += ["final", *SETTING]
ALL = "all tasks"
SCORE = "score"
FLAGS = {
    "one_seed": "one training run on a side: no interval, no p, no claim about the ablation",
    "no_spread": "no spread on either side: no interval, no p",
    "no_baseline": "no run of the baseline with these settings",
    "other_precision": "the baseline has runs in another numeric precision only; precision is part of the difference",
    "unfinished": "runs that are not done, on both sides",
    "unequal_seeds": "the two sides have different numbers of training runs",
    "fewer_tasks": "tasks that the mean over tasks leaves out: fewer than two runs on a side, no spread, or no normaliser",
}


def table(
    results: load.Results,
    confidence: float = 0.95,
    score_rule: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
) -> pd.DataFrame:
    """One row per task, ablation and metric with COLUMNS; delta = ablation minus baseline.

    metric: `score` by the final-score rule; `return, NOISE` of the last checkpoint under an evaluation noise; `loss,
    NOISE`, what a model loses from clean to that noise. Between models: unpaired, Welch's t over training runs. `all
    tasks`: the mean over tasks of normalised score differences, their errors independent.
    p_holm: Holm's correction over `family` rows, all of one metric. margin: share of the baseline's mean; p_equivalent is
    that of a difference at least as large (two one-sided tests), small where there is no effect that matters.
    """
    baseline = baseline or "none"
    values = pd.concat([_scores(results, score_rule), _under_noise(results)], ignore_index=True)
    ablations = sorted(values.ablation.unique())
    if len(values) and baseline not in ablations:
        raise unknown("baseline ablation", baseline, ablations)
    rows: list[dict[str, Any]] = []
    sides_by_place = {key: _sides(group) for key, group in values.groupby(PLACE, sort=True)}
    for key, sides in sides_by_place.items():
        place = dict(zip(PLACE, key, strict=True)) | {"baseline": baseline, "confidence": confidence}
        base, base_flags = _baseline(sides_by_place, key, baseline)
        for ablation in sorted(sides.keys() - {baseline}):
            contrast_rows = _contrasts(sides[ablation], base, base_flags, confidence, margin)
            rows += [place | {"ablation": ablation} | row for row in contrast_rows]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_holm"] = table.groupby("metric").p.transform(_holm)
    table["family"] = table.groupby("metric").p.transform("count")
    rank = table.assign(first=table.metric != SCORE, all=table.task == ALL)
    order = rank.sort_values(["agent", "train_noise", "first", "metric", "task", "ablation"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _holm(p: pd.Series) -> pd.Series:
    return pd.Series(contrasts.holm(p.to_numpy()), p.index)


def _scores(results: load.Results, score_rule: str | None) -> pd.DataFrame:
    """One row per run: SETTING, task, ablation, metric, value, normalized, done, final."""
    scored = run_scores.score_runs(results, score_rule)
    axes = results.runs.set_index("path")[[axis for axis in (*SETTING, "ablation")]]
    scored = scored.join(axes, on="path").assign(metric=SCORE, value=scored.score)
    scored = scored[scored.agent != "random"]
    return scored[[*SETTING, "task", "ablation", "metric", "value", "normalized", "done", "final"]]


def _under_noise(results: load.Results) -> pd.DataFrame:
    """As `_scores`, for the return under every evaluation noise and for what is lost to it."""
    rows = []
    by_name = {cell.name: cell for cell in cells.select_cells(results) if cell.key["agent"] != "random"}
    for cell in by_name.values():
        noise = cell.key["eval_noise"]
        clean = by_name.get((*cell.group, "clean"))
        if noise == "clean":
            continue
        place = tuple(cell.key[axis] for axis in (*SETTING, "task", "ablation"))
        low, high = benchmarks.get(benchmarks.name_of_task(cell.key["task"])).bounds(cell.key["task"])
        for seed in cell.seeds:
            value = cell.returns[seed].mean()
            rows.append((*place, f"return, {noise}", value, (value - low) / (high - low)))
            if clean and seed in clean.returns:
                lost = clean.returns[seed].mean() - value
                rows.append((*place, f"loss, {noise}", lost, lost / (high - low)))
    table = pd.DataFrame(rows, columns=[*SETTING, "task", "ablation", "metric", "value", "normalized"])
    return table.assign(done=True, final=load.FINAL)


@dataclass(frozen=True)
class _Side:
    """Runs of one ablation on one task: measured values, as returns and normalised; how many are not done; the rule."""

    values: np.ndarray
    normalized: np.ndarray
    unfinished: int
    score_rule: str


Sides = dict[str, dict[str, _Side]]  # ablation -> task -> its runs

_NO_RUNS = _Side(np.empty(0), np.empty(0), 0, "")


def _sides(group: pd.DataFrame) -> Sides:
    """The runs of one place, ablation by ablation and task by task, both sorted."""
    sides: defaultdict[str, dict[str, _Side]] = defaultdict(dict)
    ablations, tasks, rules = (group[name].tolist() for name in ("ablation", "task", "final"))
    values, normalized = (group[name].to_numpy().astype(float) for name in ("value", "normalized"))
    unfinished = ~group.done.to_numpy().astype(bool)
    for rows in group.groupby(["ablation", "task"]).indices.values():
        first = rows[0]
        measured, measured_normalized = (column[rows][~np.isnan(column[rows])] for column in (values, normalized))
        side = _Side(measured, measured_normalized, int(unfinished[rows].sum()), rules[first])
        sides[ablations[first]][tasks[first]] = side
    return {ablation: dict(sorted(by_task.items())) for ablation, by_task in sorted(sides.items())}


def _baseline(sides_by_place: dict[Any, Sides], key: Any, name: str) -> tuple[dict[str, _Side], list[str]]:
    """The baseline's runs at a place, and flags. Without any: its runs of another precision, if that is only one."""
    if name in sides_by_place[key]:
        return sides_by_place[key][name], []
    index = PLACE.index("precision")
    others = [
        place
        for place, sides in sides_by_place.items()
        if name in sides and place[:index] + place[index + 1 :] == key[:index] + key[index + 1 :]
    ]
    return (sides_by_place[others[0]][name], ["other_precision"]) if len(others) == 1 else ({}, [])


def _contrasts(
    ablated: dict[str, _Side], base: dict[str, _Side], base_flags: list[str], confidence: float, margin: float | None
) -> Iterator[dict[str, Any]]:
    """One row per task of the ablation, and one over all tasks where it has several; `base_flags`: flags of every row."""
    normalized: list[Contrast] = []
    for task, runs in ablated.items():
        base_runs = base.get(task, _NO_RUNS)
        x, y = runs.values, base_runs.values
        contrast = contrasts.unpaired(x, y, confidence)
        row = {"task": task, "unit": "return", "mean": _mean(x), "mean_baseline": _mean(y)}
        row["flags"] = ";".join([*_flags(runs, base_runs), *base_flags])
        counts = {"seeds": len(x), "seeds_baseline": len(y), "final": runs.score_rule}
        yield row | _numbers(contrast, margin and margin * abs(_mean(y))) | counts
        normalized.append(contrasts.unpaired(runs.normalized, base_runs.normalized, confidence))
    tested = [contrast for contrast in normalized if contrast.tested]
    if len(normalized) > 1 and tested:
        over_tasks = contrasts.mean_contrast(tested, confidence)
        untested = len(normalized) - len(tested)
        flags = [*([f"fewer_tasks:{untested}"] if untested else []), *base_flags]
        row = {"task": ALL, "unit": "normalised score", "flags": ";".join(flags)}
        seeds, seeds_baseline = (sum(len(side.values) for side in sides.values()) for sides in (ablated, base))
        rule = next(iter(ablated.values())).score_rule
        yield row | _numbers(over_tasks, None) | {"seeds": seeds, "seeds_baseline": seeds_baseline, "final": rule}


def _numbers(contrast: Contrast, margin: float | None) -> dict[str, Any]:
    """The columns of a contrast. margin: the smallest difference that matters; None if the user gave none."""
    numbers = {"delta": contrast.delta, "ci_low": contrast.low, "ci_high": contrast.high, "p": contrast.p}
    equivalent = contrasts.equivalence_p(contrast, margin) if margin and contrast.tested else np.nan
    test = {"interval": "welch-t" if contrast.tested else "", "margin": margin if margin else np.nan}
    return numbers | test | {"p_equivalent": equivalent}


def _flags(runs: _Side, base: _Side) -> list[str]:
    counts = len(runs.values), len(base.values)
    flags = []
    if not counts[1]:
        flags.append("no_baseline")
    elif min(counts) == 1:
        flags.append("one_seed")
    elif counts[0] and np.ptp(runs.values) == 0 and np.ptp(base.values) == 0:
        flags.append("no_spread")
    if unfinished := runs.unfinished + base.unfinished:
        flags.append(f"unfinished:{unfinished}")
    if counts[1] and counts[0] != counts[1]:
        flags.append("unequal_seeds")
    return flags


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
