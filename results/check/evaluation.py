"""Robustness cells with defects: missing noises, unequal numbers of episodes, early checkpoints, broken returns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from results.check import NOTE, PROBLEM, Evidence, Finding, listed
from results.scoring import cells

# flag of a cell -> level, why it matters, what to do
REPORTED = {
    "missing_cells": (PROBLEM, "Columns of the table then compare different models.", "dreamproof evaluate fills them."),
    "early_checkpoint": (PROBLEM, "The score is that of less training than the run says.", "Evaluate the last checkpoint."),
    "unequal_episodes": (NOTE, "Some models were measured less precisely; each weighs the same.", "Evaluate as many of each."),
    "unseeded": (NOTE, "Pairing by episode then removes no variance, and a resumed run is not exact.", "Seed the environment."),
    "nonfinite": (PROBLEM, "A return that is not finite means a broken run. Leaving it out hides that.", "Look at that run."),
}


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    names_of: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for cell in cells.select_cells(evidence.runs.results):
        for flag in cell.flags:
            key = cell.key
            name = f"{key['ablation']}, trained {key['train_noise']}, tested {key['eval_noise']}"
            names_of[key["task"], key["agent"], flag].append(name)
    for (task, agent, flag), names in sorted(names_of.items()):
        if flag in REPORTED:
            level, why, do = REPORTED[flag]
            what = f"{cells.FLAGS[flag]}: {listed(names)}."
            yield Finding(flag, level, f"{task}, {agent}", what, why, do)
