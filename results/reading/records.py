"""Rows and groups of a table as typed Python values.

The columns of our tables are named by text, and group keys are text. The types of pandas allow much more, so that every
reader would have to narrow them again; the two functions here do it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]  # one row: column -> value


def records(table: pd.DataFrame) -> list[Record]:
    """One dictionary per row."""
    return cast(list[Record], table.to_dict("records"))


def groups(table: pd.DataFrame, by: str, sort: bool = False) -> Iterator[tuple[str, pd.DataFrame]]:
    """`(value, rows)` for every value of a text column, in order of appearance or sorted."""
    for value, rows in table.groupby(by, sort=sort):
        yield str(value), rows


def tuple_groups(
    table: pd.DataFrame, by: Sequence[str], sort: bool = False, dropna: bool = True
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """`(values, rows)` for every combination of values of the columns, in order of appearance or sorted."""
    for values, rows in table.groupby(list(by), sort=sort, dropna=dropna):
        yield cast(tuple[Any, ...], values), rows
