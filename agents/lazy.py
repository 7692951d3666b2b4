"""A module that is imported when it is first used, so that configurations validate without torch."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar


class Lazy:
    """`torch = Lazy("torch")` stands in for `import torch`."""

    _made: ClassVar[list[Lazy]] = []

    def __init__(self, name: str) -> None:
        self._name = name
        self._made.append(self)

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value

    @classmethod
    def arrive(cls) -> None:
        """Import all that was put off: a compiler cannot see through an import."""
        for lazy in cls._made:
            vars(lazy).update(vars(importlib.import_module(lazy._name)))
