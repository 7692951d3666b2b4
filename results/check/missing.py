"""Runs without a score by the final-score rule, and whether they are missing because they were good."""

from __future__ import annotations

from collections.abc import Iterator

from results.check import NOTE, PROBLEM, Evidence, Finding, listed
from results.reading.records import tuple_groups
from results.scoring import run_scores


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = evidence.runs
    scored = runs.scores.join(runs.table.set_index("path").label, on="path")
    for (benchmark, method), group in tuple_groups(scored[scored.done], ["benchmark", "method"], sort=True):
        absent = group[group.score.isna()]
        if absent.empty:
            continue
        leading = run_scores.count_leading(group)
        where, rule = f"{benchmark}, {method}", group.final.iloc[0]
        what = f"{len(absent)} of {len(group)} runs have no score by the rule '{rule}': {listed(absent.label)}."
        if 2 * leading > len(absent):
            what += f" {leading} of them scored above the median run of the method at their last point."
            why = "A long good episode was still running when the window closed. Leaving these runs out biases the score down."
            do = "Look at `table sensitivity`. Use a rule that misses no run, and name it."
            yield Finding("missing_not_at_random", PROBLEM, where, what, why, do)
        else:
            why = "They are left out, neither zero nor carried forward. n is smaller than the number of runs."
            yield Finding("missing_runs", NOTE, where, what, why, "Say so beside the number, or use a rule that misses no run.")
