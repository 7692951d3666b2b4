"""One tidy table, a row per episode (CSV; gzipped where the name ends in .gz): `import csv` reads it back unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.reading.load import Results


def write(results: Results, out: Path) -> str:
    """The same runs give the same bytes."""
    from results.exporters import _tidy

    table = _tidy.table(results)
    out.parent.mkdir(parents=True, exist_ok=True)
    compression = {"method": "gzip", "mtime": 0} if out.suffix == ".gz" else None
    table.to_csv(out, index=False, lineterminator="\n", compression=compression)
    return f"{len(results.runs)} runs, {len(results.episodes)} rows"
