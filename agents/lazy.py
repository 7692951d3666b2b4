"""Modules that are imported at their first use, so that configurations validate without torch."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar


class Lazy:
    """`torch = Lazy("torch")` stands in for `import torch`."""

    _instances: ClassVar[list[Lazy]] = []

    def __init__(self, name: str) -> None:
        self._name = name
        self._instances.append(self)

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value

    @classmethod
    def import_all(cls) -> None:
        """Import every module that stands behind an instance: a compiler cannot trace an import."""
        for lazy in cls._instances:
            vars(lazy).update(vars(importlib.import_module(lazy._name)))
