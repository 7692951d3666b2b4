"""Figures. Every file of this folder is a figure: see `PlotModule`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from harness import plugins
from harness.errors import NothingToShow

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from results.reading.load import Results

FORMATS = ("png", "pdf", "svg")
# By itself, matplotlib would write its version and the time; neither is part of a figure.
METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": "dreamproof"},
    "pdf": {"Creator": "dreamproof", "Producer": "dreamproof", "CreationDate": None},
    "svg": {"Creator": "dreamproof", "Date": None},
}


@runtime_checkable
class PlotModule(Protocol):
    """What the file of a figure holds.

    compute(results, rng, **options) returns one row per mark of the figure, with every number: means, intervals, places.
    A figure takes those of the options reps, confidence, final, baseline, ... that it has parameters for.
    """

    compute: Callable[..., pd.DataFrame]

    def paint(self, marks: pd.DataFrame) -> Figure:
        """The figure of the marks. It computes no statistics."""


def build(name: str, roots: Iterable[Path | str] | Results, **options: Any) -> tuple[Figure, pd.DataFrame]:
    """The figure `name` of every run at or below the roots, and its marks, one per row.

    Options as in `results.tables.prepare`, and those of the figure's `compute`. The error is `Nothing` without a mark.
    """
    from results import style
    from results.tables import accepted_options, prepare

    module = cast(PlotModule, plugins.load("results.plots", name))  # found by its name
    results, rng, options = prepare(roots, **options)
    marks = module.compute(results, rng, **accepted_options(module.compute, options, f"figure '{name}'"))
    if marks.empty:
        raise NothingToShow(f"No run among these has anything for the figure '{name}'.")
    figure = module.paint(marks)
    with style.figure_style():
        style.show_literally(figure)
    return figure, marks


def files(figure: Figure, marks: pd.DataFrame, form: str) -> tuple[bytes, bytes]:
    """The contents of the figure's file and of the CSV of its marks beside it. The same figure gives the same bytes."""
    return encode(figure, form), marks.to_csv(index=False, lineterminator="\n").encode()


def encode(figure: Figure, form: str) -> bytes:
    """The figure as the content of a file. The same figure gives the same bytes."""
    from results import style

    content = io.BytesIO()
    with style.figure_style():  # matplotlib chooses fonts and identifiers when it writes a file
        figure.savefig(content, format=form, metadata=METADATA[form])
    return content.getvalue()
