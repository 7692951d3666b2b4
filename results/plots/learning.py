"""Learning curves over all tasks: mean and median of normalised scores against environment frames, per method."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from results.reading.load import Results

METRICS = ("mean", "median")


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """The rows of `analyses.efficiency.table` for METRICS, with what `_progress.compute_marks` adds."""
    from results.plots import _progress

    return _progress.compute_marks(results, rng, reps, confidence, METRICS)


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per benchmark and metric, a line with its band per method."""
    from results.plots import _progress

    return _progress.paint(marks)
