"""One run of somebody else: what it is called, its rows as columns, and where it stands in which file."""

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
from typing import Any

from harness.errors import BadInput
from harness.rundir import VERSION
from results import benchmarks

UNKNOWN = "unknown"  # what no file of the format says
NAMED = ("benchmark", "task", "method", "seed")


@dataclass(frozen=True)
class Run:
    """`rows`: column -> a list, or one value for all rows; `frames` and `return` are lists, None is a null.

    seed: the file's label. unit: what a row is. notes: things that the reader met and must be counted. settings: entries
    of config.json beside the names; state: of state.json; name: of the directory, where the source has one.
    """

    file: Path
    where: str
    benchmark: str
    task: str
    method: str
    seed: str
    rows: dict[str, Any]
    unit: str
    spelled: str = ""
    notes: Counter = field(default_factory=Counter)
    settings: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json. `imported` says what the file said; `steps` 0: the training length is not known."""
        noises = self.rows.get("noise", "clean")
        splits = self.rows.get("split", "train")
        pairs = zip(*(_list(x, len(self.rows["return"])) for x in (splits, noises)), strict=True)
        tested = list(dict.fromkeys(noise for split, noise in pairs if split == "eval"))
        said = {"benchmark": self.benchmark, "task": self.spelled or self.task, "method": self.method, "seed": self.seed}
        return {
            "version": VERSION,
            **{"study": self.benchmark, "task": self.task, "preset": "imported", "size": UNKNOWN, "ablation": "none"},
            **{"train_noise": "clean", "seed": number(self.seed), "steps": 0, "precision": UNKNOWN},
            "agent": {"kind": self.method},
            "evaluate": {"noise": sorted(tested), "policy": UNKNOWN},
            "imported": said | {"row": self.unit},
        } | self.settings

    @property
    def directory(self) -> str:
        """`asterix.dreamerv3.s3-1a2b3c4d`: the same names give the same directory."""
        config = {key: value for key, value in self.config.items() if key not in ("version", "evaluate")}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
        parts = (self.task.split("/", 1)[-1], self.method, f"s{self.seed}")
        return self.name or ".".join(re.sub(r"[^\w+.-]+", "-", part)[:60] for part in parts) + "-" + digest

    def __str__(self) -> str:
        return f"{self.task}, {self.method}, seed {self.seed}"


@dataclass(frozen=True)
class Told:
    """What the user says of files that do not say it. `layout`: names in the end of a path, `{method}/{task}_{seed}`."""

    benchmark: str | None = None
    task: str | None = None
    method: str | None = None
    seed: str | None = None
    repeat: int | None = None
    layout: str | None = None

    def named(self, path: Path, layout: str = "", **found: str | None) -> dict[str, str]:
        """benchmark, task, method and seed: as told, else as `found` in the file, else by the path; BadInput without.

        layout: how the format's own program lays out its files. Where nothing says a benchmark, it is `imported`.
        """
        by_path = _match(self.layout or layout, path, strict=bool(self.layout))
        names = {key: getattr(self, key) or found.get(key) or by_path.get(key) for key in NAMED}
        names["benchmark"] = names["benchmark"] or "imported"
        if lacking := [key for key in NAMED if not names[key]]:
            options = " or ".join(["--layout", *(f"--{key}" for key in lacking)])
            how = f"; its path is not like {layout}" if layout else ""
            raise BadInput(f"{path}: nothing says its {' and '.join(lacking)}{how}. Give {options}.")
        return {key: str(value) for key, value in names.items()}

    def frames_per_step(self, benchmark: str) -> int:
        """The action repeat: as told, else the benchmark's, else 1."""
        return self.repeat or benchmarks.get(benchmark).repeat


def suite_task(task: str, benchmark: str) -> str:
    """`dmc_cartpole_swingup` of dmc_proprio -> `dmc/cartpole_swingup`; `atari_asterix` of atari100k -> `atari100k/asterix`.

    A name that holds a slash is ours already; one without an underscore stays as it is.
    """
    prefix, _, name = task.partition("_")
    return task if "/" in task or not name else f"{benchmarks.get(benchmark).suite or prefix}/{name}"


def number(label: str) -> int:
    """A seed's label as a whole number; what is none gets one of its own, the same every time."""
    return int(label) if label.isdecimal() and len(label) < 10 else int(hashlib.sha256(label.encode()).hexdigest()[:7], 16)


def finite(values: list[Any], notes: Counter) -> list[Any]:
    """The values with None for what is not finite, which is counted."""
    bad = sum(value is not None and not math.isfinite(value) for value in values)
    notes.update({"not finite": bad} if bad else {})
    return [None if value is None or not math.isfinite(value) else value for value in values]


def whole(values: list[float]) -> list[float]:
    """Whole numbers as such: 500000.0 -> 500000."""
    return [int(value) if value == int(value) else value for value in values]


def _list(value: Any, length: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * length


def _match(layout: str, path: Path, strict: bool) -> Mapping[str, str]:
    """The names in the end of a path; {} where it is laid out in another way, BadInput where the user said so."""
    if not layout:
        return {}
    parts = [part for part in re.split(r"(\{\w+\}|\*)", layout) if part]
    for part in parts:
        if part.startswith("{") and part[1:-1] not in NAMED:
            raise BadInput(f"--layout {layout}: no name {part}; allowed: {', '.join('{' + key + '}' for key in NAMED)}, *.")
    pattern = "".join(
        f"(?P<{part[1:-1]}>[^/]+)" if part[0] == "{" else "[^/]*" if part == "*" else re.escape(part) for part in parts
    )
    found = re.search(rf"(?:^|/){pattern}$", path.absolute().as_posix())
    if not found and strict:
        raise BadInput(f"{path}: its path does not end like --layout {layout}.")
    return found.groupdict() if found else {}
