"""Measures speed, each figure beside what this machine could do at best: one file per subject.

A subject exposes `measure(options) -> rows`, one mapping of figures per row with the units in the names; `TAKES`, the names
of the options that it reads; `TABLE`, column heading -> figure, for people; `CASES`, the options of the rows that stand in
docs/performance.md.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness import build, envs, plugins, study
from harness.bench._others import Others
from harness.errors import unknown

Row = dict[str, Any]
BUSY = 0.1  # cores; from there on other work spoils the figures


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """What is measured. `steps`: of the replay; `task`: of env, None for its own selection."""

    size: str = "1m"
    obs: Literal["image", "vector"] = "image"
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    threads: int = field(default_factory=cores)
    compile: bool | Literal["auto"] = "auto"  # as a run would
    profile: bool = False
    steps: int = 100_000
    task: str | None = None


def names() -> list[str]:
    return plugins.names(__name__)


def measure(subject: str, given: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a subject. BadInput for an option that it does not take or a value that there is not."""
    module = plugins.load(__name__, subject, "subject to measure")
    for name in given:
        if name not in module.TAKES:
            raise unknown("option", name, module.TAKES, f"bench {subject}")
    options = Options(**given)
    _check(options)
    others = Others()
    return (row | {"other_cores": others.cores()} for row in module.measure(options))


def _check(options: Options) -> None:
    study.single("counter/vector", size=options.size)
    if options.task is not None:
        envs.check(options.task)
    build.check_device(options.device, compile=options.compile is True)


# For the subjects


def timed(work: Callable[[], Any], *, least: int = 5, seconds: float = 0.0, warm: int = 1) -> list[float]:
    """Seconds of each call, `least` or more of them and at least `seconds` in all, after `warm` calls that do not count."""
    for _ in range(warm):
        work()
    spent: list[float] = []
    while len(spent) < least or sum(spent) < seconds:
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return spent


def spread(name: str, times: Sequence[float]) -> Row:
    """Median, smallest and largest of what was measured several times, and how often."""
    ends = {f"{name}_min": min(times), f"{name}_max": max(times)}
    return {name: statistics.median(times), **ends, "repetitions": len(times)}


# For people


def run(subject: str | None, given: Mapping[str, Any], as_json: bool, out: Path | None, say: Callable[[str], Any]) -> float:
    """Measure, say the rows, and write them to `out`: one subject's as CSV, all subjects' into a page.

    Returns the most cores that other work kept busy during a measurement.
    """
    from harness.bench import _page

    measured: dict[str, list[Row]] = {}
    for name in [subject] if subject else names():
        measured[name] = []
        for row in measure(name, given) if subject else _page.rows(name):
            measured[name].append(row)
            say(text(row) + "\n") if not as_json else None
    if as_json:
        say(json.dumps([row for rows in measured.values() for row in rows], indent=1))
    for name, rows in measured.items() if out else ():
        figure = getattr(plugins.load(__name__, name), "FIGURE", None)
        if figure or subject:
            _keep(rows, figure, out.with_suffix(".csv") if subject else out.with_name(f"{out.stem}-{name}.csv"))
    if out and not subject:
        _page.write(out, _page.page(measured, out.stem))
    return max((row["other_cores"] for rows in measured.values() for row in rows), default=0.0)


def _keep(rows: Sequence[Row], figure: str | None, path: Path) -> None:
    """The rows as CSV and, where a subject has a figure, that beside it."""
    flat = [{key: value for key, value in row.items() if not isinstance(value, list)} for row in rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in flat for key in row)))
        writer.writeheader()
        writer.writerows(flat)
    if figure:
        importlib.import_module(f"{__name__}.{figure}").draw(rows).savefig(path.with_suffix(".png"))


def text(row: Mapping[str, Any]) -> str:
    """One row: a figure per line, then its lists, an entry per line."""
    width = max(map(len, row))
    lines = [f"{name:<{width}}  {shown(value)}" for name, value in row.items() if not isinstance(value, list)]
    for name, entries in row.items():
        if isinstance(entries, list):
            lines += [f"{name}:", *("  " + ", ".join(f"{k} {shown(v)}" for k, v in entry.items()) for entry in entries)]
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Three digits, large numbers with their prefix: 1.61 G."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) and abs(value) < 10_000:
        return str(value)
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g}"
