"""Other people's stored results as run directories. A file is a format: `runs(files, told)` -> one `Run` after another."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness import plugins
from harness.errors import BadInput, unknown
from results.importers import _archive

if TYPE_CHECKING:
    from results.importers._run import Told
    from results.importers._summary import Summary

READ_AS_RUNS = ("dreamerv3", "csv")  # formats that say everything in one file


def names() -> list[str]:
    """The formats as they are typed: `dreamerv3-torch` is the file `dreamerv3_torch.py`."""
    return [name.replace("_", "-") for name in plugins.names("results.importers")]


def module(name: str) -> ModuleType:
    """The file of a format: `runs`, and FILES, the names that are looked for in folders. BadInput for another name."""
    if name not in names():
        raise unknown("import format", name, names())
    return plugins.load("results.importers", name.replace("-", "_"))


def import_files(name: str, paths: Iterable[Path | str], out: Path | str, told: Told) -> Summary:
    """Write every run of the files (folders: of what stands in them) below `out`, all or, where something is wrong, none.

    One run is in memory at a time. Runs that are there with the same content are left alone; with another, BadInput.
    """
    from results.importers._stage import Stage
    from results.importers._summary import Summary

    form = module(name)
    summary = Summary(name)
    with Stage(Path(out)) as stage:
        for run in form.runs(_files(form, paths), told):
            summary.add(run, *stage.add(run, name))
        if not summary.runs:
            raise BadInput(f"{', '.join(map(str, paths))}: no run in there.")
        stage.commit()
    return summary.close()


def directories(roots: Iterable[Path | str]) -> list[Path]:
    """The roots, where files among them are unpacked or imported into folders that live as long as the process.

    BadInput for a file that is neither an archive (`export archive`) nor, by its name, of a format in READ_AS_RUNS.
    """
    folders, files = [], defaultdict(list)
    for root in map(Path, roots):
        if root.is_file():
            files[_archive.NAME if _archive.is_one(root) else _format_of(root)].append(root)
        else:
            folders.append(root)
    return folders + [_unpacked(name, tuple(some)) for name, some in files.items()]


def _unpacked(name: str, files: tuple[Path, ...]) -> Path:
    """The files' runs; what was unpacked before is used again while the files are as they were."""
    from results.importers._run import Told

    marks = [(str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    folder = Path(_home().name) / hashlib.sha256(json.dumps([name, marks]).encode()).hexdigest()
    if not folder.exists():
        if name == _archive.NAME:
            _archive.unpack(files, folder)
        else:
            import_files(name, files, folder, Told())
    return folder


@cache
def _home() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="dreamproof-import-")


def _format_of(file: Path) -> str:
    for name in READ_AS_RUNS:
        if any(fnmatch(file.name, pattern) for pattern in module(name).FILES):
            return name
    raise BadInput(
        f"{file} is no run directory; a file is BENCHMARK-METHOD.json.gz or one of `dreamproof export` (.csv, .csv.gz, "
        ".parquet, .tar.gz). `dreamproof import` reads others."
    )


def _files(form: ModuleType, paths: Iterable[Path | str]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        here = sorted({file for pattern in form.FILES for file in path.rglob(pattern)}) if path.is_dir() else [path]
        if not here:
            raise BadInput(f"{path} holds no file of this format ({', '.join(form.FILES)}).")
        if not here[0].exists():
            raise BadInput(f"No such file: {path}")
        found += here
    return list(dict.fromkeys(found))
