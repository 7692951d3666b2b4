"""Text that others chose: one rule for names that become paths, and what may be shown of a text."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TextIO

from harness.errors import BadInput, printable

MAX_BYTES = 200  # of a name: file systems take 255, and the project adds endings
CLEAR = "\033[2J\033[1;1H"  # what --watch itself writes to clear a terminal


def check_label(text: str, what: str, where: str) -> str:
    """`text`, which names something in tables and may hold slashes. BadInput for parts that no path may hold."""
    parts = text.split("/")
    if not text.strip() or not text.isprintable() or len(text.encode(errors="replace")) > MAX_BYTES or {".", ".."} & set(parts):
        raise BadInput(
            f"{where}: {what} = {text[:60]!r}; allowed are up to {MAX_BYTES} printable characters, not blank, "
            "and no part '.' or '..'."
        )
    return text


def check_name(text: str, what: str, where: str) -> str:
    """`text`, which becomes the name of one file or folder. BadInput for what a path could read as anything else."""
    if not text or re.search(r"^[.\s-]|[/\\]|\s$", text) or not text.isprintable() or len(os.fsencode(text)) > MAX_BYTES:
        raise BadInput(
            f"{where}: {what} = {text[:60]!r} becomes a name of a folder or file: up to {MAX_BYTES} printable "
            "characters, no slash or backslash, and no dot, dash or blank at the start."
        )
    return text


def below(target: Path, relative: str | Path, what: str, where: str) -> Path:
    """`target / relative`. BadInput where that does not lie below `target`; links of the user's are followed as they are."""
    path, root = os.path.abspath(target / relative), os.path.abspath(target)
    if "\0" in str(relative) or Path(relative).is_absolute() or not path.startswith(os.path.join(root, "")):
        raise BadInput(f"{where}: {what} = {str(relative)[:60]!r} does not lie below {target}.")
    return target / relative


class PlainStream:
    """A text stream that shows control characters and broken text as `\\x1b`; the rest is that of the stream."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(text if text == CLEAR else printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
