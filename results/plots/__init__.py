"""Figures. A file is a figure: `compute(results, rng, **options)` -> exactly what is drawn, `paint(drawn)` -> Figure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")


def build(name: str, roots: Iterable[Path | str], **options: Any) -> tuple[Figure, pd.DataFrame]:
    """The figure `name` of every run at or below the roots, and what is drawn in it, one row per mark.

    Options as in `results.tables.prepare`, and those of the figure's `compute`.
    """
    from results.tables import fitting, prepare

    module = plugins.load("results.plots", name)
    results, rng, options = prepare(roots, **options)
    drawn = module.compute(results, rng, **fitting(module.compute, options, f"figure '{name}'"))
    return module.paint(drawn), drawn
