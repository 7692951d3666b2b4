"""Runs of agents that learn, which ended without a single update: their scores are those of the first weights."""

from __future__ import annotations

from collections.abc import Iterator

from results.check import PROBLEM, Evidence, Finding, by_method, listed
from results.reading import load


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    episodes = load.final_episodes(evidence.runs.results)
    if "updates" not in episodes:
        return
    paths = set(episodes.path[episodes.updates == 0])
    configs = evidence.runs.configs
    learns = {path for path in paths if configs.get(path, {}).get("train", {}).get("ratio", 1) > 0}
    runs = evidence.runs.table
    for where, group in by_method(runs[(runs.agent != "random") & runs.path.isin(learns)]):
        what = f"{len(group)} runs ended without a single update: {listed(group.label)}."
        why = "Nothing was learned. Their scores are those of the first weights, and differences between them are chance."
        do = "Give them more steps, or smaller batches; `dreamproof plan` says at which step the first update happens."
        yield Finding("no_updates", PROBLEM, where, what, why, do)
