"""The page in words: what was compared, what was found with how much certainty, and what these runs cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from results.check import PROBLEM, Finding, listed
from results.reading.load import Results
from results.scoring import run_scores
from results.tables._text import chance, count, ranged

MOST = 8  # sentences of one kind
SETTING = ["study", "task", "agent", "ablation", "train_noise", "preset", "size", "precision", "steps", "variant", "policy"]


@dataclass(frozen=True)
class Line:
    """A sentence, and the anchor of what it is taken from."""

    text: str
    at: str = ""


def compared(results: Results) -> list[Line]:
    """Per study: how many runs of what, how far they are, and what they were scored on."""
    return [Line(_study(study, own, results.episodes)) for study, own in results.runs.groupby("study", sort=True)]


def found(longs: Mapping[str, pd.DataFrame], confidence: float) -> list[Line]:
    """The headlines of the tables that there are, every number with its interval."""
    makers = {"robustness": _robustness, "measures": _gains, "ablations": _ablations, "aggregates": _aggregates}
    return [
        Line(text, f"table-{name}") for name, make in makers.items() if name in longs for text in make(longs[name], confidence)
    ]


def limits(results: Results, findings: Sequence[Finding]) -> list[Line]:
    """What nobody should read out of the page."""
    runs = results.runs.assign(method=run_scores.methods(results.runs))
    trained = runs[runs.agent != "random"]
    lines = [Line(text, "table-runs") for text in _unfinished(runs)]
    seeds = trained.groupby(["study", "task", "method"], sort=True).train_seed.nunique()
    alone = [f"{method} on {task}" for (_, task, method), n in seeds.items() if n == 1]
    if alone:
        lines.append(
            Line(
                f"One training run for {len(alone)} of {_many(len(seeds), 'pair')} of method and task ({listed(alone)}): their "
                "numbers describe those models, and support no claim about a method.",
                "warnings",
            )
        )
    elif len(seeds) and seeds.max() < 5:
        lines.append(Line(f"{count(seeds)} training runs per setting: only large differences can be told from chance."))
    problems = sum(finding.level == PROBLEM for finding in findings)
    if findings:
        lines.append(Line(f"{_many(problems, 'problem')} and {_many(len(findings) - problems, 'note')} of check.", "warnings"))
    return [*lines, Line("A difference that is not told from chance is no evidence that there is none.")]


def _study(study: str, runs: pd.DataFrame, episodes: pd.DataFrame) -> str:
    trained, random = runs[runs.agent != "random"], int((runs.agent == "random").sum())
    seeds = trained.groupby(["task", "agent", "ablation", "train_noise"]).train_seed.nunique()
    methods = run_scores.methods(trained).unique() if len(trained) else []
    own = episodes[episodes.path.isin(runs.path)]
    tested = sorted(own[own.split == "eval"].noise.unique())
    splits = own.split.value_counts()
    text = f"{study}: {_many(trained.task.nunique(), 'task')} ({listed(trained.task.unique())}), "
    text += f"{_many(len(methods), 'method')} ({listed(methods)}), {_many(len(trained), 'training run')}, "
    text += f"{count(seeds)} per task and method" + (f", and {_many(random, 'run')} of random play" if random else "")
    text += f". {int(runs.done.sum())} of {_many(len(runs), 'run')} are done. Stored: "
    text += f"{splits.get('train', 0):,} training episodes or points and {splits.get('eval', 0):,} evaluation episodes"
    return text + (f" under {_many(len(tested), 'noise')} ({listed(tested)})." if tested else ".")


def _robustness(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Per setting: without noise, and where it scores least."""
    own = long[(long.agent != "random") & (long.seeds > 0)]
    lines = [_setting(cells) for _, cells in own.groupby(SETTING, sort=False)]
    return _first(lines)


def _setting(cells: pd.DataFrame) -> str:
    first = cells.iloc[0]
    clean, noisy = cells[cells.eval_noise == "clean"], cells[cells.eval_noise != "clean"]
    parts = [f"{_score(clean.iloc[0])} without noise"] if len(clean) else []
    if len(noisy):
        worst = noisy.loc[noisy["mean"].idxmin()] if noisy["mean"].notna().any() else noisy.iloc[0]
        kept = ranged(worst.retention, worst.retention_low, worst.retention_high)
        least = f", the lowest of {len(noisy)} noises" if len(noisy) > 1 else ""
        kept = kept if worst.retention == worst.retention else "undefined"
        parts.append(f"{_score(worst)} under {worst.eval_noise}{least}, with retention {kept}")
    name = " · ".join(str(first[axis]) for axis in ("task", "agent", "ablation"))
    text = f"{name}, trained with {first.train_noise}" + (f" [{first.variant}]" if first.variant else "")
    unit = f"training runs: {count(cells.seeds)}, episodes: {count(cells.episodes)}"
    unit += "; one model, no claim about the method" if cells.seeds.max() == 1 else ""
    return f"{text}: {'; '.join(parts)} ({unit}{_flags(cells['flags'])})."


def _flags(texts: Iterable[str]) -> str:
    """`; flagged few_runs, missing_runs:8`: what they mean stands under the table; '' where there are none."""
    named = sorted({flag for text in texts for flag in text.split(";") if flag and flag != "one_seed"})
    return f"; flagged {', '.join(named)}" if named else ""


def _score(cell: pd.Series) -> str:
    return ranged(cell["mean"], cell.ci_low, cell.ci_high)


def _gains(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    gains = long[(long.measure == "gain") & long.ci_low.notna() & (long.seeds > 1)]
    if len(gains):
        clear = gains[(gains.ci_low > 0) | (gains.ci_high < 0)]
        yield (
            f"Training under noise against clean training, tested under the same noise: {len(clear)} of "
            f"{_many(len(gains), 'difference')} have a {100 * confidence:g} % interval without 0, each taken alone, without "
            "correction for their number."
        )
        told = [
            f"{row.task} · {row.agent} · {row.ablation}, trained with {row.train_noise}, tested under {row.eval_noise}: "
            f"{ranged(row.value, row.ci_low, row.ci_high)}."
            for row in clear.itertuples()
        ]
        yield from _first(told)


def _ablations(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Which contrasts hold after Holm's correction within their metric, and how many do not."""
    known, base = long[long.p_holm.notna()], long.baseline.iloc[0]
    clear = known[known.p_holm < 1 - confidence]
    counted = ", ".join(f"{n} of {metric}" for metric, n in known.metric.value_counts(sort=False).items())
    yield (
        f"Ablations against the base ({base}): {len(clear)} of {_many(len(known), 'contrast')} differ from 0 after Holm's "
        f"correction within each metric" + (f" ({counted})" if counted else "") + f"; {len(long) - len(known)} have no p."
    )
    told = [
        f"{row.ablation} on {row.task}, trained with {row.train_noise}, {row.metric}: "
        f"{ranged(row.delta, row.ci_low, row.ci_high, 2 if row.unit == 'return' else 3)}, p (Holm) {chance(row.p_holm)}."
        for row in clear.itertuples()
    ]
    yield from _first(told)


def _aggregates(long: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Per benchmark: the interquartile mean of every method, and whether one is above all others."""
    for benchmark, rows in long[long.metric == "iqm"].groupby("benchmark", sort=False):
        ordered = rows.sort_values(["value", "method"], ascending=[False, True])
        told = [
            f"{row.method} {ranged(row.value, row.ci_low, row.ci_high, 3)} ({_many(row.runs, 'run')} on "
            f"{_many(row.tasks, 'task')}{'' if row.interval else '; no interval'}{_flags([row.flags])})"
            for row in ordered.itertuples()
        ]
        text = f"{benchmark}, interquartile mean of scores normalised by {rows.normaliser.iloc[0]}: "
        text += "; ".join(told[:MOST]) + (f"; and {len(told) - MOST} more" if len(told) > MOST else "") + "."
        if len(rows) > 1:
            best = ordered[ordered.best].method
            text += f" {best.iloc[0]} is above every other one." if len(best) else " None is shown to be above all others."
        yield text


def _unfinished(runs: pd.DataFrame) -> Iterator[str]:
    states = runs.state[~runs.done].value_counts().sort_index()
    if len(states):
        told = ", ".join(f"{n} {state}" for state, n in states.items())
        yield f"{int(states.sum())} of {_many(len(runs), 'run')} are not done ({told}): they are in no final score."


def _first(lines: list[str]) -> Iterator[str]:
    yield from lines[:MOST]
    if len(lines) > MOST:
        yield f"{len(lines) - MOST} more are in the table."


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)
