"""Robustness cells that are not made of what they should be: missing noises, unequal episodes, early checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from results.check import NOTE, PROBLEM, Evidence, Finding, listed
from results.scoring import cells

TOLD = {
    "missing_cells": (PROBLEM, "Columns of the table then compare different models.", "dreamproof evaluate fills them."),
    "early_checkpoint": (PROBLEM, "The score is that of less training than the run says.", "Evaluate the last checkpoint."),
    "unequal_episodes": (NOTE, "Some models were measured less precisely; each weighs the same.", "Evaluate as many of each."),
    "nonfinite": (PROBLEM, "A return that is no number is a run that broke; leaving it out hides that.", "Look at that run."),
}


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.results is None:
        return
    places = defaultdict(list)
    for cell in cells.select(evidence.results):
        for flag in cell.flags:
            key = cell.key
            name = f"{key['ablation']}, trained {key['train_noise']}, tested {key['eval_noise']}"
            places[key["task"], key["agent"], flag].append(name)
    for (task, agent, flag), named in sorted(places.items()):
        if flag in TOLD:
            level, why, do = TOLD[flag]
            what = f"{cells.FLAGS[flag]}: {listed(named)}."
            yield Finding(flag, level, f"{task}, {agent}", what, why, do)
