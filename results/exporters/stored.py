"""The rows that tables and figures are made of and nothing else (CSV.GZ): a study's results, small enough to keep in git."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.reading.load import Results


def write(results: Results, out: Path) -> str:
    """The same results give the same bytes; the uncompressed file is what `reproduce` hashes. BadInput for another name."""
    from harness.errors import BadInput
    from results.exporters import _tidy

    if not out.name.endswith(".csv.gz"):
        raise BadInput(f"{out}: a stored study's name ends in .csv.gz, by which tables and figures know it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(_tidy.canonical(results).encode(), mtime=0))
    return f"{len(results.runs)} runs, {len(results.episodes)} rows"
