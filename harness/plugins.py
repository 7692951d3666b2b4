"""A file is a plug: what stands in a package's folder is what there is, loaded by name."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from harness.errors import unknown


def names(package: str) -> list[str]:
    """The plugs of a package: its modules and sub-packages, sorted, without those that start with an underscore."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


def packages(package: str) -> list[str]:
    """Only the sub-packages of a package, sorted."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if m.ispkg and not m.name.startswith("_"))


def load(package: str, name: str, what: str | None = None) -> ModuleType:
    """Import `package.name`; BadInput naming the nearest match where there is none."""
    if name not in names(package):
        raise unknown(what or package.rsplit(".", 1)[-1].rstrip("s"), name, names(package))
    return importlib.import_module(f"{package}.{name}")


def caption(module: ModuleType) -> str:
    """The first line of a plug's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]
