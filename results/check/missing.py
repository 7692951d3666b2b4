"""Runs without a score by the final-score rule, and whether they are missing because they were good."""

from __future__ import annotations

from collections.abc import Iterator

from results.check import NOTE, PROBLEM, Evidence, Finding, listed
from results.scoring import run_scores


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.results is None:
        return
    scored = evidence.scored.join(evidence.runs.set_index("path").label, on="path")
    for (benchmark, method), own in scored[scored.done].groupby(["benchmark", "method"], sort=True):
        absent = own[own.score.isna()]
        if absent.empty:
            continue
        lead = run_scores.leading(own)
        where, rule = f"{benchmark}, {method}", own.final.iloc[0]
        what = f"{len(absent)} of {len(own)} runs have no score by the rule '{rule}': {listed(absent.label)}."
        if 2 * lead > len(absent):
            what += f" {lead} of them scored above the median run of the method when last seen."
            why = "A long good episode was still running when the window closed: leaving these runs out biases the score down."
            do = "Look at `table sensitivity`; use a rule that misses no run, and name it."
            yield Finding("missing_not_at_random", PROBLEM, where, what, why, do)
        else:
            why = "They are left out: neither zero nor carried forward; n is smaller than the number of runs."
            yield Finding("missing_runs", NOTE, where, what, why, "Say so beside the number, or use a rule that misses no run.")
