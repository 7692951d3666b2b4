"""Robustness of a setting in one number: each measure of the field, with an interval over training runs."""

from __future__ import annotations

import itertools
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import unknown
from results.analyses import robustness
from results.reading import load
from results.scoring import estimates
from results.scoring.cells import GROUP, ScoreCell, select_cells
from results.scoring.estimates import RandomPlay
from results.scoring.noises import noise_family, noise_order, noise_strengths
from results.statistics import contrasts, intervals, jackknife

COLUMNS = ["task", "agent", "ablation", "train_noise", "measure", "eval_noise", "value", "ci_low", "ci_high", "interval"]
COLUMNS += ["seeds", "reference", "flags", "confidence", "final", *(axis for axis in GROUP if axis not in COLUMNS)]

RANKED = 5000  # replicates of rank agreement
CURVE_POINTS = 201  # strengths at which the noise-response curve is tested for half of the advantage
MEASURES = {
    "relative performance": "mean over noises of the score, over the clean score (rPC)",
    "mean retention": "mean over noises of retention: the share of the advantage over random play that remains",
    "worst": "lowest score under any noise, eval_noise names it; simultaneous intervals, Bonferroni over the noises",
    "area": "area under the noise-response curve over its range: the mean score over strengths from 0 to the largest",
    "half lost": "strength at which half of the advantage over random play is lost, by linear interpolation of the curve",
    "gain": "score with this training noise minus score with clean training, under the same evaluation noise",
    "mCE": "shortfall from the reference's clean score, over the reference's own shortfall, mean over noise families",
    "rank agreement": "Kendall's tau between the order of settings without and with the noise",
}
UNITS = {"worst": "return", "area": "return", "gain": "return", "half lost": "strength of the noise"}  # others are ratios
FLAGS = {
    "one_seed": "one trained model: evaluation precision of that model, no claim about the method",
    "no_random": "no score of random play is known",
    "clean_touches_random": "the clean score's interval reaches the random score: the share of the advantage is undefined",
    "not_reached": "less than half is lost at the strongest noise tested",
    "open_end": "the upper end of the interval lies beyond the strongest noise tested",
    "no_shortfall": "the reference loses nothing under these noises: there is nothing to compare with",
    "few_runs": "few training runs: percentiles of a bootstrap are too narrow",
}


Setting = dict[str, ScoreCell]  # one setting: evaluation noise -> its cell
Row = dict[str, Any]


def table(
    results: load.Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    reference: str | None = None,
) -> pd.DataFrame:
    """One row with COLUMNS per setting and measure; per noise or noise family if the measure is of one.

    reference: the ablation whose agent, trained as the setting was, mCE compares with; default none.
    """
    cells = [cell for cell in select_cells(results) if cell.seeds]
    reference = reference or "none"
    ablations = sorted({cell.key["ablation"] for cell in cells})
    if cells and reference not in ablations:
        raise unknown("reference ablation", reference, ablations)
    root = int(rng.integers(2**63))
    settings: defaultdict[tuple, Setting] = defaultdict(dict)
    rows: list[Row] = []
    for cell in cells:
        settings[cell.group][cell.key["eval_noise"]] = cell
    random_play = {task: estimates.find_random_play(task, cells) for task in {cell.key["task"] for cell in cells}}
    for group, setting in settings.items():
        key = dict(zip(GROUP, group, strict=True))
        if "clean" not in setting or len(setting) < 2 or key["agent"] == "random":
            continue
        rows += [key | row for row in _rows_of_setting(setting, random_play[key["task"]], confidence)]
        clean_trained = settings.get(_replace_axes(group, train_noise="clean"), {})
        if key["train_noise"] != "clean":
            rows += [key | row for row in _gains(setting, clean_trained, confidence)]
        if row := _mce(setting, settings.get(_replace_axes(group, ablation=reference), {}), confidence):
            rows.append(key | row | {"reference": reference})
    rows += _rank_agreements(settings, root, reps, confidence)
    table = pd.DataFrame(rows, columns=COLUMNS).assign(confidence=confidence, final=load.FINAL)
    return table.fillna({"reference": "", "flags": "", "eval_noise": ""})


def _rows_of_setting(setting: Setting, random: RandomPlay, confidence: float) -> Iterator[Row]:
    """The measures that need nothing but the setting's own scores and that of random play."""
    noises = [noise for noise in setting if noise != "clean"]
    cells = [setting["clean"], *(setting[noise] for noise in noises)]
    seeds = estimates.common_seeds(cells)
    if not seeds:
        return
    flags = "one_seed" if len(seeds) == 1 else ""
    interval = "t-episodes-one-model, jackknife" if len(seeds) == 1 else "t-runs, jackknife"
    base = {"seeds": len(seeds), "interval": interval, "flags": flags}

    def row(name: str, cells: list[ScoreCell], measure: estimates.Measure, noise: str = "") -> Row:
        value, low, high = estimates.estimate_measure(cells, random, measure, confidence)
        return base | {"measure": name, "eval_noise": noise, "value": value, "ci_low": low, "ci_high": high}

    yield row("relative performance", cells, _relative_performance)
    no_skill = _no_skill_flag(setting["clean"], random, confidence)
    if no_skill:
        no_numbers = dict.fromkeys(["value", "ci_low", "ci_high"], np.nan)
        yield base | no_numbers | {"measure": "mean retention", "flags": _join(flags, no_skill), "interval": ""}
    else:
        yield row("mean retention", cells, _mean_retention)
    yield base | _worst([setting[noise] for noise in noises], noises, confidence)
    for family in sorted({noise_family(noise) for noise in noises}):
        strengths = noise_strengths(noise for noise in noises if noise_family(noise) == family)
        if strengths and len(strengths) > 2:
            order = sorted(strengths, key=lambda noise: strengths[noise])
            curve, x = [setting[noise] for noise in order], np.array([strengths[noise] for noise in order])
            yield row("area", curve, _area_over(x), family)
            if not no_skill:
                yield base | {"eval_noise": family} | _half_lost(curve, x, random, confidence, flags)


def _relative_performance(scores: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Mean over noises of the score, over the clean score; scores (1 + noises, R), the first clean."""
    return scores[1:].mean(axis=0) / scores[0]


def _mean_retention(scores: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Mean over noises of (S_noise - S_random) / (S_clean - S_random); scores (1 + noises, R), the first clean."""
    return ((scores[1:] - random) / (scores[0] - random)).mean(axis=0)


def _area_over(x: np.ndarray) -> estimates.Measure:
    """Area under the curve through the scores at strengths x, from 0 to the largest, divided by the largest.

    Scores 100, 80, 20 at strengths 0, 1, 3: (1 * 90 + 2 * 50) / 3:

    >>> float(_area_over(np.array([0, 1, 3]))(np.array([[100.0], [80.0], [20.0]]), np.zeros(1))[0].round(4))
    63.3333
    """

    def area(scores: np.ndarray, random: np.ndarray) -> np.ndarray:
        return np.trapezoid(scores, x, axis=0) / x[-1]

    return area


def _no_skill_flag(clean: ScoreCell, random: RandomPlay, confidence: float) -> str:
    """'' if the clean score is clearly above the random score, else the flag that says why retention is undefined."""
    if not random.source:
        return "no_random"
    _, low, _ = estimates.estimate_measure([clean], random, lambda scores, random_score: scores[0] - random_score, confidence)
    return "" if low > 0 else "clean_touches_random"


def _worst(cells: list[ScoreCell], noises: list[str], confidence: float) -> Row:
    """Lowest mean; its interval is that of the lowest expected score: all intervals hold at once (Bonferroni)."""
    nominal = 1 - (1 - confidence) / len(cells)
    ends = [estimates.estimate_measure([cell], RandomPlay(0.0), lambda scores, _: scores[0], nominal) for cell in cells]
    lowest = int(np.argmin([value for value, _, _ in ends]))
    low, high = (min(column) for column in list(zip(*ends, strict=True))[1:])
    return {"measure": "worst", "eval_noise": noises[lowest], "value": ends[lowest][0], "ci_low": low, "ci_high": high}


def _half_lost(curve: list[ScoreCell], x: np.ndarray, random: RandomPlay, confidence: float, flags: str) -> Row:
    """Strength where the curve first falls to half of the advantage. The interval inverts the test of "half remains".

    x (K,): the strengths of the K cells, ascending from 0. A strength is in the interval where the interval of
    score - (clean + random) / 2 holds zero: no ratio, so no denominator near 0.
    """
    strengths = np.unique(np.concatenate([np.linspace(0, x[-1], CURVE_POINTS), x]))
    value, low, high = estimates.estimate_sums(curve, random, _excess_weights(strengths, x), -0.5, confidence)
    below, consistent = np.flatnonzero(value <= 0), np.flatnonzero((low <= 0) & (high >= 0))
    half_lost = strengths[below[0]] if len(below) else np.nan
    if len(below) and below[0] > 0:
        a, b = below[0] - 1, below[0]
        half_lost = strengths[a] + (strengths[b] - strengths[a]) * value[a] / (value[a] - value[b])
    ends = (strengths[consistent[0]], strengths[consistent[-1]]) if len(consistent) else (np.nan, np.nan)
    flags = _join(flags, "" if len(below) else "not_reached")
    if len(consistent) and consistent[-1] == len(strengths) - 1:
        ends, flags = (ends[0], np.nan), _join(flags, "open_end")
    return {"measure": "half lost", "value": half_lost, "ci_low": ends[0], "ci_high": ends[1], "flags": flags}


def _excess_weights(strengths: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Weights (R, K) of the scores at x in "the curve at each strength, minus half of the clean score".

    Linear interpolation. At strength 5 between x = 0 and x = 20, the curve is 3/4 of the first and 1/4 of the second:

    >>> _excess_weights(np.array([5.0]), np.array([0.0, 20.0])).tolist()  # 0.75 - 0.5 of the clean score
    [[0.25, 0.25]]
    """
    right = np.clip(np.searchsorted(x, strengths), 1, len(x) - 1)
    share = (strengths - x[right - 1]) / (x[right] - x[right - 1])
    weights = np.zeros((len(strengths), len(x)))
    weights[np.arange(len(strengths)), right - 1] = 1 - share
    weights[np.arange(len(strengths)), right] += share
    weights[:, 0] -= 0.5
    return weights


def _gains(setting: Setting, clean_trained: Setting, confidence: float) -> Iterator[Row]:
    """Training noise is between models: unpaired, Welch's t on per-seed means."""
    for noise, cell in setting.items():
        if noise in clean_trained:
            other = clean_trained[noise]
            contrast = contrasts.unpaired(cell.seed_means, other.seed_means, confidence)
            seeds = min(len(cell.seeds), len(other.seeds))
            ends = {"value": contrast.delta, "ci_low": contrast.low, "ci_high": contrast.high}
            about = {"interval": "welch-t" if contrast.tested else "", "flags": "one_seed" if seeds == 1 else ""}
            yield {"measure": "gain", "eval_noise": noise} | ends | about | {"seeds": seeds, "reference": "clean"}


def _mce(setting: Setting, reference: Setting, confidence: float) -> Row | None:
    """Hendrycks & Dietterich 2019 with shortfall from the reference's clean score as the error; two independent groups."""
    noises = [noise for noise in setting if noise != "clean" and noise in reference]
    if not noises or "clean" not in reference:
        return None
    families = [noise_family(noise) for noise in noises]
    member = np.array([[family == name for family in families] for name in dict.fromkeys(families)], float)
    cells = [setting[noise] for noise in noises]
    reference_cells = [reference["clean"], *(reference[noise] for noise in noises)]
    seeds, reference_seeds = estimates.common_seeds(cells), estimates.common_seeds(reference_cells)
    if not (seeds and reference_seeds):
        return None

    def mce(scores: np.ndarray, reference_scores: np.ndarray) -> np.ndarray:
        clean, noisy = reference_scores[:1], reference_scores[1:]
        return (member @ (clean - scores) / (member @ (clean - noisy))).mean(axis=0)

    groups = [_means_by_seed(cells, seeds), _means_by_seed(reference_cells, reference_seeds)]
    row: Row = {"measure": "mCE", "seeds": min(map(len, groups)), "interval": "t-runs, jackknife"}
    reference_means = groups[1].mean(axis=0)
    if (member @ (reference_means[0] - reference_means[1:]) <= 0).any():
        return row | {"value": np.nan, "ci_low": np.nan, "ci_high": np.nan, "interval": "", "flags": "no_shortfall"}
    if cells[0].group == reference_cells[0].group:
        return row | {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0, "interval": "", "flags": ""}
    value, low, high = jackknife.interval(groups, mce, confidence)
    if row["seeds"] == 1:
        return row | {"value": value, "flags": "one_seed", "ci_low": np.nan, "ci_high": np.nan}
    return row | {"value": value, "flags": "", "ci_low": low, "ci_high": high}


def _means_by_seed(cells: list[ScoreCell], seeds: list[int]) -> np.ndarray:
    """(seeds, cells): per-seed means."""
    return np.array([[cell.means[seed] for cell in cells] for seed in seeds])


def _rank_agreements(settings: dict[tuple, Setting], root: int, reps: int, confidence: float) -> Iterator[Row]:
    """Per task and noise over all its settings; replicates draw each setting's models and episodes independently.

    RANKED replicates at most: the ends are one of few values of tau, which more replicates do not move.
    """
    by_task: defaultdict[str, list[Setting]] = defaultdict(list)
    for group, cells in sorted(settings.items()):
        if group[GROUP.index("agent")] != "random" and "clean" in cells:
            by_task[group[GROUP.index("task")]].append(cells)
    bootstrap = intervals.TwoLevelBootstrap(np.random.default_rng(root), min(reps, RANKED))
    for task, task_settings in sorted(by_task.items()):
        replicates = _independent_replicates(task_settings, bootstrap, root)
        for noise in sorted({noise for cells in task_settings for noise in cells} - {"clean"}, key=noise_order):
            pairs = [(cells["clean"], cells[noise]) for cells in task_settings if noise in cells]
            if len(pairs) < 3:
                continue
            means = np.array([[cell.seed_means.mean() for cell in pair] for pair in pairs])
            clean, noisy = (
                np.stack([by_noise[name] for by_noise in replicates if noise in by_noise]) for name in ("clean", noise)
            )
            low, high = intervals.percentile_interval(_kendall(clean, noisy), confidence)
            value = float(_kendall(means[:, :1], means[:, 1:])[0])
            seeds = min(len(cell.seeds) for pair in pairs for cell in pair)
            flags = "one_seed" if seeds == 1 else "few_runs" if seeds < 10 else ""
            row = {"task": task, "measure": "rank agreement", "eval_noise": noise, "value": value, "seeds": seeds}
            yield row | {"ci_low": low, "ci_high": high, "interval": "bootstrap-two-level", "flags": flags}


def _independent_replicates(
    settings: list[Setting], bootstrap: intervals.TwoLevelBootstrap, root: int
) -> list[dict[str, np.ndarray]]:
    """Per setting, replicates of its score under each noise, of models and episodes drawn for this setting.

    Draws are shared by cells with the same numbers of episodes. Each setting's replicates are shifted by an amount of its
    own, which makes them independent of all others': no two replicates of the bootstrap are of the same draw.
    """
    replicates = robustness.replicate_means(bootstrap, [cell for cells in settings for cell in cells.values()])
    shifted = []
    for cells in settings:
        seed = zlib.crc32(repr(next(iter(cells.values())).group).encode())
        shift = int(np.random.default_rng([root, seed]).integers(bootstrap.reps))
        shifted.append({noise: np.roll(replicates[cell.name], shift) for noise, cell in cells.items()})
    return shifted


def _kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kendall's tau-a over the first axis, for every column: concordant minus discordant pairs over all pairs.

    Orders 1, 2, 3 and 1, 3, 2: two pairs agree, one does not:

    >>> float(_kendall(np.array([[1], [2], [3]]), np.array([[1], [3], [2]]))[0].round(4))
    0.3333
    """
    pairs, total = list(itertools.combinations(range(len(x)), 2)), np.zeros(x.shape[1], int)
    for a, b in pairs:
        total += _sign(x[a], x[b]) * _sign(y[a], y[b])
    return total / len(pairs)


def _sign(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of a - b, as bytes: several times faster than `np.sign`."""
    return (a > b).view(np.int8) - (a < b)


def _replace_axes(group: tuple, **axes: str) -> tuple:
    """The setting that differs from `group` in these axes."""
    return tuple(axes.get(axis, value) for axis, value in zip(GROUP, group, strict=True))


def _join(*flags: str) -> str:
    return ";".join(flag for flag in flags if flag)
