"""The provenance of the runs: every recorded fact, and which facts differ between runs that are compared."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from results.check import RunEvidence, listed

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 8  # of one fact, in full
UNKNOWN = "not recorded"
PER_RUN = ("command", "resumed", "imported.where")  # facts that differ between equal runs


class Value(NamedTuple):
    """One value of a fact. labels: the runs that have it, '' if all have."""

    text: str
    runs: int
    labels: str


@dataclass(frozen=True)
class Fact:
    """values: the most frequent first. omitted: how many values are not shown. differs: between runs of one task."""

    name: str
    values: list[Value]
    omitted: int
    differs: bool


def facts(evidence: RunEvidence) -> list[Fact]:
    """One per leaf of provenance.json, in its order, for runs that have begun; then the host, from state.json."""
    runs = evidence.table
    leaves = {path: dict(_leaves("", evidence.provenance.get(path, {}))) for path in runs.path}
    started_runs = runs[[bool(leaves[path]) for path in runs.path]]
    names = list(dict.fromkeys(name for path in started_runs.path for name in leaves[path]))
    recorded = [_fact(name, [leaves[path].get(name, UNKNOWN) for path in started_runs.path], started_runs) for name in names]
    return [*recorded, _fact("host", [host or UNKNOWN for host in started_runs.host], started_runs)] if recorded else []


def _fact(name: str, values: list[str], runs: pd.DataFrame) -> Fact:
    labels_of: dict[str, list[str]] = defaultdict(list)
    values_of_task: dict[str, set[str]] = defaultdict(set)
    for value, label, task in zip(values, runs.label, runs.task, strict=True):
        labels_of[value].append(label)
        values_of_task[task].add(value)
    ordered = sorted(labels_of.items(), key=lambda item: (-len(item[1]), item[0]))
    frequent = [
        Value(value, len(labels), "" if len(ordered) == 1 else listed(labels)) for value, labels in ordered[:MOST_VALUES]
    ]
    differs = name not in PER_RUN and any(len(distinct) > 1 for distinct in values_of_task.values())
    return Fact(name, frequent, max(0, len(ordered) - MOST_VALUES), differs)


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), entry)
    elif prefix == "command":
        yield prefix, shlex.join(map(str, value))
    elif value not in (None, []):
        yield prefix, value if isinstance(value, str) else json.dumps(value)
