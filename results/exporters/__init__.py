"""Stored runs in other people's formats. Every file of this folder is a format: see `Exporter`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from harness import plugins
from harness.errors import BadInput

if TYPE_CHECKING:
    from results.reading.load import Results


@runtime_checkable
class Exporter(Protocol):
    """What the file of a format holds."""

    def write(self, results: Results, out: Path) -> str:
        """Write the runs to the file or folder `out`; returns what was written, in words. BadInput for a wrong name."""


def export(name: str, roots: Iterable[Path | str], out: Path) -> str:
    """Write all runs at or below the roots in the format `name`; BadInput if `out` cannot be written."""
    exporter = cast(Exporter, plugins.load("results.exporters", name, "export format"))  # a module, found by its name
    from results.reading import load

    try:
        return exporter.write(load.load(roots), out)
    except OSError as error:
        raise BadInput(f"Cannot write {out}: {error.strerror or error}") from None


def needs_pyarrow(what: str) -> None:
    """BadInput if pyarrow is not installed; dreamproof does not require it. what: the file that needs it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise BadInput(f"{what}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or use csv (or csv.gz).")
