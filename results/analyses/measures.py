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
from results.scoring.cells import GROUP, Cell, select
from results.scoring.estimates import Random
from results.scoring.noises import noise_family, noise_order, noise_strengths
from results.statistics import contrasts, intervals, jackknife

COLUMNS = ["task", "agent", "ablation", "train_noise", "measure", "eval_noise", "value", "ci_low", "ci_high", "interval"]
COLUMNS += ["seeds", "reference", "flags", "confidence", "final", *(axis for axis in GROUP if axis not in COLUMNS)]

RANKED = 5000  # replicates of rank agreement
MEASURES = {
    "relative performance": "mean over noises of the score, over the clean score (rPC)",
    "mean retention": "mean over noises of retention: the share of the advantage over random play that is left",
    "worst": "lowest score under any noise, eval_noise names it; simultaneous intervals, Bonferroni over the noises",
    "area": "area under the noise-response curve over its range: the mean score for a strength drawn evenly from 0 to the top",
    "half lost": "strength at which half of the advantage over random play is lost, by linear interpolation of the curve",
    "gain": "score with this training noise minus score with clean training, under the same evaluation noise",
    "mCE": "shortfall from the reference's clean score, over the reference's own shortfall, mean over noise families",
    "rank agreement": "Kendall's tau between the order of settings without and with the noise",
}
FLAGS = {
    "one_seed": "one trained model: evaluation precision of that model, no claim about the method",
    "no_random": "no score of random play is known",
    "clean_touches_random": "the clean score's interval reaches the random score: no share of an advantage can be told",
    "not_reached": "less than half is lost at the strongest noise tested",
    "open_end": "the upper end of the interval lies beyond the strongest noise tested",
    "no_shortfall": "the reference loses nothing under these noises: there is nothing to compare with",
    "few_runs": "few training runs: percentiles of a bootstrap are too narrow",
}


def table(
    results: load.Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    reference: str | None = None,
) -> pd.DataFrame:
    """One row per setting, measure and, where it is of one, noise or noise family, with COLUMNS.

    reference: the ablation whose agent, trained as the setting was, mCE compares with; default none.
    """
    cells = [cell for cell in select(results) if cell.seeds]
    reference = reference or "none"
    known = sorted({cell.key["ablation"] for cell in cells})
    if cells and reference not in known:
        raise unknown("reference ablation", reference, known)
    root, settings, rows = int(rng.integers(2**63)), defaultdict(dict), []
    for cell in cells:
        settings[cell.group][cell.key["eval_noise"]] = cell
    randoms = {task: estimates.random_play(task, cells) for task in {cell.key["task"] for cell in cells}}
    for group, own in settings.items():
        key = dict(zip(GROUP, group, strict=True))
        if "clean" not in own or len(own) < 2 or key["agent"] == "random":
            continue
        for row in _of_setting(own, randoms[key["task"]], confidence):
            rows.append(key | row)
        rows += [key | row for row in _gains(own, settings.get(_with(group, train_noise="clean")), key, confidence)]
        if row := _mce(own, settings.get(_with(group, ablation=reference)), confidence):
            rows.append(key | row | {"reference": reference})
    rows += _ranks(settings, root, reps, confidence)
    table = pd.DataFrame(rows, columns=COLUMNS).assign(confidence=confidence, final=load.FINAL)
    return table.fillna({"reference": "", "flags": "", "eval_noise": ""})


def _of_setting(own: dict[str, Cell], random: Random, confidence: float) -> Iterator[dict[str, Any]]:
    clean, noises = own["clean"], [noise for noise in own if noise != "clean"]
    all_cells = [clean, *(own[noise] for noise in noises)]
    seeds = estimates.common_seeds(all_cells)
    if not seeds:
        return
    base = {"seeds": len(seeds), "interval": "t-runs, jackknife", "flags": "one_seed" if len(seeds) == 1 else ""}
    if len(seeds) == 1:
        base["interval"] = "t-episodes-one-model, jackknife"

    def row(name: str, cells: list[Cell], of: estimates.Measure, noise: str = "") -> dict[str, Any]:
        value, low, high = estimates.estimate(cells, random, of, confidence)
        return base | {"measure": name, "eval_noise": noise, "value": value, "ci_low": low, "ci_high": high}

    yield row("relative performance", all_cells, lambda scores, _: scores[1:].mean(axis=0) / scores[0])
    lost = _skill(clean, random, confidence)
    if lost:
        nothing = dict.fromkeys(["value", "ci_low", "ci_high"], np.nan)
        yield base | nothing | {"measure": "mean retention", "flags": _joined(base["flags"], lost), "interval": ""}
    else:
        yield row("mean retention", all_cells, lambda s, r: ((s[1:] - r) / (s[0] - r)).mean(axis=0))
    yield base | _worst([own[noise] for noise in noises], noises, confidence)
    for family in sorted({noise_family(noise) for noise in noises}):
        alike = [noise for noise in noises if noise_family(noise) == family]
        strengths = noise_strengths(alike)
        if strengths and len(strengths) > 2:
            order = sorted(strengths, key=lambda noise: strengths[noise])
            curve, at = [own[noise] for noise in order], np.array([strengths[noise] for noise in order])
            yield row("area", curve, lambda s, _, at=at: np.trapezoid(s, at, axis=0) / at[-1], family)
            if not lost:
                yield base | {"eval_noise": family} | _half(curve, at, random, confidence, base["flags"])


def _skill(clean: Cell, random: Random, confidence: float) -> str:
    """'' where the clean score is beyond the random score's reach, else the flag that says why no share can be told."""
    if not random.source:
        return "no_random"
    _, low, _ = estimates.estimate([clean], random, lambda scores, play: scores[0] - play, confidence)
    return "" if low > 0 else "clean_touches_random"


def _worst(cells: list[Cell], noises: list[str], confidence: float) -> dict[str, Any]:
    """Lowest mean; its interval is that of the lowest expected score: all intervals hold at once (Bonferroni)."""
    nominal = 1 - (1 - confidence) / len(cells)
    ends = [estimates.estimate([cell], Random(0.0), lambda s, _: s[0], nominal) for cell in cells]
    lowest = int(np.argmin([value for value, _, _ in ends]))
    low, high = (min(column) for column in list(zip(*ends, strict=True))[1:])
    return {"measure": "worst", "eval_noise": noises[lowest], "value": ends[lowest][0], "ci_low": low, "ci_high": high}


def _half(curve: list[Cell], at: np.ndarray, random: Random, confidence: float, flags: str) -> dict[str, Any]:
    """Strength where the curve first falls below half of the advantage; the interval inverts the test of "half is left".

    A strength is in it where the interval of score - (clean + random) / 2 holds zero: no ratio, so no denominator near 0.
    """
    strengths = np.unique(np.concatenate([np.linspace(0, at[-1], 201), at]))

    right = np.clip(np.searchsorted(at, strengths), 1, len(at) - 1)
    share = (strengths - at[right - 1]) / (at[right] - at[right - 1])
    weights = np.zeros((len(strengths), len(at)))
    weights[np.arange(len(strengths)), right - 1] = 1 - share
    weights[np.arange(len(strengths)), right] += share
    weights[:, 0] -= 0.5
    value, low, high = estimates.linear(curve, random, weights, -0.5, confidence)
    below, held = np.flatnonzero(value <= 0), np.flatnonzero((low <= 0) & (high >= 0))
    reached = strengths[below[0]] if len(below) else np.nan
    if len(below) and below[0] > 0:
        a, b = below[0] - 1, below[0]
        reached = strengths[a] + (strengths[b] - strengths[a]) * value[a] / (value[a] - value[b])
    ends = (strengths[held[0]], strengths[held[-1]]) if len(held) else (np.nan, np.nan)
    flags = _joined(flags, "" if len(below) else "not_reached")
    if len(held) and held[-1] == len(strengths) - 1:
        ends, flags = (ends[0], np.nan), _joined(flags, "open_end")
    return {"measure": "half lost", "value": reached, "ci_low": ends[0], "ci_high": ends[1], "flags": flags}


def _gains(
    own: dict[str, Cell], clean_trained: dict[str, Cell] | None, key: dict[str, Any], confidence: float
) -> Iterator[dict[str, Any]]:
    """Training noise is between models: unpaired, Welch's t on per-seed means."""
    if key["train_noise"] == "clean" or not clean_trained:
        return
    for noise, cell in own.items():
        if noise in clean_trained:
            found = contrasts.unpaired(cell.seed_means, clean_trained[noise].seed_means, confidence)
            seeds = min(len(cell.seeds), len(clean_trained[noise].seeds))
            row = {"measure": "gain", "eval_noise": noise, "value": found.delta, "ci_low": found.low, "ci_high": found.high}
            told = {"interval": "welch-t" if found.p == found.p else "", "flags": "one_seed" if seeds == 1 else ""}
            yield row | told | {"seeds": seeds, "reference": "clean"}


def _mce(own: dict[str, Cell], other: dict[str, Cell] | None, confidence: float) -> dict[str, Any] | None:
    """Hendrycks & Dietterich 2019 with shortfall from the reference's clean score as the error; two independent groups."""
    noises = [noise for noise in own if noise != "clean" and other and noise in other]
    if not noises or "clean" not in other:
        return None
    families = [noise_family(noise) for noise in noises]
    member = np.array([[family == one for family in families] for one in dict.fromkeys(families)], float)
    theirs = [other["clean"], *(other[noise] for noise in noises)]
    ours = [own[noise] for noise in noises]
    seeds = [estimates.common_seeds(cells) for cells in (ours, theirs)]
    if not all(seeds):
        return None

    def of(mine: np.ndarray, reference: np.ndarray) -> np.ndarray:
        return (member @ (reference[:1] - mine) / (member @ (reference[:1] - reference[1:]))).mean(axis=0)

    groups = [
        np.array([[cell.means[seed] for cell in cells] for seed in common])
        for cells, common in zip((ours, theirs), seeds, strict=True)
    ]
    row = {"measure": "mCE", "seeds": min(map(len, groups)), "interval": "t-runs, jackknife"}
    lost = member @ (groups[1].mean(axis=0)[0] - groups[1].mean(axis=0)[1:])
    if (lost <= 0).any():
        return row | {"value": np.nan, "ci_low": np.nan, "ci_high": np.nan, "interval": "", "flags": "no_shortfall"}
    if own is other or ours[0].group == theirs[0].group:
        return row | {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0, "interval": "", "flags": ""}
    value, low, high = jackknife.interval(groups, of, confidence)
    known = row["seeds"] > 1
    ends = {"ci_low": low if known else np.nan, "ci_high": high if known else np.nan}
    return row | {"value": value, "flags": "" if known else "one_seed"} | ends


def _ranks(settings: dict[tuple, dict[str, Cell]], root: int, reps: int, confidence: float) -> Iterator[dict[str, Any]]:
    """Per task and noise over all its settings; replicates draw each setting's models and episodes independently.

    RANKED replicates at most: the ends are one of few values of tau, which more replicates do not move.
    """
    reps, tasks = min(reps, RANKED), defaultdict(list)
    for group, cells in sorted(settings.items()):
        if group[GROUP.index("agent")] != "random" and "clean" in cells:
            tasks[group[GROUP.index("task")]].append(cells)
    boot = intervals.TwoLevelBootstrap(np.random.default_rng(root), reps)
    for task, own in sorted(tasks.items()):
        drawn = _drawn(own, boot, root)
        for noise in sorted({noise for cells in own for noise in cells} - {"clean"}, key=noise_order):
            pairs = [(cells["clean"], cells[noise]) for cells in own if noise in cells]
            if len(pairs) < 3:
                continue
            means = np.array([[cell.seed_means.mean() for cell in pair] for pair in pairs])
            clean, noisy = (np.stack([some[name] for some in drawn if noise in some]) for name in ("clean", noise))
            low, high = intervals.percentile_interval(_kendall(clean, noisy), confidence)
            value = float(_kendall(means[:, :1], means[:, 1:])[0])
            seeds = min(len(cell.seeds) for pair in pairs for cell in pair)
            flags = "one_seed" if seeds == 1 else "few_runs" if seeds < 10 else ""
            row = {"task": task, "measure": "rank agreement", "eval_noise": noise, "value": value, "seeds": seeds}
            yield row | {"ci_low": low, "ci_high": high, "interval": "bootstrap-two-level", "flags": flags}


def _drawn(settings: list[dict[str, Cell]], boot: intervals.TwoLevelBootstrap, root: int) -> list[dict[str, np.ndarray]]:
    """Per setting, replicates of its score under each noise, of models and episodes drawn for this setting.

    Draws are shared by cells with the same numbers of episodes; a shift of its own makes a setting's replicates
    independent of all others', because no two replicates of the bootstrap are of the same draw.
    """
    found = robustness.replicates(boot, [cell for cells in settings for cell in cells.values()])
    shifted = []
    for cells in settings:
        seed = zlib.crc32(repr(next(iter(cells.values())).group).encode())
        shift = int(np.random.default_rng([root, seed]).integers(boot.reps))
        shifted.append({noise: np.roll(found[cell.name], shift) for noise, cell in cells.items()})
    return shifted


def _kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kendall's tau-a over the first axis, for every column: concordant minus discordant pairs over all pairs."""
    pairs, total = list(itertools.combinations(range(len(x)), 2)), np.zeros(x.shape[1], int)
    for a, b in pairs:
        total += _sign(x[a], x[b]) * _sign(y[a], y[b])
    return total / len(pairs)


def _sign(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of a - b, as bytes: several times faster than `np.sign`."""
    return (a > b).view(np.int8) - (a < b)


def _with(group: tuple, **axes: str) -> tuple:
    return tuple(axes.get(axis, value) for axis, value in zip(GROUP, group, strict=True))


def _joined(*flags: str) -> str:
    return ";".join(flag for flag in flags if flag)
