"""Values for shell completion: names of tasks, noises, ablations, studies, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

Complete = Callable[["click.Context", "click.Parameter", str], list[str]]


def names_of(*kinds: str) -> Complete:
    """Completes the names that `dreamproof list KIND` shows."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from harness import catalogue

        names = dict.fromkeys(row["name"] for kind in kinds for row in catalogue.list_rows(kind))
        return [name for name in names if name.startswith(incomplete)]

    return complete


def studies(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Completes the studies that ship, the study files here, and the studies that have runs under --runs."""
    from pathlib import Path

    from harness import study

    folder = Path(incomplete).parent if "/" in incomplete else Path()
    files = [str(path) for path in sorted(folder.iterdir()) if path.suffix in study.SUFFIXES] if folder.is_dir() else []
    runs = Path(context.params.get("runs") or "runs")
    stored = [path.name for path in sorted(runs.iterdir()) if path.is_dir()] if runs.is_dir() else []
    return [name for name in dict.fromkeys([*study.names(), *files, *stored]) if name.startswith(incomplete)]


def stored_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Completes studies, folders, and files of stored results."""
    from pathlib import Path

    folder = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent) if "/" in incomplete else Path()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    entries = [f"{path}/" if path.is_dir() else str(path) for path in paths if not path.name.startswith(".")]
    return list(dict.fromkeys([*studies(context, parameter, incomplete), *(e for e in entries if e.startswith(incomplete))]))
