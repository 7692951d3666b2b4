"""Runs of one task with different simulators, precisions, compile modes or versions of the program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from results.check import NOTE, PROBLEM, Evidence, Finding, listed
from results.reading.records import groups

# name -> level, name of the fact, its path in provenance.json
FACTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "mixed_simulators": (PROBLEM, "simulator versions", ("environment", "simulators")),
    "mixed_roms": (PROBLEM, "game ROMs", ("environment", "rom")),
    "mixed_frames": (PROBLEM, "first frames of the environment", ("environment", "frames")),
    "mixed_compile": (PROBLEM, "compile modes", ("compile",)),
    "mixed_renderers": (NOTE, "renderers", ("gl_backend",)),
    "mixed_torch": (NOTE, "versions of torch", ("versions", "torch")),
    "mixed_code": (NOTE, "commits of the program", ("git", "commit")),
}
WHY = {
    PROBLEM: "A difference between these runs may come from the machines and not from the methods.",
    NOTE: "This seldom changes a score, but nothing here shows that it did not.",
}
DO = "Run them again with only one of these, or show them in separate tables."


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.runs is None:
        return
    runs = evidence.runs.table
    precision = runs.precision.where(runs.precision != "unknown", "")
    yield from _mixed(runs, precision, "mixed_precision", PROBLEM, "numeric precisions")
    for name, (level, fact, path) in FACTS.items():
        values = runs.path.map(_reader(evidence.runs.provenance, path))
        yield from _mixed(runs, values, name, level, fact)


def _reader(provenance: Mapping[str, Any], path: tuple[str, ...]) -> Callable[[str], str]:
    """A function from a run to its fact as text; '' if its provenance does not hold it."""

    def value_of(run: str) -> str:
        value: Any = provenance.get(run, {})
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return "" if value is None or value == {} else value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    return value_of


def _mixed(runs: pd.DataFrame, values: pd.Series, name: str, level: str, fact: str) -> Iterator[Finding]:
    """One finding for all tasks with runs that differ. The value '' is unknown and counts as no difference."""
    recorded = runs.assign(value=values)[values != ""]
    differ = recorded.groupby("task").value.transform("nunique") > 1
    if differ.any():
        mixed = recorded[differ]
        labels_of = {value: group.label for value, group in groups(mixed, "value", sort=True)}
        parts = "; ".join(f"{value[:60]} in {len(labels)} runs ({listed(labels)})" for value, labels in labels_of.items())
        where = f"tasks {listed(mixed.task.unique())}"
        yield Finding(name, level, where, f"runs of one task have different {fact}: {parts}.", WHY[level], DO)
