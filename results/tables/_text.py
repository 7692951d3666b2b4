"""How numbers, intervals, counts and flags are written in tables that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def number(value: float, decimals: int = 2) -> str:
    """`1.25`; `-` where there is none; zero has no sign."""
    return "-" if value != value else f"{value:z.{decimals}f}"


def ranged(value: float, low: float, high: float, decimals: int = 2) -> str:
    """`1.25 [1.19, 1.31]`; without the brackets where there is no interval; an unknown end is `?`."""
    if value != value:
        return "-"
    ends = ", ".join("?" if end != end else number(end, decimals) for end in (low, high))
    return number(value, decimals) + (f" [{ends}]" if low == low or high == high else "")


def chance(p: float) -> str:
    """`0.031`, `< 0.001`, `-`."""
    return "-" if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(values: Iterable[int]) -> str:
    """`5`, or `3 to 5` where they differ."""
    values = sorted({int(value) for value in values})
    return "0" if not values else str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def letters(flags: Iterable[str]) -> dict[str, str]:
    """Flag -> the letter that marks it in this table, in order of appearance; `unfinished:2` is a flag of its own."""
    found = dict.fromkeys(flag for text in flags for flag in text.split(";") if flag)
    return {flag: letter(i) for i, flag in enumerate(found)}


def letter(i: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    return (letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


def marks(flags: str, named: Mapping[str, str]) -> str:
    """` (a,b)` for the flags that have a letter; mostly ''."""
    found = [named[flag] for flag in flags.split(";") if flag in named]
    return f" ({','.join(found)})" if found else ""


def legend(named: Mapping[str, str], meaning: Mapping[str, str]) -> list[str]:
    """One note per letter: `(b) unfinished (2): runs that are not done.`"""
    told = [(mark, *flag.partition(":")[::2]) for flag, mark in named.items()]
    return [f"({mark}) {name}{f' ({many})' if many else ''}: {meaning[name]}." for mark, name, many in told]


def confidence(rows: pd.DataFrame) -> str:
    """`95 %`."""
    return f"{100 * rows.confidence.iloc[0]:g} %"


def bootstrap(rows: pd.DataFrame) -> str:
    """The note about intervals from a stratified bootstrap of training runs."""
    reps = f"{rows.reps.iloc[0]:,} replicates"
    return f"Brackets: {confidence(rows)} percentile interval, stratified bootstrap of runs within each task, {reps}."


def listed(values: Iterable[Any]) -> str:
    """Each value once, in order of appearance."""
    return ", ".join(dict.fromkeys(str(value) for value in values if str(value)))
