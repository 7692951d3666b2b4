"""Stored runs in other people's formats. A file is a format: `write(results, out)` -> what was written, in words."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from harness import plugins
from harness.errors import BadInput


def export(name: str, roots: Iterable[Path | str], out: Path) -> str:
    """Write all runs at or below the roots as `name` has it; BadInput where `out` cannot be written."""
    module = plugins.load("results.exporters", name, "export format")
    from results.reading import load

    try:
        return module.write(load.load(roots), out)
    except OSError as error:
        raise BadInput(f"Cannot write {out}: {error.strerror or error}") from None


def needs_pyarrow(what: str) -> None:
    """BadInput where pyarrow is not installed; dreamproof does not require it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise BadInput(f"{what}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or use csv (or csv.gz).")
