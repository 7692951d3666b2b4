"""Every table and figure with something to show, each with its data, and why the others are absent."""

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

# The order on the page; any other follows behind.
TABLES = ("robustness", "measures", "ablations", "aggregates", "scores", "improvement", "sensitivity", "variance", "curves")
FIGURES = ("robustness", "severity", "difference", "ablations", "bars", "intervals", "improvement", "profile", "curves")
LONG = 30  # rows, above which a table scrolls
PIXELS = 120  # per inch of a figure: its letters are as large as the small ones of the page

ExhibitOptions = dict[str, Any]  # of tables and figures, as on the command line


@dataclass(frozen=True)
class SheetHtml:
    """One sheet of a table. scrolls: whether it is too long for the page."""

    title: str
    html: str
    scrolls: bool


@dataclass(frozen=True)
class Exhibit:
    """A table or a figure. data: its numbers as CSV, as a `data:` address.

    sheets and long: of a table, long being its numbers. image: the `data:` address of a figure, `width` pixels wide.
    """

    name: str
    caption: str
    data: str
    sheets: list[SheetHtml] = field(default_factory=list)
    long: pd.DataFrame = field(default_factory=pd.DataFrame)
    image: str = ""
    width: int = 0


@dataclass(frozen=True)
class Exhibits:
    """present: those with something to show. absent: (name, reason) of the others."""

    present: list[Exhibit]
    absent: list[tuple[str, str]]


def table_of(results: Results, name: str, options: ExhibitOptions) -> Exhibit:
    """BadInput if these runs have no number for the table."""
    module = plugins.load("results.tables", name)
    table = tables.build(name, results, **_accepted(module.make, options))
    if table.long.empty:
        raise BadInput(tables.NOTHING)
    sheets = [SheetHtml(sheet.title, _formats.html([sheet]), len(sheet.rows) > LONG) for sheet in table.sheets]
    return Exhibit(name, plugins.caption(module), _csv_address(table.long), sheets, table.long)


def figure_of(results: Results, name: str, options: ExhibitOptions) -> Exhibit:
    """BadInput if these runs have nothing to draw."""
    module = plugins.load("results.plots", name)
    figure, marks = plots.build(name, results, **_accepted(module.compute, options))
    image = "data:image/svg+xml;base64," + base64.b64encode(plots.encode(figure, "svg")).decode()
    width = round(figure.get_size_inches()[0] * PIXELS)
    return Exhibit(name, plugins.caption(module), _csv_address(marks), image=image, width=width)


def all_tables(results: Results, options: ExhibitOptions) -> Exhibits:
    return _collect("results.tables", TABLES, table_of, results, options)


def all_figures(results: Results, options: ExhibitOptions) -> Exhibits:
    return _collect("results.plots", FIGURES, figure_of, results, options)


def _collect(
    package: str, order: tuple[str, ...], make: Callable[..., Exhibit], results: Results, options: ExhibitOptions
) -> Exhibits:
    names = plugins.names(package)
    present: list[Exhibit] = []
    absent: list[tuple[str, str]] = []
    for name in sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name)):
        try:
            present.append(make(results, name, options))
        except BadInput as error:
            absent.append((name, str(error)))
    return Exhibits(present, absent)


def _accepted(function: Callable[..., Any], options: ExhibitOptions) -> ExhibitOptions:
    """The options that a table or figure takes, and those that `tables.prepare` takes for every one."""
    accepted = {*inspect.signature(function).parameters, "reps", "seed", "confidence"}
    return {name: value for name, value in options.items() if name in accepted}


def _csv_address(rows: pd.DataFrame) -> str:
    return "data:text/csv;base64," + base64.b64encode(_formats.csv(rows).encode()).decode()
