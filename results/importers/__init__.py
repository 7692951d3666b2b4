"""Other people's stored results as run directories. A file is a format: `runs(files, told)` -> one `Run` after another."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness import plugins
from harness.errors import BadInput, unknown

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


@contextmanager
def directories(roots: Iterable[Path | str]) -> Iterator[list[Path]]:
    """The roots, where files among them are imported into a folder that lives as long as the context.

    BadInput for a file whose name is that of no format in READ_AS_RUNS.
    """
    from results.importers._run import Told

    folders, files = [], defaultdict(list)
    for root in map(Path, roots):
        if root.is_file():
            files[_format_of(root)].append(root)
        else:
            folders.append(root)
    if not files:
        yield folders
        return
    with tempfile.TemporaryDirectory(prefix="dreamproof-import-") as temporary:
        for name, some in files.items():
            import_files(name, some, Path(temporary) / "runs", Told())
        yield [*folders, Path(temporary) / "runs"]


def _format_of(file: Path) -> str:
    for name in READ_AS_RUNS:
        if any(fnmatch(file.name, pattern) for pattern in module(name).FILES):
            return name
    raise BadInput(
        f"{file} is no run directory; a file is BENCHMARK-METHOD.json.gz or a table of `dreamproof export` (.csv, .csv.gz, "
        ".parquet). `dreamproof import` reads others."
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
