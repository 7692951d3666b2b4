"""One imported run: its names, its rows as columns, and its place in the source file."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import BadInput
from harness.rundir import VERSION
from results import benchmarks

UNKNOWN = "unknown"  # what no file of the format says


class RunNames(NamedTuple):
    """What identifies a run. seed: the label in the file, which need not be a number."""

    benchmark: str
    task: str
    method: str
    seed: str


@dataclass(frozen=True)
class ImportedRun:
    """One run as an importer hands it over.

    where: its place in `file`. rows: column -> a list, or one value for all rows; `frames` and `return` are lists, and None
    is a null. unit: what a row is. source_task: the task as the file spells it. notes: counts of what the reader met.
    settings: entries of config.json beside the names. state: entries of state.json. name: of the directory, if the source
    has one.
    """

    file: Path
    where: str
    names: RunNames
    rows: dict[str, Any]
    unit: str
    source_task: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    settings: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json. `imported` holds the names in the file; `steps` is 0: the training length is unknown."""
        pairs = zip(self.column("split", "train"), self.column("noise", "clean"), strict=True)
        eval_noises = {noise for split, noise in pairs if split == "eval"}
        names = self.names
        source = names._asdict() | {"task": self.source_task or names.task, "row": self.unit}
        return {
            "version": VERSION,
            **{"study": names.benchmark, "task": names.task, "preset": "imported", "size": UNKNOWN, "ablation": "none"},
            **{"train_noise": "clean", "seed": seed_number(names.seed), "steps": 0, "precision": UNKNOWN},
            "agent": {"kind": names.method},
            "evaluate": {"noise": sorted(eval_noises), "policy": UNKNOWN},
            "imported": source,
        } | self.settings

    def column(self, name: str, default: Any) -> list[Any]:
        """One value per row; a single value stands for all rows."""
        value = self.rows.get(name, default)
        return value if isinstance(value, list) else [value] * len(self.rows["return"])

    @property
    def directory(self) -> str:
        """`asterix.dreamerv3.s3-1a2b3c4d`: the same names give the same directory."""
        config = {key: value for key, value in self.config.items() if key not in ("version", "evaluate")}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
        parts = (self.names.task.split("/", 1)[-1], self.names.method, f"s{self.names.seed}")
        return self.name or ".".join(re.sub(r"[^\w+.-]+", "-", part)[:60] for part in parts) + "-" + digest

    def __str__(self) -> str:
        return f"{self.names.task}, {self.names.method}, seed {self.names.seed}"


@dataclass(frozen=True)
class ImportOptions:
    """What the user adds where files do not say it. layout: names at the end of a path, e.g. `{method}/{task}_{seed}`."""

    benchmark: str | None = None
    task: str | None = None
    method: str | None = None
    seed: str | None = None
    repeat: int | None = None
    layout: str | None = None

    def run_names(self, path: Path, in_file: Mapping[str, str | None], layout: str = "") -> RunNames:
        """The names of a run: from the options, else from the file (`in_file`), else from the path; BadInput without.

        layout: how the format's own program lays out its files. Without any source, the benchmark is `imported`.
        """
        in_path = _match_layout(self.layout or layout, path, strict=bool(self.layout))
        names = {key: getattr(self, key) or in_file.get(key) or in_path.get(key) for key in RunNames._fields}
        names["benchmark"] = names["benchmark"] or "imported"
        if lacking := [key for key in RunNames._fields if not names[key]]:
            options = " or ".join(["--layout", *(f"--{key}" for key in lacking)])
            mismatch = f"; its path is not like {layout}" if layout else ""
            raise BadInput(f"{path}: nothing says its {' and '.join(lacking)}{mismatch}. Give {options}.")
        return RunNames(**{key: str(value) for key, value in names.items()})

    def frames_per_step(self, benchmark: str) -> int:
        """The action repeat: the option, else the benchmark's, else 1."""
        return self.repeat or benchmarks.get(benchmark).repeat


def suite_task(task: str, benchmark: str) -> str:
    """`dmc_cartpole_swingup` of dmc_proprio -> `dmc/cartpole_swingup`; `atari_asterix` of atari100k -> `atari100k/asterix`.

    A name that holds a slash is ours already; one without an underscore stays as it is.
    """
    prefix, _, name = task.partition("_")
    return task if "/" in task or not name else f"{benchmarks.get(benchmark).suite or prefix}/{name}"


def seed_number(label: str) -> int:
    """A seed's label as a whole number. A label that is no number gets a number from its hash, the same every time."""
    return int(label) if label.isdecimal() and len(label) < 10 else int(hashlib.sha256(label.encode()).hexdigest()[:7], 16)


def finite_or_none(values: list[float | None], notes: Counter[str]) -> list[float | None]:
    """The values with None for those that are not finite; `notes` counts them."""
    cleaned = [value if value is not None and math.isfinite(value) else None for value in values]
    if replaced := cleaned.count(None) - values.count(None):
        notes["not finite"] += replaced
    return cleaned


def integers_where_whole(values: list[float]) -> list[float]:
    """Whole numbers as integers: 500000.0 -> 500000."""
    return [int(value) if value == int(value) else value for value in values]


def _match_layout(layout: str, path: Path, strict: bool) -> Mapping[str, str]:
    """The names at the end of a path. Another layout gives {}, or BadInput if it is the user's (`strict`)."""
    if not layout:
        return {}
    parts = [part for part in re.split(r"(\{\w+\}|\*)", layout) if part]
    for part in parts:
        if part.startswith("{") and part[1:-1] not in RunNames._fields:
            allowed = ", ".join("{" + key + "}" for key in RunNames._fields)
            raise BadInput(f"--layout {layout}: no name {part}; allowed: {allowed}, *.")
    pattern = "".join(
        f"(?P<{part[1:-1]}>[^/]+)" if part[0] == "{" else "[^/]*" if part == "*" else re.escape(part) for part in parts
    )
    match = re.search(rf"(?:^|/){pattern}$", path.absolute().as_posix())
    if not match and strict:
        raise BadInput(f"{path}: its path does not end like --layout {layout}.")
    return match.groupdict() if match else {}
