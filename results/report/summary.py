"""The page in words: what was compared, the headlines with their uncertainty, and the limits of the runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from results.check import PROBLEM, Finding, listed
from results.reading.load import Results
from results.reading.records import Record, groups, records, tuple_groups
from results.scoring import run_scores
from results.tables._text import count_range, p_text, with_interval

MOST_SENTENCES = 8  # of one kind
SETTING = ["study", "task", "agent", "ablation", "train_noise", "preset", "size", "precision", "steps", "variant", "policy"]


@dataclass(frozen=True)
class Line:
    """A sentence, and the anchor of its source on the page."""

    text: str
    anchor: str = ""


CAUTIONS = ("insensitive", "no_updates", "one_seed_differences")  # findings that come before all others


def cautions(findings: Sequence[Finding]) -> list[Line]:
    """What makes the numbers say less than they seem to: the page says it first."""
    named = sorted((finding for finding in findings if finding.name in CAUTIONS), key=lambda one: CAUTIONS.index(one.name))
    return [Line(f"{finding.where}: {finding.what} {finding.why}", "warnings") for finding in named]


def compared(results: Results) -> list[Line]:
    """Per study: its runs, their progress, and their episodes."""
    return [Line(_study(study, runs, results.episodes)) for study, runs in groups(results.runs, "study", sort=True)]


def headlines(longs: Mapping[str, pd.DataFrame], confidence: float) -> list[Line]:
    """The headlines of the tables, every number with its interval. longs: name of a table -> its numbers."""
    makers = {"robustness": _robustness, "measures": _gains, "ablations": _ablations, "aggregates": _aggregates}
    return [
        Line(text, f"table-{name}") for name, make in makers.items() if name in longs for text in make(longs[name], confidence)
    ]


def limits(results: Results, findings: Sequence[Finding]) -> list[Line]:
    """What the page does not show."""
    runs = results.runs.assign(method=run_scores.method_names(results.runs))
    trained = runs[runs.agent != "random"]
    lines = [Line(text, "table-runs") for text in _unfinished(runs)]
    lines += _few_seeds(trained)
    problems = sum(finding.level == PROBLEM for finding in findings)
    if findings:
        lines.append(Line(f"{_many(problems, 'problem')} and {_many(len(findings) - problems, 'note')} of check.", "warnings"))
    return [*lines, Line("A difference that is not statistically significant is no evidence that there is none.")]


def _few_seeds(trained: pd.DataFrame) -> Iterator[Line]:
    """Where one training run, or fewer than five, stand for a method."""
    seeds = trained.groupby(["study", "task", "method"], sort=True).train_seed.nunique().reset_index()
    alone = [f"{row['method']} on {row['task']}" for row in records(seeds[seeds.train_seed == 1])]
    if alone:
        yield Line(
            f"One training run for {len(alone)} of {_many(len(seeds), 'pair')} of method and task ({listed(alone)}): their "
            "numbers describe those models, and support no claim about a method.",
            "warnings",
        )
    elif len(seeds) and seeds.train_seed.max() < 5:
        runs = count_range(seeds.train_seed)
        yield Line(f"{runs} training runs per setting: only large differences are distinguishable from chance.")


def _study(study: str, runs: pd.DataFrame, episodes: pd.DataFrame) -> str:
    trained, random = runs[runs.agent != "random"], int((runs.agent == "random").sum())
    seeds = trained.groupby(["task", "agent", "ablation", "train_noise"]).train_seed.nunique()
    methods = list(run_scores.method_names(trained).unique()) if len(trained) else []
    stored = episodes[episodes.path.isin(runs.path)]
    noises = sorted(stored[stored.split == "eval"].noise.unique())
    splits = stored.split.value_counts()
    text = f"{study}: {_many(trained.task.nunique(), 'task')} ({listed(trained.task.unique())}), "
    text += f"{_many(len(methods), 'method')} ({listed(methods)}), {_many(len(trained), 'training run')}, "
    text += f"{count_range(seeds)} per task and method" + (f", and {_many(random, 'run')} of random play" if random else "")
    text += f". {int(runs.done.sum())} of {_many(len(runs), 'run')} are done. Stored: "
    text += f"{splits.get('train', 0):,} training episodes or points and {splits.get('eval', 0):,} evaluation episodes"
    return text + (f" under {_many(len(noises), 'noise')} ({listed(noises)})." if noises else ".")


def _robustness(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Per setting: the score without noise, and the lowest under noise."""
    measured = long[(long.agent != "random") & (long.seeds > 0)]
    return _first([_setting(cells) for _, cells in tuple_groups(measured, SETTING)])


def _setting(cells: pd.DataFrame) -> str:
    rows = records(cells)
    first = rows[0]
    clean, noisy = ([row for row in rows if (row["eval_noise"] == "clean") == is_clean] for is_clean in (True, False))
    parts = [f"{_score(clean[0])} without noise"] if clean else []
    if noisy and clean and len({(row["mean"], _score(row)) for row in rows}) == 1:
        parts.append("exactly the same under every noise: this policy does not depend on what it sees")
    elif noisy:
        worst = min(noisy, key=lambda row: row["mean"] if row["mean"] == row["mean"] else math.inf)
        retention = with_interval(worst["retention"], worst["retention_low"], worst["retention_high"])
        lowest = f", the lowest of {len(noisy)} noises" if len(noisy) > 1 else ""
        retention = retention if worst["retention"] == worst["retention"] else "undefined"
        parts.append(f"{_score(worst)} under {worst['eval_noise']}{lowest}, with retention {retention}")
    name = " · ".join(str(first[axis]) for axis in ("task", "agent", "ablation"))
    text = f"{name}, trained with {first['train_noise']}" + (f" [{first['variant']}]" if first["variant"] else "")
    unit = f"training runs: {count_range(cells.seeds)}, episodes: {count_range(cells.episodes)}"
    unit += "; one model, no claim about the method" if cells.seeds.max() == 1 else ""
    return f"{text}: {'; '.join(parts)} ({unit}{_flags(cells['flags'])})."


def _flags(texts: Iterable[str]) -> str:
    """`; flagged few_runs, missing_runs:8`, explained under the table; '' if there are none."""
    flags = sorted({flag for text in texts for flag in text.split(";") if flag and flag != "one_seed"})
    return f"; flagged {', '.join(flags)}" if flags else ""


def _score(cell: Record) -> str:
    return with_interval(cell["mean"], cell["ci_low"], cell["ci_high"])


def _gains(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    gains = long[(long.measure == "gain") & long.ci_low.notna() & (long.seeds > 1)]
    if len(gains):
        clear = gains[(gains.ci_low > 0) | (gains.ci_high < 0)]
        yield (
            f"Training under noise against clean training, tested under the same noise: {len(clear)} of "
            f"{_many(len(gains), 'difference')} have a {100 * confidence:g} % interval without 0, each taken alone, without "
            "correction for their number."
        )
        yield from _first(
            [
                f"{row['task']} · {row['agent']} · {row['ablation']}, trained with {row['train_noise']}, tested under "
                f"{row['eval_noise']}: {with_interval(row['value'], row['ci_low'], row['ci_high'])}."
                for row in records(clear)
            ]
        )


def _ablations(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    """The contrasts that are significant after Holm's correction within their metric, and the number of the others."""
    tested, base = long[long.p_holm.notna()], long.baseline.iloc[0]
    clear = tested[tested.p_holm < 1 - confidence]
    per_metric = ", ".join(f"{n} of {metric}" for metric, n in tested.metric.value_counts(sort=False).items())
    yield (
        f"Ablations against the base ({base}): {len(clear)} of {_many(len(tested), 'contrast')} differ from 0 after Holm's "
        f"correction within each metric"
        + (f" ({per_metric})" if per_metric else "")
        + f"; {len(long) - len(tested)} have no p."
    )
    yield from _first([_contrast(row) for row in records(clear)])


def _contrast(row: Record) -> str:
    delta = with_interval(row["delta"], row["ci_low"], row["ci_high"], 2 if row["unit"] == "return" else 3)
    setting = f"{row['ablation']} on {row['task']}, trained with {row['train_noise']}, {row['metric']}"
    return f"{setting}: {delta}, p (Holm) {p_text(row['p_holm'])}."


def _aggregates(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Per benchmark: the interquartile mean of every method, and whether one is above all others."""
    for benchmark, group in groups(long[long.metric == "iqm"], "benchmark"):
        rows = records(group.sort_values(["value", "method"], ascending=[False, True]))
        methods = [
            f"{row['method']} {with_interval(row['value'], row['ci_low'], row['ci_high'], 3)} ({_many(row['runs'], 'run')} on "
            f"{_many(row['tasks'], 'task')}{'' if row['interval'] else '; no interval'}{_flags([row['flags']])})"
            for row in rows
        ]
        omitted = len(methods) - MOST_SENTENCES
        text = f"{benchmark}, interquartile mean of scores normalised by {group.normaliser.iloc[0]}: "
        text += "; ".join(methods[:MOST_SENTENCES]) + (f"; and {omitted} more" if omitted > 0 else "") + "."
        if len(rows) > 1:
            best = [row["method"] for row in rows if row["best"]]
            text += f" {best[0]} is above every other one." if best else " None is shown to be above all others."
        yield text


def _unfinished(runs: pd.DataFrame) -> Iterator[str]:
    states = runs.state[~runs.done].value_counts().sort_index()
    if len(states):
        counts = ", ".join(f"{n} {state}" for state, n in states.items())
        yield f"{int(states.sum())} of {_many(len(runs), 'run')} are not done ({counts}): they are in no final score."


def _first(lines: list[str]) -> Iterator[str]:
    yield from lines[:MOST_SENTENCES]
    if len(lines) > MOST_SENTENCES:
        yield f"{len(lines) - MOST_SENTENCES} more are in the table."


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)
