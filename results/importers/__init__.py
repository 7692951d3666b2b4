"""Other people's stored results as run directories. Every file of this folder is a format: see `Importer`."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from harness import plugins
from harness.errors import BadInput, unknown
from results.importers import _archive

if TYPE_CHECKING:
    from results.importers._run import ImportedRun, ImportOptions
    from results.importers._summary import ImportSummary

READ_AS_RUNS = ("dreamerv3", "csv")  # formats whose files need no options


@runtime_checkable
class Importer(Protocol):
    """What the file of a format holds. FILES: patterns of the file names to look for in folders."""

    FILES: tuple[str, ...]

    def runs(self, files: Sequence[Path], options: ImportOptions) -> Iterator[ImportedRun]:
        """Every run of the files, one after another. BadInput names the file and the place that breaks the format."""


def names() -> list[str]:
    """The formats as the user types them: `dreamerv3-torch` is the file `dreamerv3_torch.py`."""
    return [name.replace("_", "-") for name in plugins.names("results.importers")]


def importer(name: str) -> Importer:
    """The importer of a format; BadInput for an unknown name."""
    if name not in names():
        raise unknown("import format", name, names())
    return cast(Importer, plugins.load("results.importers", name.replace("-", "_")))  # a module, found by its name


def import_files(name: str, paths: Iterable[Path | str], out: Path | str, options: ImportOptions) -> ImportSummary:
    """Write every run of the files, and of the files in folders, below `out`; after any error nothing is written.

    One run is in memory at a time. A run that is there with the same content stays; with other content, BadInput.
    """
    from results.importers._stage import Stage
    from results.importers._summary import ImportSummary

    file_format = importer(name)
    summary = ImportSummary(name)
    with Stage(Path(out)) as stage:
        for run in file_format.runs(_files(file_format, paths), options):
            summary.add(run, *stage.add(run, name))
        if not summary.runs:
            raise BadInput(f"{', '.join(map(str, paths))}: no run in there.")
        stage.commit()
    return summary.close()


def directories(roots: Iterable[Path | str]) -> list[Path]:
    """The roots as folders. Files among them are unpacked or imported into folders that live as long as the process.

    BadInput for a file that is neither an archive (`export archive`) nor, by its name, of a format in READ_AS_RUNS.
    """
    folders: list[Path] = []
    files_of: dict[str, list[Path]] = defaultdict(list)
    for root in map(Path, roots):
        if root.is_file():
            files_of[_archive.NAME if _archive.is_archive(root) else _format_name(root)].append(root)
        else:
            folders.append(root)
    return folders + [_unpacked_folder(name, tuple(files)) for name, files in files_of.items()]


def _unpacked_folder(name: str, files: tuple[Path, ...]) -> Path:
    """The folder with the runs of the files. It is reused while the files are unchanged."""
    from results.importers._run import ImportOptions

    versions = [(str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    folder = Path(_temporary_root().name) / hashlib.sha256(json.dumps([name, versions]).encode()).hexdigest()
    if not folder.exists():
        if name == _archive.NAME:
            _archive.unpack(files, folder)
        else:
            import_files(name, files, folder, ImportOptions())
    return folder


@cache
def _temporary_root() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dreamproof-import-")


def _format_name(file: Path) -> str:
    for name in READ_AS_RUNS:
        if any(fnmatch(file.name, pattern) for pattern in importer(name).FILES):
            return name
    raise BadInput(
        f"{file} is no run directory; a file is BENCHMARK-METHOD.json.gz or one of `dreamproof export` (.csv, .csv.gz, "
        ".parquet, .tar.gz). `dreamproof import` reads others."
    )


def _files(file_format: Importer, paths: Iterable[Path | str]) -> list[Path]:
    """The paths that are files, and the files of the format in those that are folders; each once."""
    files: list[Path] = []
    for path in map(Path, paths):
        matches = sorted({file for pattern in file_format.FILES for file in path.rglob(pattern)}) if path.is_dir() else [path]
        if not matches:
            raise BadInput(f"{path} holds no file of this format ({', '.join(file_format.FILES)}).")
        if not matches[0].exists():
            raise BadInput(f"No such file: {path}")
        files += matches
    return list(dict.fromkeys(files))
