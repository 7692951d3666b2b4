"""Imported text files, line by line. An unfinished last line is counted; any other bad line is an error that names it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from harness.errors import BadInput


def open_text(path: Path) -> IO[str]:
    """Open a text file. Its first bytes say whether it is gzipped."""
    try:
        with open(path, "rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        return gzip.open(path, "rt", encoding="utf-8", newline="") if gzipped else open(path, encoding="utf-8", newline="")
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their line ends. BadInput if the file is cut off, no text, or unreadable."""
    with open_text(path) as file:
        try:
            yield from file
        except EOFError:
            raise BadInput(f"{path} ends before its compressed data do: it was cut off.") from None
        except (OSError, zlib.error, UnicodeDecodeError) as error:
            raise BadInput(f"Cannot read {path}: {error}") from None


def json_rows(path: Path, notes: Counter[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(where, row)` of every JSON line. `notes` counts a last line that is cut off."""
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            yield f"{path}, line {number}", row
        elif line.endswith("\n"):
            raise BadInput(f"{path}, line {number}: not a JSON row: {line.strip()[:80]!r}")
        else:
            notes["cut-off lines"] += 1


def numeric(value: Any, name: str, where: str) -> float | None:
    """A number of a JSON row, or None for null; BadInput for anything else."""
    if value is None or type(value) in (int, float):
        return value
    raise BadInput(f"{where}: {name} = {json.dumps(value)[:40]}; allowed is a number.")
