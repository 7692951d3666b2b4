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
    "other_precision": "the baseline was run in another numeric precision only, which is part of the difference",
    "unfinished": "runs that are not done, on both sides",
    "unequal_seeds": "the two sides have different numbers of training runs",
    "fewer_tasks": "tasks of the ablation that the mean over tasks lacks, for want of two runs on a side or a normaliser",
}


def table(
    results: load.Results,
    confidence: float = 0.95,
    final: str | None = None,
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
    values = pd.concat([_scores(results, final), _under_noise(results)], ignore_index=True)
    known = sorted(values.ablation.unique())
    if len(values) and baseline not in known:
        raise unknown("baseline ablation", baseline, known)
    rows: list[dict[str, Any]] = []
    found = {key: _sides(group) for key, group in values.groupby(PLACE, sort=True)}
    for key, sides in found.items():
        place = dict(zip(PLACE, key, strict=True)) | {"baseline": baseline, "confidence": confidence}
        base, remark = _baseline(found, key, baseline)
        for ablation in sorted(sides.keys() - {baseline}):
            contrasted = _contrasts(sides[ablation], base, remark, confidence, margin)
            rows += [place | {"ablation": ablation} | row for row in contrasted]
    out = pd.DataFrame(rows, columns=COLUMNS)
    out["p_holm"] = out.groupby("metric").p.transform(lambda p: contrasts.holm(p.to_numpy()))
    out["family"] = out.groupby("metric").p.transform("count")
    rank = out.assign(first=out.metric != SCORE, all=out.task == ALL)
    order = rank.sort_values(["agent", "train_noise", "first", "metric", "task", "ablation"], kind="stable").index
    return out.loc[order].reset_index(drop=True)


def _scores(results: load.Results, final: str | None) -> pd.DataFrame:
    """One row per run: SETTING, task, ablation, metric, value, normalized, done, final."""
    scored = run_scores.of_runs(results, final)
    axes = results.runs.set_index("path")[[axis for axis in (*SETTING, "ablation")]]
    scored = scored.join(axes, on="path").assign(metric=SCORE, value=scored.score)
    scored = scored[scored.agent != "random"]
    return scored[[*SETTING, "task", "ablation", "metric", "value", "normalized", "done", "final"]]


def _under_noise(results: load.Results) -> pd.DataFrame:
    """As `_scores`, for the return under every evaluation noise and for what is lost to it."""
    rows = []
    found = {cell.name: cell for cell in cells.select(results) if cell.key["agent"] != "random"}
    for cell in found.values():
        noise = cell.key["eval_noise"]
        clean = found.get((*cell.group, "clean"))
        if noise == "clean":
            continue
        place = tuple(cell.key[axis] for axis in (*SETTING, "task", "ablation"))
        low, high = benchmarks.get(benchmarks.of_task(cell.key["task"])).ends(cell.key["task"])
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
    """Runs of one ablation on one task: known values, as returns and normalised; how many are not done; the rule."""

    values: np.ndarray
    normalized: np.ndarray
    waiting: int
    final: str


_NOBODY = _Side(np.empty(0), np.empty(0), 0, "")


def _sides(group: pd.DataFrame) -> dict[str, dict[str, _Side]]:
    """Ablation -> task -> its runs."""
    values, normalized, done = (group[name].to_numpy() for name in ("value", "normalized", "done"))
    finals, sides = group.final.tolist(), defaultdict(dict)
    for (ablation, task), rows in sorted(group.groupby(["ablation", "task"]).indices.items()):
        known = [column[rows].astype(float) for column in (values, normalized)]
        known = [column[~np.isnan(column)] for column in known]
        sides[ablation][task] = _Side(*known, int((~done[rows].astype(bool)).sum()), finals[rows[0]])
    return sides


def _baseline(found: dict[tuple, dict[str, dict[str, _Side]]], key: tuple, name: str) -> tuple[dict[str, _Side], list[str]]:
    """The baseline's runs at a place; where it has none, those of the one other precision that it has, and the flag for it."""
    if name in found[key]:
        return found[key][name], []
    where = PLACE.index("precision")
    like = [at for at in found if name in found[at] and at[:where] + at[where + 1 :] == key[:where] + key[where + 1 :]]
    return (found[like[0]][name], ["other_precision"]) if len(like) == 1 else ({}, [])


def _contrasts(
    own: dict[str, _Side], base: dict[str, _Side], remark: list[str], confidence: float, margin: float | None
) -> Iterator[dict[str, Any]]:
    """One row per task of the ablation, and one over all tasks where it has several; `remark`: flags of every row."""
    normalised = []
    for task, runs in own.items():
        other = base.get(task, _NOBODY)
        x, y = runs.values, other.values
        found = contrasts.unpaired(x, y, confidence)
        row = {"task": task, "unit": "return", "mean": _mean(x), "mean_baseline": _mean(y)}
        row["flags"] = ";".join([*_flags(runs, other), *remark])
        counts = {"seeds": len(x), "seeds_baseline": len(y), "final": runs.final}
        yield row | _numbers(found, margin and margin * abs(_mean(y))) | counts
        normalised.append(contrasts.unpaired(runs.normalized, other.normalized, confidence))
    known = [one for one in normalised if one.df == one.df]
    if len(normalised) > 1 and known:
        over_all = contrasts.mean_contrast(known, confidence)
        lacking = len(normalised) - len(known)
        flags = [*([f"fewer_tasks:{lacking}"] if lacking else []), *remark]
        row = {"task": ALL, "unit": "normalised score", "flags": ";".join(flags)}
        seeds, seeds_baseline = (sum(len(side.values) for side in sides.values()) for sides in (own, base))
        counts = {"seeds": seeds, "seeds_baseline": seeds_baseline, "final": next(iter(own.values())).final}
        yield row | _numbers(over_all, None) | counts


def _numbers(found: Contrast, margin: float | None) -> dict[str, Any]:
    row = {"delta": found.delta, "ci_low": found.low, "ci_high": found.high, "p": found.p}
    row["interval"] = "welch-t" if found.p == found.p else ""
    equivalent = contrasts.equivalence_p(found, margin) if margin and found.p == found.p else np.nan
    return row | {"margin": margin if margin else np.nan, "p_equivalent": equivalent}


def _flags(runs: _Side, base: _Side) -> list[str]:
    counts = len(runs.values), len(base.values)
    flags = []
    if not counts[1]:
        flags.append("no_baseline")
    elif min(counts) == 1:
        flags.append("one_seed")
    elif counts[0] and np.ptp(runs.values) == 0 and np.ptp(base.values) == 0:
        flags.append("no_spread")
    if waiting := runs.waiting + base.waiting:
        flags.append(f"unfinished:{waiting}")
    if counts[1] and counts[0] != counts[1]:
        flags.append("unequal_seeds")
    return flags


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
