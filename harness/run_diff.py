"""How two runs differ: settings, what they were made with, and the first row of their logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from harness.rundir import RunDir

LOGS = ("episodes", "metrics")
MEASURED = "seconds"  # wall-clock time: never equal
NOT_COMPARED = ("command", "resumed")  # of provenance


def compare_runs(first: RunDir, second: RunDir) -> dict[str, Any]:
    """`settings` and `made with`: dotted path -> [first's value, second's]; then, per log, its first differing row or None."""
    return {
        "settings": _differences(first.config, second.config),
        "made with": _differences(_provenance(first), _provenance(second)),
        **{log: _first_difference(first.rows(log), second.rows(log)) for log in LOGS},
    }


def difference_to_text(first: RunDir, second: RunDir, difference: dict[str, Any]) -> str:
    """The comparison for people, and a sentence where a part is equal."""
    lines = [f"{first.path}", f"{second.path}"]
    for part in ("settings", "made with"):
        pairs = difference[part]
        lines += ["", f"{part}:" if pairs else f"{part}: equal"]
        width = max(map(len, pairs), default=0)
        lines += [f"  {path:<{width}}  {_text(old)} -> {_text(new)}" for path, (old, new) in pairs.items()]
    for log in LOGS:
        row = difference[log]
        if row is None:
            lines += ["", f"{log}.jsonl: equal but for {MEASURED}"]
            continue
        lines += ["", f"{log}.jsonl: the first difference is in row {row['row']}"]
        if row["only in"]:
            lines.append(f"  only {row['only in']} has such a row")
        lines += [f"  {name}  {_text(old)} -> {_text(new)}" for name, (old, new) in row["fields"].items()]
    return "\n".join(lines)


def _provenance(run: RunDir) -> dict[str, Any]:
    return {name: value for name, value in run.provenance.items() if name not in NOT_COMPARED}


def _differences(old: Any, new: Any) -> dict[str, list[Any]]:
    olds, news = dict(_leaves("", old)), dict(_leaves("", new))
    paths = [*olds, *(path for path in news if path not in olds)]
    return {path: [olds.get(path), news.get(path)] for path in paths if olds.get(path) != news.get(path)}


def _first_difference(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> dict[str, Any] | None:
    """`row` counts from 1; `fields`: name -> both values; `only in`: the run that goes on where the other log ends."""
    for number, (one, other) in enumerate(zip_longest(old, new), 1):
        if one is None or other is None:
            return {"row": number, "only in": "the first" if other is None else "the second", "fields": {}}
        fields = {name: pair for name, pair in _differences(one, other).items() if name != MEASURED}
        if fields:
            return {"row": number, "only in": None, "fields": fields}
    return None


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else name, inner)
    else:
        yield prefix, value


def _text(value: Any) -> str:
    return "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
