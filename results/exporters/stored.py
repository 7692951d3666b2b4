"""Only the data of tables and figures (CSV.GZ): the results of a study, small enough to keep in git."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.reading.load import Results


def write(results: Results, out: Path) -> str:
    """The same results give the same bytes; `reproduce` hashes the uncompressed file. BadInput for another ending."""
    from harness.errors import BadInput
    from results.exporters import _tidy

    if not out.name.endswith(".csv.gz"):
        raise BadInput(f"{out}: the name of a stored study ends in .csv.gz. Tables and figures recognise it by that.")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(_tidy.canonical(results).encode(), mtime=0))
    return f"{len(results.runs)} runs, {len(results.episodes)} rows"
