"""Imported text files, line by line. An unfinished last line is counted; any other bad line is an error that names it."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from harness.errors import BadInput

MAX_STEP = 2**53  # from here on floating-point numbers skip whole ones
MAX_LINE = 1 << 22  # characters; a few kilobytes of a compressed file may stand for terabytes
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.IGNORECASE)


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
            while line := file.readline(MAX_LINE):
                if len(line) == MAX_LINE:
                    raise BadInput(f"{path}: a line of more than {MAX_LINE:,} characters.")
                yield line
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
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield f"{path}, line {number}", row
        elif line.endswith("\n"):
            raise BadInput(f"{path}, line {number}: not a JSON row: {line.strip()[:80]!r}")
        else:
            notes["cut-off lines"] += 1


def numeric(value: Any, name: str, where: str) -> float | None:
    """A number of a JSON row, or None for null; BadInput for anything else."""
    if value is None or type(value) is float or (type(value) is int and abs(value) < MAX_STEP):
        return value
    raise BadInput(f"{where}: {name} = {json.dumps(value)[:40]}; allowed is a number.")


def to_number(text: str) -> float | None:
    """The number that a cell holds; None for other text. Python alone would also take `1_0` and digits of other scripts."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def csv_rows(text: Iterator[str], where: Path) -> Iterator[tuple[int, list[str]]]:
    """`(line, cells)` of every row of a CSV, the head included. BadInput for what is no CSV."""
    reader = csv.reader(text)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise BadInput(f"{where}, line {reader.line_num}: {error}.") from None
