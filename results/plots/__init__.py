"""Figures. A file is a figure: `compute(results, rng, **options)` -> exactly what is drawn, `paint(drawn)` -> Figure."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins
from harness.errors import Nothing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from results.reading.load import Results

FORMATS = ("png", "pdf", "svg")
# What matplotlib would write by itself: its version and the time, neither of which is part of a figure.
METADATA = {
    "png": {"Software": "dreamproof"},
    "pdf": {"Creator": "dreamproof", "Producer": "dreamproof", "CreationDate": None},
    "svg": {"Creator": "dreamproof", "Date": None},
}


def build(name: str, roots: Iterable[Path | str] | Results, **options: Any) -> tuple[Figure, pd.DataFrame]:
    """The figure `name` of every run at or below the roots, and what is drawn in it, one row per mark.

    Options as in `results.tables.prepare`, and those of the figure's `compute`. Nothing where there is nothing to draw.
    """
    from results.tables import accepted_options, prepare

    module = plugins.load("results.plots", name)
    results, rng, options = prepare(roots, **options)
    drawn = module.compute(results, rng, **accepted_options(module.compute, options, f"figure '{name}'"))
    if drawn.empty:
        raise Nothing(f"No run among these has anything for the figure '{name}'.")
    return module.paint(drawn), drawn


def files(figure: Figure, drawn: pd.DataFrame, form: str) -> tuple[bytes, bytes]:
    """The contents of the figure's file and of the CSV beside it, exactly what is drawn. The same figure, the same bytes."""
    return encode(figure, form), drawn.to_csv(index=False, lineterminator="\n").encode()


def encode(figure: Figure, form: str) -> bytes:
    """The figure as a file's content. The same figure, the same bytes."""
    import matplotlib as mpl

    from results import style

    content = io.BytesIO()
    with mpl.rc_context(style.RC):  # fonts and identifiers are chosen when a file is written
        figure.savefig(content, format=form, metadata=METADATA[form])
    return content.getvalue()
