"""Severity: the score against the strength of each noise, one small panel per task and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results import style
    from results.reading.load import Results

COLUMNS = 4  # of panels


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """The curves of the figure `robustness` over a noise with a strength, without their seeds, with row and family.

    row: task, and ablation if there are several; family: the noise; x: its strength. Nothing is random here.
    """
    import pandas as pd

    from results.plots import _page, robustness
    from results.reading.records import groups

    table = robustness.compute(results, rng, 1, confidence)
    table = table[table.kind.isin(["curve", "random"])]
    panels = [_by_strength(panel) for _, panel in groups(table, "panel")]
    table = _page.require_rows(pd.concat([table.iloc[:0], *panels]), "evaluations under several strengths of one noise")
    split = table.panel.str.rsplit(": ", n=1)
    return table.assign(row=split.str[0], family=split.str[1]).reset_index(drop=True)


def _by_strength(panel: pd.DataFrame) -> pd.DataFrame:
    """The rows of one panel with the strength of the noise as x; none if it has no strength."""
    from results.scoring.noises import noise_strengths

    strengths = noise_strengths(panel.eval_noise.dropna().unique())
    if not strengths:
        return panel.iloc[:0]
    panel = panel[panel.eval_noise.isna() | panel.eval_noise.isin(strengths)]
    ends = panel.x.map({panel.x.min(): 0.0, panel.x.max(): max(strengths.values())})  # of the line of random play
    return panel.assign(x=panel.eval_noise.map(strengths).astype(float).fillna(ends), axis="strength")


def paint(marks: pd.DataFrame) -> Figure:
    """A row of small panels per task and ablation with one scale per task, a line per setting."""
    from results import style
    from results.plots import _page

    looks = style.looks_of(marks[marks.kind == "curve"].series.unique())
    columns = max(2, min(COLUMNS, marks.family.nunique()))
    panels = _panels_in_rows(marks, columns)

    def paint_panel(ax: Axes, place: tuple[str, str]) -> None:
        row, family = place
        of_panel = marks[(marks.row == row) & (marks.family == family)]
        _panel(ax, of_panel, marks[marks.task == of_panel.task.iloc[0]], looks)
        is_first = panels.index(place) % columns == 0
        ax.set_title(f"{row}\n{family}" if is_first else family, loc="left")
        ax.set(xlabel="severity" if "@" in "".join(of_panel.eval_noise.dropna()) else "strength")
        ax.set_ylabel("return per episode" if is_first else "")

    over_seeds = marks[~marks["mark"].fillna("").str.contains("one seed")]
    intervals = ", ".join(name for name in over_seeds.note.dropna().unique() if name)
    text = _page.sentences(
        "Return per episode, mean over training seeds of per-seed means at the last checkpoint, against the strength of the "
        f"evaluation noise (0: clean). Bars: {intervals} interval, cut at the frame.",
        "Dashed: random play." if (marks.kind == "random").any() else "",
        "Points of one strength are moved aside.",
        "Hollow: one trained model only (no bar: other training runs are unknown), or runs that are not done, left out."
        if marks["mark"].fillna("").any()
        else "",
    )
    return _page.page(panels, paint_panel, text, 1.75, columns, 2 * style.COLUMN)


def _panels_in_rows(marks: pd.DataFrame, columns: int) -> list[tuple[str, str] | None]:
    """The panels of each row, filled up with None so that the next row starts at the left."""
    from results.reading.records import groups

    panels: list[tuple[str, str] | None] = []
    for row, of_row in groups(marks, "row"):
        panels += [(row, family) for family in of_row.family.unique()]
        panels += [None] * (-len(panels) % columns)
    return panels


def _panel(ax: Axes, marks: pd.DataFrame, task: pd.DataFrame, looks: style.Looks) -> None:
    """The bars of one strength stand side by side. The scale spans the means of the task and a third of their range."""
    from results import style
    from results.reading.records import groups

    curves = marks[marks.kind == "curve"]
    names = list(curves.series.unique())
    step = 0.03 * (marks.x.max() - marks.x.min())
    for i, name in enumerate(names):
        line, (colour, marker) = curves[curves.series == name].sort_values("x"), looks[name]
        line = line.assign(x=line.x + step * (i - (len(names) - 1) / 2))
        bars = line[~line["mark"].str.contains("one seed")]
        ax.vlines(bars.x, bars.ci_low, bars.ci_high, color=colour, lw=0.7, alpha=0.7, label=f"_interval {name}")
        ax.plot(line.x, line["mean"], color=colour, lw=1, label=name)
        for face, points in ((colour, line[line["mark"] == ""]), ("white", line[line["mark"] != ""])):
            ax.plot(points.x, points["mean"], marker, color=colour, mfc=face, ms=3, mew=0.7, label="_marks")
    for name, line in groups(marks[marks.kind == "random"], "series", sort=True):
        ax.plot(line.x, line["mean"], "--", color=style.REFERENCE, lw=0.8, label=name)
    low, high = task["mean"].min(), task["mean"].max()
    room = (high - low) / 3 or 1
    ax.set_ylim(max(low - room, min(low, task.ci_low.min())), min(high + room, max(high, task.ci_high.max())))
    ax.set_xticks(style.labelled_ticks(curves.x))
    ax.grid(axis="y", lw=0.3, alpha=0.6)
