"""Methods over all tasks of a benchmark: aggregates, performance profiles, probability of improvement, sensitivity.

Everything starts from normalised run scores (`scores.of_runs`). Intervals are percentiles of a stratified bootstrap of
training runs, within each task. Streams are keyed by benchmark and method: an interval does not change when another
method is loaded beside it.
"""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import special

from results import benchmarks, finals, intervals, load, scores
from results.statistics import aggregates, improvement
from results.statistics.strata import Strata

AGGREGATES = ["benchmark", "method", "metric", "value", "ci_low", "ci_high", "runs", "tasks", "runs_missing", "best"]
AGGREGATES += ["interval", "confidence", "reps", "final", "normaliser", "flags"]
IMPROVEMENT = ["benchmark", "x", "y", "probability", "ci_low", "ci_high", "flags", "tasks", "runs_x", "runs_y", "confidence"]
IMPROVEMENT += ["reps", "final"]
PROFILE = ["benchmark", "method", "tau", "fraction", "ci_low", "ci_high", "runs", "tasks", "confidence", "reps", "final"]
PROFILE += ["normaliser", "flags"]
SENSITIVITY = ["benchmark", "method", "final", "default", "metric", "value", "change", "ci_low", "ci_high", "runs", "tasks"]
SENSITIVITY += ["runs_missing", "confidence", "reps", "normaliser", "flags"]

BOOTSTRAP = "stratified bootstrap of runs"
FEW = 6  # runs per task from which on its 95 % intervals cover at least 92 %
TAUS = np.linspace(0, 2, 81)
LOWER_IS_BETTER = {"optimality_gap"}
FLAGS = scores.FLAGS | {
    "one_run_of_x": "x has one run per task: its seed variance is not in the interval",
    "one_run_of_y": "y has one run per task: its seed variance is not in the interval",
    "uncommon_tasks": "tasks that only one of the two has scores for, left out",
    "one_run_tasks": "tasks with one run, whose seed variance is in no interval",
    "no_width": "on every task all pairs of runs fall the same way, so the interval has no width",
    "best_of_many": "the maximum of many noisy bins: higher than what any of them would score again",
}


def aggregate(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """One row per benchmark, method and metric of aggregates.METRICS with AGGREGATES, in that order.

    best: above every other method of the benchmark (`exceeds`), at a confidence that allows for their number.
    tasks, runs: those that are in the number.
    """
    scored = scores.of_runs(results, final)
    rows, drawn = _aggregates(scored, _root(rng), reps, confidence)
    table, methods = pd.DataFrame(rows, columns=AGGREGATES), scores.strata(scored)
    return table.assign(best=[_best(row, rows, methods, drawn, confidence) for row in rows])


def _aggregates(scored: pd.DataFrame, root: int, reps: int, confidence: float) -> tuple[list[dict], dict]:
    """The rows of `aggregate` without `best`; and each method's replicates by metric, None where it has no replication."""
    rows, drawn = [], {}
    for key, runs in scores.strata(scored).items():
        common = _row(scored, key, runs) | {"confidence": confidence, "reps": reps, "runs_missing": _missing(scored, key)}
        drawn[key] = runs.replicates(aggregates.METRICS, stream(root, *key), reps) if runs.replicated else None
        for metric, of in aggregates.METRICS.items():
            low, high = intervals.percentiles(drawn[key][metric], confidence) if drawn[key] else (np.nan, np.nan)
            number = {"metric": metric, "value": float(runs.estimate(of)), "ci_low": low, "ci_high": high}
            rows.append(common | number | {"interval": BOOTSTRAP if drawn[key] else ""})
    return rows, drawn


def profiles(
    results: load.Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    final: str | None = None,
    taus: np.ndarray = TAUS,
) -> pd.DataFrame:
    """One row per benchmark, method and tau with PROFILE: the share of runs whose normalised score is above tau."""
    scored, root, parts = scores.of_runs(results, final), _root(rng), []
    for key, runs in scores.strata(scored).items():
        of = aggregates.profile(taus)
        numbers = {"tau": taus, "fraction": runs.estimate(of), "ci_low": np.nan, "ci_high": np.nan}
        if runs.replicated:
            drawn = runs.replicates({"": of}, stream(root, *key), reps)[""]
            numbers["ci_low"], numbers["ci_high"] = intervals.percentiles(drawn.T, confidence)
        row = _row(scored, key, runs) | {"confidence": confidence, "reps": reps}
        parts.append(pd.DataFrame(numbers).assign(**row)[PROFILE])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PROFILE)


def improvements(
    results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """One row per benchmark and ordered pair of methods that share a task, with IMPROVEMENT: how often x beats y."""
    scored, root, rows = scores.of_runs(results, final), _root(rng), []
    methods = scores.strata(scored)
    for benchmark, rule in scored.groupby("benchmark").final.first().items():
        own = {method: runs for (name, method), runs in methods.items() if name == benchmark}
        streams = {method: stream(root, benchmark, method) for method in own}
        lacking = {method: list(scores.missing(scored[_of(scored, (benchmark, method))])) for method in own}
        common = {"benchmark": benchmark, "confidence": confidence, "reps": reps, "final": rule}
        for (x, y), drawn in improvement.replicates(own, streams, reps).items():
            a, b = own[x], own[y]
            per_task = improvement.per_task(a, b)
            known = a.replicated or b.replicated
            low, high = intervals.percentiles(drawn, confidence) if known else (np.nan, np.nan)
            p, told = float(np.mean(list(per_task.values()))), ["no_width"] if low == high else []
            told += _summed(lacking[x] + lacking[y])
            common["tasks"] = len(per_task)
            rows.append(common | _pair(x, y, a, b, told) | {"probability": p, "ci_low": low, "ci_high": high})
            rows.append(common | _pair(y, x, b, a, told) | {"probability": 1 - p, "ci_low": 1 - high, "ci_high": 1 - low})
    return pd.DataFrame(rows, columns=IMPROVEMENT).sort_values(["benchmark", "x", "y"], ignore_index=True)


def sensitivity(results: load.Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """The aggregates under every final-score rule that gives scores: SENSITIVITY, `change` from the default rule.

    default: whether the rule is the one that the other tables use for this benchmark.
    """
    default, *by_rule = scores.by_rules(results, [None, *finals.NAMES])
    root = _root(np.random.default_rng(_root(rng)))
    rows = itertools.chain.from_iterable(_aggregates(scored, root, reps, confidence)[0] for scored in by_rule)
    table = pd.DataFrame(rows, columns=AGGREGATES)
    table["default"] = table.final == table.benchmark.map(default.groupby("benchmark").final.first())
    key = ["benchmark", "method", "metric"]
    usual = table[table.default].set_index(key).value
    table["change"] = table.value - usual.reindex(pd.MultiIndex.from_frame(table[key])).to_numpy()
    marked = table["flags"].where(~table.final.str.startswith("best"), table["flags"] + ";best_of_many")
    table = table.assign(flags=marked.str.strip(";"), rule=table.final.map(finals.NAMES.index))
    return table.sort_values(["benchmark", "method", "rule"], kind="stable", ignore_index=True)[SENSITIVITY]


def _row(scored: pd.DataFrame, key: tuple[str, str], runs: Strata) -> dict:
    own = scored[_of(scored, key)]
    known = scored[(scored.benchmark == key[0]) & scored.normalized.notna()].task.nunique()
    row = {"benchmark": key[0], "method": key[1], "runs": len(runs.values), "tasks": len(runs.tasks)}
    flags = ";".join(_flags(own, runs, known))
    return row | {"final": own.final.iloc[0], "normaliser": benchmarks.get(key[0]).normaliser, "flags": flags}


def _flags(own: pd.DataFrame, runs: Strata, tasks: int) -> Iterator[str]:
    if not runs.replicated:
        yield "unreplicated"
    else:
        if runs.sizes.min() < FEW:
            yield "few_runs"
        if alone := int((runs.sizes == 1).sum()):
            yield f"one_run_tasks:{alone}"
    yield from scores.missing(own)
    if lacking := tasks - len(runs.tasks):
        yield f"missing_tasks:{lacking}"
    if count := int(own.repeats.sum()):
        yield f"duplicate_seed:{count}"


def _pair(x: str, y: str, of_x: Strata, of_y: Strata, told: list[str]) -> dict:
    flags = [name for name, of in (("one_run_of_x", of_x), ("one_run_of_y", of_y)) if not of.replicated]
    if not (of_x.replicated or of_y.replicated):
        flags = ["unreplicated"]
    elif min(*of_x.sizes, *of_y.sizes) < FEW:
        flags.append("few_runs")
    if uncommon := len(set(of_x.tasks) ^ set(of_y.tasks)):
        flags.append(f"uncommon_tasks:{uncommon}")
    return {"x": x, "y": y, "runs_x": len(of_x.values), "runs_y": len(of_y.values), "flags": ";".join(flags + told)}


def exceeds(x: Strata, y: Strata, estimate: float, drawn: np.ndarray, tail: float) -> bool:
    """Whether a statistic of x is above that of y: both measured, and no more than `tail` of their difference below zero.

    estimate, drawn (reps,): the difference, x's less y's, and its replicates.

    Few runs make a bootstrap too narrow: the distance from the estimate to the quantile is stretched by sqrt(n / (n - 1)),
    n runs in the smallest task that has several, and from the normal's quantile to that of Student's t.
    """
    if not (x.replicated and y.replicated and estimate > 0):
        return False
    sizes = np.concatenate([x.sizes, y.sizes])
    n = sizes[sizes > 1].min()
    stretch = np.sqrt(n / (n - 1)) * special.stdtrit((sizes - 1).sum(), 1 - tail) / special.ndtri(1 - tail)
    return estimate > stretch * (estimate - np.quantile(drawn, tail))


def _best(row: dict, rows: list[dict], methods: dict, drawn: dict, confidence: float) -> bool:
    benchmark, metric, own = row["benchmark"], row["metric"], (row["benchmark"], row["method"])
    sign = -1 if metric in LOWER_IS_BETTER else 1
    same = (one for one in rows if (one["benchmark"], one["metric"]) == (benchmark, metric))
    ahead = {(benchmark, one["method"]): sign * (row["value"] - one["value"]) for one in same}
    del ahead[own]
    if not ahead or any(drawn[key] is None for key in (own, *ahead)):
        return False
    tail = (1 - confidence) / 2 / len(ahead)  # Bonferroni's correction for their number
    return all(
        exceeds(methods[own], methods[key], ahead[key], sign * (drawn[own][metric] - drawn[key][metric]), tail)
        for key in sorted(ahead, key=ahead.get)  # the strongest first: few differences are ever looked at
    )


def _summed(flags: list[str]) -> list[str]:
    """Flags of several methods, each once, their counts added."""
    counts: Counter[str] = Counter()
    for flag in flags:
        name, _, many = flag.partition(":")
        counts[name] += int(many or 0)
    return [f"{name}:{many}" if many else name for name, many in counts.items()]


def _missing(scored: pd.DataFrame, key: tuple[str, str]) -> int:
    return int(scored[_of(scored, key)].score.isna().sum())


def _of(scored: pd.DataFrame, key: tuple[str, str]) -> pd.Series:
    return (scored.benchmark == key[0]) & (scored.method == key[1])


def _root(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def stream(root: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([root, zlib.crc32("\0".join(names).encode())])
