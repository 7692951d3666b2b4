"""A file is a plug: what stands in a package's folder is what there is, loaded by name."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
from types import ModuleType

from harness.errors import unknown


def names(package: str) -> list[str]:
    """The plugs of a package: its modules and sub-packages, sorted, without those that start with an underscore."""
    return [name for name, _ in _plugs(package)]


def packages(package: str) -> list[str]:
    """Only the sub-packages of a package, sorted."""
    return [name for name, is_package in _plugs(package) if is_package]


def load(package: str, name: str, what: str | None = None) -> ModuleType:
    """Import `package.name`; BadInput naming the nearest match where there is none."""
    if name not in names(package):
        raise unknown(what or package.rsplit(".", 1)[-1].rstrip("s"), name, names(package))
    return importlib.import_module(f"{package}.{name}")


def caption(module: ModuleType) -> str:
    """The first line of a plug's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]


def _plugs(package: str) -> list[tuple[str, bool]]:
    path = tuple(importlib.import_module(package).__path__)
    return _listing(path, tuple(os.stat(folder).st_mtime_ns for folder in path))


@functools.lru_cache(maxsize=64)
def _listing(path: tuple[str, ...], _changed: tuple[int, ...]) -> list[tuple[str, bool]]:
    """The folders' plugs; read again when a folder has changed, because a grid asks for them thousands of times."""
    return sorted((m.name, m.ispkg) for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))
