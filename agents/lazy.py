"""A module that is imported when it is first used, so that configurations validate without torch."""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """`torch = Lazy("torch")` stands in for `import torch`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value
