"""Archives of run directories (`export archive`), unpacked before they are read."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from harness.errors import BadInput, printable
from harness.names import below, check_name

NAME = "archive"
ENDING = ".tar.gz"
MAX_BYTES = 20_000_000_000  # that an archive may unpack to
MAX_FILES = 1_000_000


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
            except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
                raise BadInput(f"{file} is no archive of `dreamproof export archive`: {error}") from None
            if not any(inner.rglob("config.json")):
                raise BadInput(f"{file} holds no run directory: none of its folders has a config.json.")
        os.replace(Path(temporary) / "archive", folder)


def _extract(file: Path, folder: Path) -> None:
    """Write its plain files, up to MAX_BYTES and MAX_FILES. `extractall` guards against paths outside only since 3.11.4."""
    remaining = MAX_BYTES
    with gzip.open(file) as plain, tarfile.open(fileobj=cast(BinaryIO, _Bounded(plain, MAX_BYTES)), mode="r|") as archive:
        for number, member in enumerate(archive, 1):
            name = printable(member.name[:80])
            if number > MAX_FILES:
                raise tarfile.TarError(f"more than {MAX_FILES:,} members")
            if not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"'{name}' is a link or a device; an archive of runs holds plain files")
            place = PurePosixPath(member.name)
            if place.is_absolute() or ".." in place.parts:
                raise tarfile.TarError(f"'{name}' leads outside")
            remaining -= max(0, member.size)
            if remaining < 0:
                raise tarfile.TarError(f"'{name}' declares {member.size:,} bytes; an archive may hold {MAX_BYTES:,} in all")
            if member.isdir():
                continue
            for part in place.parts:
                check_name(part, f"the member '{name}'", str(file))
            content = archive.extractfile(member)
            assert content is not None, "a plain file has content"
            below(folder, str(place), "the member", str(file)).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / place, "wb") as out:
                shutil.copyfileobj(content, out)


class _Bounded:
    """What a compressed file holds, up to a limit: a few kilobytes may stand for terabytes."""

    def __init__(self, plain: gzip.GzipFile, limit: int):
        self._plain, self._remaining = plain, limit

    def read(self, size: int) -> bytes:
        content = self._plain.read(size)
        self._remaining -= len(content)
        if self._remaining < 0:
            raise tarfile.TarError("it unpacks to more bytes than an archive may hold")
        return content
