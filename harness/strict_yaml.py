"""Strict YAML: text, numbers, lists and mappings of bounded size. What YAML 1.1 misreads is an error with file and line."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from harness.errors import BadInput

MAX_BYTES = 4_000_000
MAX_DEPTH = 50
MAX_VALUES = 200_000  # aliases count as what they stand for
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)[eE][+-]?\d+")


def read(path: Path) -> Any:
    """The content of a file. BadInput with file and line for anything that is not clean YAML."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadInput(f"{path} is larger than {MAX_BYTES:,} bytes: no file of settings.")
        return parse(content.decode(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"Cannot read {path}: {error}") from None


def parse(text: str, where: str) -> Any:
    """The value of a text; errors name `where` and the line."""
    try:
        _check_depth(text, where)
        loader = _Loader(text)
        loader.name = where
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise BadInput(f"{where}: not YAML: {' '.join(str(error).split())}") from None


def _check_depth(text: str, where: str) -> None:
    """BadInput for lists in lists beyond MAX_DEPTH: everything after this is recursive."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise BadInput(f"{where}, line {line}: lists or mappings nested more than {MAX_DEPTH} deep.")


def _count_values(node: yaml.Node, counts: dict[int, int | None]) -> int:
    """How many values a node comes to with its aliases written out. BadInput beyond MAX_VALUES, or where it holds itself."""
    if id(node) not in counts:
        counts[id(node)] = None  # being counted
        children = node.value if isinstance(node, yaml.SequenceNode) else []
        children = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else children
        counts[id(node)] = 1 + sum(_count_values(child, counts) for child in children)
    count = counts[id(node)]
    if count is None or count > MAX_VALUES:
        problem = (
            "an alias inside what it stands for" if count is None else f"aliases stand for more than {MAX_VALUES:,} values"
        )
        raise BadInput(f"{_place(node)}: {problem}.")
    return count


def _place(node: yaml.Node) -> str:
    return f"{node.start_mark.name}, line {node.start_mark.line + 1}"


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses what YAML 1.1 misreads without a word: duplicate keys, and numbers like 1e5 read as text."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, TypeError):
            raise BadInput(f"{_place(node)}: {str(node.value)[:40]!r} is no {node.tag.rpartition(':')[2]}.") from None


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """BadInput for a key that is given twice, or is a list or mapping."""
    if nested := [key for key, _ in node.value if not isinstance(key, yaml.ScalarNode)]:
        raise BadInput(f"{_place(nested[0])}: a key is text, not a list or mapping.")
    keys = [loader.construct_object(key) for key, _ in node.value]
    repeated: set[Any] = set()
    for (key, _), name in zip(node.value, keys, strict=True):
        if name in repeated:
            raise BadInput(f"{_place(key)}: key '{name}' is given twice.")
        repeated.add(name)
    return dict(zip(keys, (loader.construct_object(value, deep=True) for _, value in node.value), strict=True))


def _construct_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """BadInput for a number that YAML 1.1 reads as text."""
    text = loader.construct_scalar(node)
    if node.style is None and NUMBER.fullmatch(text):
        number = float(text.replace("_", ""))
        if not math.isfinite(number):
            raise BadInput(f"{_place(node)}: {text[:40]} is larger than any number here.")
        raise BadInput(f"{_place(node)}: YAML reads {text} as text, not as a number; write {_without_exponent(number)}.")
    return text


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """BadInput for what YAML 1.1 reads as another number than it looks like, and for more than 64 bits."""
    text = loader.construct_scalar(node)
    if ":" in text or re.match(r"[+-]?0[\d_]", text):
        base = "in base 60" if ":" in text else "as octal"
        raise BadInput(f"{_place(node)}: YAML reads {text[:40]} {base}; quote it, or write the number in full.")
    number = loader.construct_yaml_int(node)
    if not -(2**63) <= number < 2**63:
        raise BadInput(f"{_place(node)}: {text[:40]} is larger than any number here (64 bits).")
    return number


def _refuse(loader: _Loader, node: yaml.Node) -> None:
    kind = node.tag.rpartition(":")[2]
    raise BadInput(
        f"{_place(node)}: {str(node.value)[:40]!r} is a {kind}; allowed are text, numbers, true, false, null, lists and "
        "mappings. Quote it if it is text."
    )


def _without_exponent(number: float) -> str:
    return str(int(number)) if number == int(number) else format(number, "f").rstrip("0")


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
for _kind in ("timestamp", "binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refuse)
_Loader.add_constructor(None, _refuse)
