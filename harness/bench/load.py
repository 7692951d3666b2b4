"""Loading: 10 000 runs of 100 evaluation rows, read first, again from the cache, and tabulated, beside reading their bytes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import plugins
from harness.bench import Options, Row, _synthetic_study

OPTIONS = ("steps",)
COLUMNS = {
    "job": "job",
    "runs": "runs",
    "s": "seconds",
    "processor, s": "cpu_seconds",
    "target, s": "target_seconds",
    "at best, s": "best_seconds",
    "other work": "other_cores",
}
CASES: tuple[Mapping[str, object], ...] = ({},)
RUNS, ROWS = 10_000, 100
SETTLE = 4.0  # seconds: a file that was changed a moment ago is not kept in the cache


def measure(options: Options) -> Iterator[Row]:
    """`--steps`: another number of rows in all (the default of other subjects means the usual 10 000 x 100)."""
    runs = RUNS if options.steps == Options.steps else max(1, options.steps // ROWS)
    with tempfile.TemporaryDirectory(prefix="dreamproof-bench-") as name:
        root = Path(name) / "runs"
        size = _synthetic_study.write_study(root, runs, ROWS)
        time.sleep(SETTLE)
        yield from (row | {"subject": "load", "runs": runs, "rows": ROWS} for row in _jobs(root, size))


def _jobs(root: Path, size: int) -> Iterator[Row]:
    loading, tables = plugins.load("results.reading", "load"), plugins.load("results", "tables")
    reading, _ = _measure_once("reading all bytes", lambda: [file.read_bytes() for file in root.rglob("*") if file.is_file()])
    first, results = _measure_once("first load", lambda: loading.load([root]))
    yield first | {"target_seconds": 30, "best_seconds": reading["seconds"], "bytes": size}
    looking, _ = _measure_once("looking at every file", lambda: [os.stat(file) for file in root.rglob("*")])
    cached, results = _measure_once("cached load", lambda: loading.load([root]))
    yield cached | {"target_seconds": 2, "best_seconds": looking["seconds"]}
    for name in plugins.names("results.tables"):
        if name != "repo":  # it is for the founding study alone
            row, _ = _measure_once(f"table {name}", partial(_render_table, tables, name, results))
            yield row | {"target_seconds": 5}


def _render_table(tables: ModuleType, name: str, results: Any) -> str:
    return tables.build(name, results).render()


def _measure_once(job: str, work: Callable[[], Any]) -> tuple[Row, Any]:
    """Call once: a second call would find everything in a cache."""
    start, cpu_start = time.perf_counter(), time.process_time()
    value = work()
    return {"job": job, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}, value
