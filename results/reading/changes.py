"""Signs of change in run directories: while they stay the same, so does every table and figure of these runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from harness import rundir
from results.reading import rows

READ = ("config.json", "state.json", "episodes.jsonl", "metrics.jsonl", "done")  # what tables and figures read of a run


def file_keys(roots: Iterable[Path | str]) -> dict[str, rows.FileKey]:
    """Path -> key (size, times, inode) of every file that is read of the runs at or below the roots, or of stored tables.

    BadInput where a root is missing or holds no run.
    """
    paths = [Path(root) for root in roots]
    files = [path for path in paths if path.is_file()]
    folders = [path for path in paths if not path.is_file()]
    files += [run.path / name for run in rundir.find_runs(folders) for name in READ]
    keys = {}
    for file in files:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            keys[str(file)] = rows.key(os.stat(file))
    return keys
