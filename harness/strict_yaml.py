"""Strict YAML: duplicate keys, and numbers that YAML 1.1 reads as text, are errors with file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from harness.errors import BadInput


def read(path: Path) -> Any:
    """The content of a file. BadInput with file and line for anything that is not clean YAML."""
    try:
        with open(path) as file:
            return yaml.load(file, _Loader)
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"Cannot read {path}: {error}") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses what YAML 1.1 misreads without a word: duplicate keys, and numbers like 1e5 read as text."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """BadInput for a key that is given twice."""
    keys = [loader.construct_object(key) for key, _ in node.value]
    for i, ((key, _), name) in enumerate(zip(node.value, keys, strict=True)):
        if name in keys[:i]:
            raise BadInput(f"{key.start_mark.name}, line {key.start_mark.line + 1}: key '{name}' is given twice.")
    return dict(zip(keys, (loader.construct_object(value, deep=True) for _, value in node.value), strict=True))


def _construct_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """BadInput for a number that YAML 1.1 reads as text."""
    text = loader.construct_scalar(node)
    if node.style is None and re.fullmatch(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)[eE][+-]?\d+", text):
        place = f"{node.start_mark.name}, line {node.start_mark.line + 1}"
        raise BadInput(f"{place}: YAML reads {text} as text, not as a number; write {_without_exponent(float(text))}.")
    return text


def _without_exponent(number: float) -> str:
    return str(int(number)) if number == int(number) else format(number, "f").rstrip("0")


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)
