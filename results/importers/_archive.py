"""Archives of run directories (`export archive`), unpacked before they are read."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from harness.errors import BadInput

NAME = "archive"
ENDING = ".tar.gz"


def is_archive(file: Path) -> bool:
    """Whether the name of the file is that of an archive."""
    return file.name.endswith(ENDING)


def unpack(files: Iterable[Path], folder: Path) -> None:
    """Unpack every archive into its own folder below `folder`, which appears whole or not at all.

    BadInput for a file that is no archive, holds no run, or would write outside the folder.
    """
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        for number, file in enumerate(files):
            inner = Path(temporary) / "archive" / str(number)
            try:
                _extract(file, inner)
            except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
                raise BadInput(f"{file} is no archive of `dreamproof export archive`: {error}") from None
            if not any(inner.rglob("config.json")):
                raise BadInput(f"{file} holds no run directory: none of its folders has a config.json.")
        os.replace(Path(temporary) / "archive", folder)


def _extract(file: Path, folder: Path) -> None:
    """Write its plain files. `extractall` guards against paths that lead outside only since Python 3.11.4."""
    with tarfile.open(file, "r:gz") as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            place = PurePosixPath(member.name)
            if place.is_absolute() or ".." in place.parts:
                raise tarfile.TarError(f"'{member.name}' leads outside")
            content = archive.extractfile(member)
            assert content is not None, "a plain file has content"
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content.read())
