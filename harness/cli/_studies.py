"""What a user may write for a study or for stored runs: a file, a name, a folder; and the commands that go on from there."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from harness.errors import BadInput, NothingToShow, unknown


def study_root(study: str | Path, scale: str | None, runs: Path) -> Path:
    """The folder of a study's runs: of a file, of a shipped study, by the name under --runs, or the folder itself.

    Nothing where no run of it has a directory yet.
    """
    from harness import study as studies

    for folder in (Path(study), runs / study):
        if folder.is_dir() and scale is None:
            return folder
    try:
        root = runs / studies.read(study, scale)[0].name
    except BadInput as error:
        raise BadInput(f"{error} Or give a folder of runs; {runs / study} is not one.") from None
    if not root.is_dir():
        raise NothingToShow(f"No runs of {study} yet: no {root}. Start with: {_run_command(study, scale, runs)}")
    return root


def stored_paths(paths: Iterable[Path], runs: Path) -> list[Path]:
    """What stands for each of RUNS: a folder or file as it is; a study's file or name -> the folder of its runs under --runs;
    the name of a run under --runs -> its directory."""
    return [_stored_path(path, runs) for path in paths]


def find_run(name: str, runs: Path) -> Path | None:
    """The run directory with this path, or with this name under --runs; None where there is none."""
    if (Path(name) / "config.json").is_file():
        return Path(name)
    named = sorted(folder for folder in runs.glob(f"*/{Path(name).name}") if (folder / "config.json").exists())
    return named[0] if len(named) == 1 and len(Path(name).parts) == 1 and not set("*?[") & set(name) else None


def required_run(name: str, runs: Path) -> Path:
    """As `find_run`; BadInput with the nearest match where there is no such run."""
    folder = find_run(name, runs)
    if folder is None:
        raise unknown("run", name, sorted(path.parent.name for path in runs.glob("*/*/config.json")), str(runs))
    return folder


def check_is_file(study: str, runs: Path, submit_command: str | None) -> None:
    """BadInput where `study` is only a folder of runs: what its runs need of a cluster stands in the study's file."""
    from harness import study as studies

    if not Path(study).is_file() and study not in studies.names():
        origin = f" It was sent by: {submit_command}" if submit_command else ""
        raise BadInput(f"{study} is a folder of runs: to send them, give the study's file.{origin}")


def command_options(scale: str | None, runs: Path) -> list[str]:
    """The options that every verb needs to find the same runs again."""
    return (["--scale", scale] if scale else []) + (["--runs", str(runs)] if runs != Path("runs") else [])


def _stored_path(path: Path, runs: Path) -> Path:
    from harness import study as studies

    if path.is_dir() or (path.exists() and path.suffix not in studies.SUFFIXES):
        return path
    if path.is_file() or (runs / path).is_dir() or str(path) in studies.names():
        return study_root(path, None, runs)
    if run := find_run(str(path), runs):
        return run
    if len(path.parts) > 1:
        raise BadInput(f"No such run directory: {path}")
    stored = sorted(folder.name for folder in runs.glob("[!.]*") if folder.is_dir())
    raise unknown("such run directory, file or study", path, [*stored, *studies.names()])


def _run_command(study: str | Path, scale: str | None, runs: Path) -> str:
    return shlex.join(["dreamproof", "run", str(study), *command_options(scale, runs)])
