"""Archives of run directories (`export archive`), unpacked to be read."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from harness.errors import BadInput

NAME = "archive"
ENDING = ".tar.gz"


def is_one(file: Path) -> bool:
    """By its name."""
    return file.name.endswith(ENDING)


def unpack(files: Iterable[Path], folder: Path) -> None:
    """Every archive into a folder of its own below `folder`, which is there whole or not at all.

    BadInput for what is no archive, holds no run, or wants to write outside the folder.
    """
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        for number, file in enumerate(files):
            inner = Path(temporary) / "archive" / str(number)
            try:
                with tarfile.open(file, "r:gz") as archive:
                    archive.extractall(inner, filter="data")
            except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
                raise BadInput(f"{file} is no archive of `dreamproof export archive`: {error}") from None
            if not any(inner.rglob("config.json")):
                raise BadInput(f"{file} holds no run directory: none of its folders has a config.json.")
        os.replace(Path(temporary) / "archive", folder)
