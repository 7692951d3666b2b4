"""Loading: 10 000 runs of 100 evaluation rows read first, again from the cache, and tabulated, beside reading their bytes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import plugins
from harness.bench import Options, Row, _grid

TAKES = ("steps",)
TABLE = {
    "job": "job",
    "runs": "runs",
    "s": "seconds",
    "processor, s": "cpu_seconds",
    "target, s": "target_seconds",
    "at best, s": "best_seconds",
    "other work": "other_cores",
}
CASES = ({},)
RUNS, ROWS = 10_000, 100
SETTLE = 4.0  # seconds: a file that was changed a moment ago is not kept in the cache


def measure(options: Options) -> Iterator[Row]:
    """`--steps`: another number of rows in all (the default of other subjects means the usual 10 000 x 100)."""
    runs = RUNS if options.steps == Options.steps else max(1, options.steps // ROWS)
    with tempfile.TemporaryDirectory(prefix="dreamproof-bench-") as name:
        root = Path(name) / "runs"
        size = _grid.make(root, runs, ROWS)
        time.sleep(SETTLE)
        yield from (row | {"subject": "load", "runs": runs, "rows": ROWS} for row in _jobs(root, size))


def _jobs(root: Path, size: int) -> Iterator[Row]:
    loading, tables = plugins.load("results.reading", "load"), plugins.load("results", "tables")
    reading, _ = _once("reading all bytes", lambda: [file.read_bytes() for file in root.rglob("*") if file.is_file()])
    first, results = _once("first load", lambda: loading.load([root]))
    yield first | {"target_seconds": 30, "best_seconds": reading["seconds"], "bytes": size}
    looking, _ = _once("looking at every file", lambda: [os.stat(file) for file in root.rglob("*")])
    cached, results = _once("cached load", lambda: loading.load([root]))
    yield cached | {"target_seconds": 2, "best_seconds": looking["seconds"]}
    for name in plugins.names("results.tables"):
        if name != "repo":  # its own study's
            row, _ = _once(f"table {name}", lambda name=name: tables.build(name, results).render())
            yield row | {"target_seconds": 5}


def _once(job: str, work: Callable[[], Any]) -> tuple[Row, Any]:
    """Once: the second time is another job."""
    begun, worked = time.perf_counter(), time.process_time()
    value = work()
    return {"job": job, "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - worked}, value
