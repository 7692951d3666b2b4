"""Stored reference scores: what random play and people reach on a task, by name, version and source."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml


@cache
def tables() -> dict[str, dict]:
    """Name and version -> source, suites, unit, columns, scores of `reference_scores.yaml`."""
    return yaml.safe_load((Path(__file__).parent / "reference_scores.yaml").read_text())["tables"]


def reference_score(task: str, column: str = "random") -> tuple[float, str] | None:
    """Score of a task such as `atari100k/asterix` and the name of the table it stands in; None where there is none."""
    suite, _, game = task.partition("/")
    for name, table in tables().items():
        if suite in table["suites"] and game in table["scores"] and column in table["columns"]:
            return float(table["scores"][game][table["columns"].index(column)]), name
    return None
