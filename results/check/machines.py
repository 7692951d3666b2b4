"""Runs of one task that were made with different simulators, precisions, compile modes or programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from results.check import NOTE, PROBLEM, Evidence, Finding, listed

# name -> level, what it is, where provenance.json holds it
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
    PROBLEM: "A difference between these runs may be one of what they were made with, not of the methods.",
    NOTE: "Seldom changes a score, but nothing here shows that it did not.",
}
DO = "Run them again with one of them, or show them in tables of their own."


def find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.results is None:
        return
    runs = evidence.runs
    precision = runs.precision.where(runs.precision != "unknown", "")
    yield from _mixed(runs, precision, "mixed_precision", PROBLEM, "numeric precisions")
    for name, (level, what, path) in FACTS.items():
        values = runs.path.map(_reader(evidence.provenance, path))
        yield from _mixed(runs, values, name, level, what)


def _reader(provenance: Mapping[str, Any], path: tuple[str, ...]) -> Callable[[str], str]:
    def value(run: str) -> str:
        found: Any = provenance.get(run, {})
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return "" if found is None or found == {} else found if isinstance(found, str) else json.dumps(found, sort_keys=True)

    return value


def _mixed(runs: pd.DataFrame, values: pd.Series, name: str, level: str, what: str) -> Iterator[Finding]:
    """One finding for all tasks whose runs differ; '' is not known, and says nothing."""
    known = runs.assign(value=values)[values != ""]
    differ = known.groupby("task").value.transform("nunique") > 1
    if differ.any():
        mixed = known[differ]
        groups = {value: own.label for value, own in mixed.groupby("value", sort=True)}
        told = "; ".join(f"{value[:60]} in {len(labels)} runs ({listed(labels)})" for value, labels in groups.items())
        where = f"tasks {listed(mixed.task.unique())}"
        yield Finding(name, level, where, f"runs of one task have different {what}: {told}.", WHY[level], DO)
