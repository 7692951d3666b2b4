"""What runs were made with: every fact of their provenance, and where runs that are compared differ in one."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from results.check import Evidence, listed

MOST = 8  # values of one fact that are told one by one
UNKNOWN = "not recorded"
OF_ITS_OWN = ("command", "resumed", "imported.where")  # facts in which runs differ without being made differently


@dataclass(frozen=True)
class Fact:
    """values: (value, how many runs, their names where not all have it). differs: between runs of one task."""

    name: str
    values: list[tuple[str, int, str]]
    more: int
    differs: bool


def facts(evidence: Evidence) -> list[Fact]:
    """One per leaf of provenance.json, in its order, for runs that have begun; then the host, from state.json."""
    runs = evidence.runs
    leaves = {path: dict(_leaves("", evidence.provenance.get(path, {}))) for path in runs.path}
    began = runs[[bool(leaves[path]) for path in runs.path]]
    names = list(dict.fromkeys(name for path in began.path for name in leaves[path]))
    found = [_fact(name, [leaves[path].get(name, UNKNOWN) for path in began.path], began) for name in names]
    return [*found, _fact("host", [host or UNKNOWN for host in began.host], began)] if found else []


def _fact(name: str, values: list[str], runs: Any) -> Fact:
    by_value, by_task = defaultdict(list), defaultdict(set)
    for value, label, task in zip(values, runs.label, runs.task, strict=True):
        by_value[value].append(label)
        by_task[task].add(value)
    told = sorted(by_value.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [(value, len(labels), "" if len(by_value) == 1 else listed(labels)) for value, labels in told[:MOST]]
    differs = name not in OF_ITS_OWN and any(len(some) > 1 for some in by_task.values())
    return Fact(name, rows, max(0, len(told) - MOST), differs)


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), entry)
    elif prefix == "command":
        yield prefix, shlex.join(map(str, value))
    elif value not in (None, []):
        yield prefix, value if isinstance(value, str) else json.dumps(value)
