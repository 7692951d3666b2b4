"""How the values of options are read: step counts, seeds, PATH=VALUE."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from harness.errors import BadInput, unknown


class StepCount(click.ParamType[int]):
    """A whole number as people and YAML write it: `100000`, `1e5`, `100k`, `1_000`, `2m`."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = value if isinstance(value, int) else parse_count(value)
        except ValueError:
            self.fail(f"'{value}' is not a whole number: write 100000, 1e5, 100k or 1_000.", param, ctx)
        if number < 1:
            self.fail(f"{value} is not in the range x>=1.", param, ctx)
        return number


def parse_count(text: str) -> int:
    """`1e5`, `100k`, `1_000`, `2m` -> a whole number; ValueError for any other text."""
    match = re.fullmatch(
        r"([0-9]{1,18}|[0-9]{1,3}(?:_[0-9]{3}){1,5}|[0-9]{1,9}\.[0-9]{1,9})(?:e\+?([0-9]{1,2})|([km]))?", text, re.I
    )
    if match is None:
        raise ValueError(text)
    digits, exponent, suffix = match.groups()
    power = {"k": 3, "m": 6}[suffix.lower()] if suffix else int(exponent or 0)
    number = Decimal(digits.replace("_", "")).scaleb(power)
    if number != number.to_integral_value() or number >= 10**18:
        raise ValueError(text)
    return int(number)


def parse_seeds(text: str) -> int | list[int]:
    """`3`, a number of seeds, or `0,4,7`, a list of them."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,10}", word) for word in words):
        raise BadInput(f"--seeds {text}: write a number of seeds, --seeds 5, or a list of them, --seeds 0,3,7.")
    return int(words[0]) if len(words) == 1 else [int(word) for word in words]


def output_format(out: Path | None, requested: str | None, allowed: Sequence[str], default: str) -> str:
    """The format of an output: --format, else what the suffix of --out says. BadInput where they disagree, or for another."""
    suffix = out.suffix[1:].lower() if out is not None else ""
    if suffix and suffix not in allowed:
        raise unknown("format for the suffix", f".{suffix}", [f".{name}" for name in allowed], f"--out {out}")
    if suffix and requested not in (None, suffix):
        raise BadInput(
            f"--format {requested} and --out {out} disagree: leave one of them out, or let the file end in .{requested}."
        )
    return requested or suffix or default


def parse_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """`PATH=VALUE` of --set -> dotted path and value. BadInput for anything else."""
    parsed = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path:
            raise BadInput(f"--set {pair}: write PATH=VALUE, for instance --set agent.horizon=15.")
        parsed[path.strip()] = _parse_value(value, f"--set {path.strip()}")
    return parsed


def _parse_value(text: str, where: str) -> Any:
    """A number where it is one, else YAML, else text."""
    from harness import strict_yaml

    if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if strict_yaml.NUMBER.fullmatch(text.strip()) and "_" not in text and math.isfinite(float(text)):
        return float(text)
    try:
        return strict_yaml.parse(text, where)
    except BadInput as error:
        if "not YAML" in str(error):
            return text
        raise
