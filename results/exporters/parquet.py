"""One tidy table, a row per episode (Parquet; needs pyarrow): `import csv` reads it back unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.reading.load import Results


def write(results: Results, out: Path) -> str:
    """BadInput where pyarrow is not installed."""
    from results.exporters import _tidy, needs_pyarrow

    needs_pyarrow(str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    _tidy.table(results).to_parquet(out, index=False)
    return f"{len(results.runs)} runs, {len(results.episodes)} rows"
