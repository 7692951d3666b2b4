"""Numbers, intervals, counts and flags as text, for tables that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def number(value: float, decimals: int = 2) -> str:
    """`1.25`; `-` for NaN; zero has no sign."""
    return "-" if value != value else f"{value:z.{decimals}f}"


def with_interval(value: float, low: float, high: float, decimals: int = 2) -> str:
    """`1.25 [1.19, 1.31]`; no brackets without an interval; an unknown end is `?`."""
    if value != value:
        return "-"
    ends = ", ".join("?" if end != end else number(end, decimals) for end in (low, high))
    return number(value, decimals) + (f" [{ends}]" if low == low or high == high else "")


def p_text(p: float) -> str:
    """`0.031`, `< 0.001`, `-`."""
    return "-" if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"


def count_range(values: Iterable[float]) -> str:
    """`5`, or `3 to 5` if the counts differ."""
    counts = {int(value) for value in values}
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low} to {high}"


def flag_letters(flags: Iterable[str]) -> dict[str, str]:
    """Flag -> its letter in this table, in order of appearance. `unfinished:2` and `unfinished:3` are two flags."""
    distinct = dict.fromkeys(flag for text in flags for flag in text.split(";") if flag)
    return {flag: letter(i) for i, flag in enumerate(distinct)}


def letter(i: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    return (letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


def flag_marks(flags: str, letter_of: Mapping[str, str]) -> str:
    """` (a,b)` for the flags that have a letter; '' without any."""
    marks = [letter_of[flag] for flag in flags.split(";") if flag in letter_of]
    return f" ({','.join(marks)})" if marks else ""


def flag_notes(letter_of: Mapping[str, str], meaning: Mapping[str, str]) -> list[str]:
    """One note per letter: `(b) unfinished (2): runs that are not done.`"""
    parts = [(mark, *flag.partition(":")[::2]) for flag, mark in letter_of.items()]
    return [f"({mark}) {name}{f' ({number})' if number else ''}: {meaning[name]}." for mark, name, number in parts]


def confidence_text(rows: pd.DataFrame) -> str:
    """`95 %`."""
    return f"{100 * rows.confidence.iloc[0]:g} %"


def bootstrap_note(rows: pd.DataFrame) -> str:
    """The note about intervals from a stratified bootstrap of training runs."""
    reps = f"{rows.reps.iloc[0]:,} replicates"
    return f"Brackets: {confidence_text(rows)} percentile interval, stratified bootstrap of runs within each task, {reps}."


def distinct_text(values: Iterable[Any]) -> str:
    """Each value once, in order of appearance."""
    return ", ".join(dict.fromkeys(str(value) for value in values if str(value)))
