"""Measures speed, each figure beside the best that this machine could do: one file per subject.

A subject exposes `measure(options)`, which yields rows: mappings of figures, with the unit in each name. It also exposes
`OPTIONS`, the names of the options that it reads; `COLUMNS`, column heading -> figure, for tables; and `CASES`, the options
of the rows in docs/performance.md.
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
from harness.bench._other_work import OtherWork
from harness.errors import unknown

Row = dict[str, Any]
MAX_OTHER_WORK = 0.1  # busy cores; above this, other work makes the figures too slow


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


def subjects() -> list[str]:
    """Everything that can be measured, by name."""
    return plugins.names(__name__)


def measure(subject: str, values: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a subject. `values`: of options, by name. BadInput for an option it does not read or a value not allowed."""
    module = plugins.load(__name__, subject, "subject to measure")
    for name in values:
        if name not in module.OPTIONS:
            raise unknown("option", name, module.OPTIONS, f"bench {subject}")
    options = Options(**values)
    _check(options)
    other_work = OtherWork()
    return (row | {"other_cores": other_work.busy_cores()} for row in module.measure(options))


def _check(options: Options) -> None:
    study.single("counter/vector", size=options.size)
    if options.task is not None:
        envs.check(options.task)
    build.check_device(options.device, compile=options.compile is True)


# ---- For the subjects


def time_calls(work: Callable[[], object], *, min_calls: int = 5, min_seconds: float = 0.0, warmup: int = 1) -> list[float]:
    """Seconds of each call: at least `min_calls` calls and `min_seconds` in all, after `warmup` calls that do not count."""
    for _ in range(warmup):
        work()
    times: list[float] = []
    while len(times) < min_calls or sum(times) < min_seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def summarize(name: str, times: Sequence[float]) -> Row:
    """Median, smallest and largest of repeated measurements, and how many there are."""
    ends = {f"{name}_min": min(times), f"{name}_max": max(times)}
    return {name: statistics.median(times), **ends, "repetitions": len(times)}


# ---- For people


def run_benchmarks(
    subject: str | None, values: Mapping[str, Any], as_json: bool, out: Path | None, echo: Callable[[str], object]
) -> float:
    """Measure a subject, or all of them; `echo` the rows and write them to `out`: one subject's as CSV, all as a page.

    Returns how many cores other work kept busy, at most, during a measurement.
    """
    from harness.bench import _page

    rows_by_subject: dict[str, list[Row]] = {}
    for name in [subject] if subject else subjects():
        rows_by_subject[name] = []
        for row in measure(name, values) if subject else _page.measure_cases(name):
            rows_by_subject[name].append(row)
            if not as_json:
                echo(row_to_text(row) + "\n")
    if as_json:
        echo(json.dumps([row for rows in rows_by_subject.values() for row in rows], indent=1))
    if out and subject:
        _write_rows(rows_by_subject[subject], _figure_of(subject), out.with_suffix(".csv"))
    elif out:
        for name, rows in rows_by_subject.items():
            if figure := _figure_of(name):
                _write_rows(rows, figure, out.with_name(f"{out.stem}-{name}.csv"))
        _page.write_tables(out, _page.tables_to_markdown(rows_by_subject, out.stem))
    return max((row["other_cores"] for rows in rows_by_subject.values() for row in rows), default=0.0)


def _figure_of(subject: str) -> str | None:
    """The module that draws a subject's rows; None where no module does."""
    return getattr(plugins.load(__name__, subject), "FIGURE", None)


def _write_rows(rows: Sequence[Row], figure: str | None, path: Path) -> None:
    """The rows as CSV and, where a subject has a figure, the figure beside it."""
    flat = [{key: value for key, value in row.items() if not isinstance(value, list)} for row in rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in flat for key in row)))
        writer.writeheader()
        writer.writerows(flat)
    if figure:
        importlib.import_module(f"{__name__}.{figure}").draw(rows).savefig(path.with_suffix(".png"))


def row_to_text(row: Mapping[str, Any]) -> str:
    """One row: a line per figure, then its lists, a line per entry."""
    width = max(map(len, row))
    lines = [f"{name:<{width}}  {format_value(value)}" for name, value in row.items() if not isinstance(value, list)]
    for name, entries in row.items():
        if isinstance(entries, list):
            lines += [f"{name}:", *("  " + ", ".join(f"{k} {format_value(v)}" for k, v in entry.items()) for entry in entries)]
    return "\n".join(lines)


def format_value(value: Any) -> str:
    """Three digits; large numbers with their prefix: 1.61 G."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) and abs(value) < 10_000:
        return str(value)
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g}"
