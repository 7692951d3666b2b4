"""Every table and figure that these runs have anything for, each with its data; and why the others are not there."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harness import plugins
from harness.errors import BadInput
from results import plots, tables
from results.reading.load import Results
from results.tables import _formats

# In which order they are read; what is not named here comes behind.
TABLES = ("robustness", "measures", "ablations", "aggregates", "scores", "improvement", "sensitivity", "variance", "curves")
FIGURES = ("robustness", "severity", "difference", "ablations", "bars", "intervals", "improvement", "profile", "curves")
LONG = 30  # rows from which on a table scrolls within itself
PIXELS = 120  # per inch of a figure: its letters as large as the page's small ones


@dataclass(frozen=True)
class Exhibit:
    """A table or figure: what is shown, and its numbers as CSV in an address (`data:`).

    sheets: (title, HTML, whether it is long) of a table; image: the address of a figure, `width` pixels wide.
    """

    name: str
    caption: str
    data: str
    sheets: list[tuple[str, str, bool]] = field(default_factory=list)
    long: pd.DataFrame = field(default_factory=pd.DataFrame)
    image: str = ""
    width: int = 0


@dataclass(frozen=True)
class Exhibits:
    """absent: (name, why) of those that have nothing to show."""

    shown: list[Exhibit]
    absent: list[tuple[str, str]]


def table_of(results: Results, name: str, options: dict[str, Any]) -> Exhibit:
    """BadInput where these runs have no number for the table."""
    module = plugins.load("results.tables", name)
    table = tables.build(name, results, **_taken(module.make, options))
    if table.long.empty:
        raise BadInput(tables.NOTHING)
    sheets = [(sheet.title, _formats.html([sheet]), len(sheet.rows) > LONG) for sheet in table.sheets]
    return Exhibit(name, plugins.caption(module), _csv(table.long), sheets, table.long)


def figure_of(results: Results, name: str, options: dict[str, Any]) -> Exhibit:
    """BadInput where these runs have nothing to draw."""
    module = plugins.load("results.plots", name)
    figure, drawn = plots.build(name, results, **_taken(module.compute, options))
    image = "data:image/svg+xml;base64," + base64.b64encode(plots.encode(figure, "svg")).decode()
    width = round(figure.get_size_inches()[0] * PIXELS)
    return Exhibit(name, plugins.caption(module), _csv(drawn), image=image, width=width)


def all_tables(results: Results, options: dict[str, Any]) -> Exhibits:
    return _collect("results.tables", TABLES, table_of, results, options)


def all_figures(results: Results, options: dict[str, Any]) -> Exhibits:
    return _collect("results.plots", FIGURES, figure_of, results, options)


def _collect(
    package: str, order: tuple[str, ...], make: Callable[..., Exhibit], results: Results, options: dict[str, Any]
) -> Exhibits:
    names = plugins.names(package)
    shown, absent = [], []
    for name in sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name)):
        try:
            shown.append(make(results, name, options))
        except BadInput as error:
            absent.append((name, str(error)))
    return Exhibits(shown, absent)


def _taken(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options that a table or figure takes, and those that `tables.prepare` takes for every one."""
    taken = {*inspect.signature(function).parameters, "reps", "seed", "confidence"}
    return {name: value for name, value in options.items() if name in taken}


def _csv(rows: pd.DataFrame) -> str:
    return "data:text/csv;base64," + base64.b64encode(_formats.csv(rows).encode()).decode()
