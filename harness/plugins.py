"""A file is a plugin: the files of a package's folder are all there is, and each is loaded by its name."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
from types import ModuleType

from harness.errors import unknown


def names(package: str) -> list[str]:
    """The plugins of a package: its modules and sub-packages, sorted, without those that start with an underscore."""
    return [name for name, _ in _plugins(package)]


def packages(package: str) -> list[str]:
    """Only the sub-packages of a package, sorted."""
    return [name for name, is_package in _plugins(package) if is_package]


def load(package: str, name: str, noun: str | None = None) -> ModuleType:
    """Import `package.name`. BadInput with the nearest match where there is none; it calls the plugin a `noun`."""
    if name not in names(package):
        raise unknown(noun or package.rsplit(".", 1)[-1].rstrip("s"), name, names(package))
    return importlib.import_module(f"{package}.{name}")


def caption(module: ModuleType) -> str:
    """The first line of a plugin's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]


def _plugins(package: str) -> list[tuple[str, bool]]:
    path = tuple(importlib.import_module(package).__path__)
    return _listing(path, tuple(os.stat(folder).st_mtime_ns for folder in path))


@functools.lru_cache(maxsize=64)
def _listing(path: tuple[str, ...], _changed: tuple[int, ...]) -> list[tuple[str, bool]]:
    """The plugins in folders. Cached until a folder changes, because a grid asks for them thousands of times."""
    return sorted((m.name, m.ispkg) for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))
