"""Performance profiles: the share of runs whose normalised score is above each threshold, per method."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results


def compute(
    results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95, final: str | None = None
) -> pd.DataFrame:
    """The rows of `analyses.profile.table`, and mark: why a line is dashed."""
    from results.analyses import profile
    from results.plots import _page

    return _page.score_marks(profile.table(results, rng, reps, confidence, final))


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per benchmark, a line with its band per method."""
    from results import style
    from results.analyses import profile
    from results.plots import _page

    looks = style.looks_of(marks.method.unique())

    def paint_panel(ax: Axes, benchmark: str) -> None:
        lines = marks[marks.benchmark == benchmark]
        for name in style.in_figure_order(lines.method):
            line, colour = lines[lines.method == name], looks[name].colour
            dashes = (0, (4, 1.5)) if line["mark"].iloc[0] else "-"
            ax.fill_between(line.tau, line.ci_low, line.ci_high, color=colour, alpha=0.2, lw=0, label=f"_band {name}")
            ax.plot(line.tau, line.fraction, color=colour, ls=dashes, lw=1.2, label=name)
        ax.set(title=benchmark, xlabel="normalised score", ylabel="share of runs above", ylim=(-0.02, 1.02))
        last = lines[lines.fraction > 0].tau.max()  # beyond it all lines are zero
        ax.set_xlim(lines.tau.min(), lines[lines.tau > last].tau.min() if (lines.tau > last).any() else last)
        ax.grid(axis="y", lw=0.3, alpha=0.6)

    text = _page.sentences(
        _page.about_scores(marks),
        _page.about_bootstrap(marks, "Bands") if marks.ci_low.notna().any() else "",
        _page.about_incomplete(marks, "Dashed"),
        _page.about_flags(marks, "method", profile.FLAGS),
    )
    return _page.page(list(marks.benchmark.unique()), paint_panel, text, 2.1)
