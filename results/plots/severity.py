"""Severity small multiples: how the score falls with each noise's strength, one small panel per task and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

ABREAST = 4


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """The curves of the figure `robustness` over a noise with a strength, without their seeds, with row and family.

    row: task, and ablation where there are several; family: the noise; x: its strength. Nothing is random here.
    """
    import pandas as pd

    from results.plots import _page, robustness

    table = robustness.compute(results, rng, 1, confidence)
    table = table[table.kind.isin(["curve", "random"])]
    panels = [_by_strength(panel) for _, panel in table.groupby("panel", sort=False)]
    table = _page.needed(pd.concat([table.iloc[:0], *panels]), "evaluations under several strengths of one noise")
    split = table.panel.str.rsplit(": ", n=1)
    return table.assign(row=split.str[0], family=split.str[1]).reset_index(drop=True)


def _by_strength(panel: pd.DataFrame) -> pd.DataFrame:
    """The rows of one panel with the noise's strength as x; none where the noise has no strength."""
    from results.scoring.noises import noise_strengths

    strengths = noise_strengths(panel.eval_noise.dropna().unique())
    if not strengths:
        return panel.iloc[:0]
    panel = panel[panel.eval_noise.isna() | panel.eval_noise.isin(strengths)]
    ends = panel.x.map({panel.x.min(): 0.0, panel.x.max(): max(strengths.values())})  # of the line of random play
    return panel.assign(x=panel.eval_noise.map(strengths).astype(float).fillna(ends), axis="strength")


def paint(drawn: pd.DataFrame) -> Figure:
    """A row of small panels per task and ablation with one scale per task, a line per setting."""
    from results import style
    from results.plots import _page

    looks = style.colours(drawn[drawn.kind == "curve"].series.unique())
    abreast = max(2, min(ABREAST, drawn.family.nunique()))
    panels = _panels_in_rows(drawn, abreast)

    def panel(ax: Axes, place: tuple[str, str]) -> None:
        marks = drawn[(drawn.row == place[0]) & (drawn.family == place[1])]
        _panel(ax, marks, drawn[drawn.task == marks.task.iloc[0]], looks)
        first = panels.index(place) % abreast == 0
        ax.set_title(f"{place[0]}\n{place[1]}" if first else place[1], loc="left")
        ax.set(xlabel="severity" if "@" in "".join(marks.eval_noise.dropna()) else "strength")
        ax.set_ylabel("return per episode" if first else "")

    over = drawn[~drawn["mark"].fillna("").str.contains("one seed")]
    notes = ", ".join(name for name in over.note.dropna().unique() if name)
    text = _page.sentences(
        "Return per episode, mean over training seeds of per-seed means at the last checkpoint, against the strength of the "
        f"noise that it was tested with (0: clean); bars: {notes} interval, cut at the frame.",
        "Dashed: random play." if (drawn.kind == "random").any() else "",
        "Points of one strength are moved aside.",
        "Hollow: one trained model only (no bar: nothing is known of other training runs), or runs that are not done, left out."
        if drawn["mark"].fillna("").any()
        else "",
    )
    return _page.page(panels, panel, text, 1.75, abreast, 2 * style.COLUMN)


def _panels_in_rows(drawn: pd.DataFrame, abreast: int) -> list[tuple[str, str] | None]:
    """The panels of each row, filled up with None so that the next row starts at the left."""
    panels: list[tuple[str, str] | None] = []
    for row, own in drawn.groupby("row", sort=False):
        panels += [(row, family) for family in own.family.unique()]
        panels += [None] * (-len(panels) % abreast)
    return panels


def _panel(ax: Axes, marks: pd.DataFrame, task: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """Bars stand beside each other; the scale holds all means of the task and a third of their range beyond."""
    curves = marks[marks.kind == "curve"]
    names = list(curves.series.unique())
    apart = 0.03 * (marks.x.max() - marks.x.min())
    for i, name in enumerate(names):
        line, (colour, marker) = curves[curves.series == name].sort_values("x"), looks[name]
        x = line.x + apart * (i - (len(names) - 1) / 2)
        over = ~line["mark"].str.contains("one seed")
        ax.vlines(x[over], line.ci_low[over], line.ci_high[over], color=colour, lw=0.7, alpha=0.7, label=f"_interval {name}")
        ax.plot(x, line["mean"], color=colour, lw=1, label=name)
        for face, some in ((colour, line["mark"] == ""), ("white", line["mark"] != "")):
            ax.plot(x[some], line["mean"][some], marker, color=colour, mfc=face, ms=3, mew=0.7, label="_marks")
    for name, line in marks[marks.kind == "random"].groupby("series"):
        ax.plot(line.x, line["mean"], "--", color="black", lw=0.8, label=name)
    from results import style

    low, high = task["mean"].min(), task["mean"].max()
    room = (high - low) / 3 or 1
    ax.set_ylim(max(low - room, min(low, task.ci_low.min())), min(high + room, max(high, task.ci_high.max())))
    ax.set_xticks(style.ticks(curves.x))
    ax.grid(axis="y", lw=0.3, alpha=0.6)
