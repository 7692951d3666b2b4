"""Ablation forest: what each ablation changes against the baseline, per task and over all tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

NAMING = ["agent", "train_noise", "study", "preset", "size", "precision", "steps", "policy", "variant"]


def compute(
    results: Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    final: str | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """The score rows of `analyses.ablations.table` with row, and mark: why a point is hollow. Nothing is random here.

    row: the ablation and what else differs among the settings of a task. significant: p_holm is below 1 - confidence.
    """
    from results.analyses import ablations
    from results.plots import _page

    table = ablations.table(results, confidence, final, baseline)
    table = table[(table.metric == ablations.SCORE) & table.delta.notna()]
    table = _page.needed(table, "both a baseline and an ablation with scores")
    varying = [name for name in NAMING if table.groupby("task")[name].nunique().max() > 1]  # else the panel's title says it
    rows = [f"{row[0]} ({', '.join(map(str, row[1:]))})" if varying else row[0] for row in table[["ablation", *varying]].values]
    return table.assign(row=rows, significant=table.p_holm < 1 - confidence, mark=_page.marks(table["flags"])).reset_index(
        drop=True
    )


def paint(drawn: pd.DataFrame) -> Figure:
    """A panel per task, that of all tasks last; a line per ablation and setting, a colour per ablation."""
    from results import style
    from results.analyses import ablations
    from results.plots import _forest, _page

    looks = style.colours([drawn.baseline.iloc[0], *drawn.ablation.unique()])
    marks = drawn.assign(series=drawn.ablation, value=drawn.delta)
    marks = marks.sort_values(["ablation", "train_noise"], kind="stable")
    rows_of = {task: list(dict.fromkeys(own.row)) for task, own in marks.groupby("task")}

    def panel(ax: Axes, task: str) -> None:
        own, rows = marks[marks.task == task], rows_of[task]
        _forest.forest(ax, own, rows, looks, zero=0)
        for mark in own[own.significant].to_dict("records"):
            beside = {"xytext": (2, -1), "textcoords": "offset points", "va": "center"}
            ax.annotate("*", (mark["ci_high"], rows.index(mark["row"])), fontsize=style.FONT + 1, **beside)
        ax.set(title=task, xlabel=f"{own.unit.iloc[0]}: ablation minus {drawn.baseline.iloc[0]}")

    tasks = [*(task for task in drawn.task.unique() if task != ablations.ALL), ablations.ALL]
    level = f"{1 - drawn.confidence.iloc[0]:g} after Holm's correction for {int(drawn.family.iloc[0])} contrasts."
    everywhere = " (all tasks: of the normalised score)" * bool((drawn.task == ablations.ALL).any())
    n = f"n = {_page.counted(drawn.seeds)} training runs of the ablation, {_page.counted(drawn.seeds_baseline)} of the baseline"
    text = _page.sentences(
        f"Difference of mean return{everywhere} over training runs; {n}.",
        f"Final-score rule: {', '.join(dict.fromkeys(drawn.final))}.",
        f"Bars: {_page.confidence(drawn)} interval, Welch's t over training runs, unpaired.",
        f"*: p < {level}" if drawn.significant.any() else f"No p is below {level}",
        "In parentheses: what else differs (training noise, ...)." if drawn.row.ne(drawn.ablation).any() else "",
        "An interval that holds zero is no evidence of no effect.",
        _page.hollow(drawn),
        _page.flagged(drawn, "row", ablations.FLAGS),
    )
    tall = max(map(_forest.height, rows_of.values()))
    return _page.page([task for task in tasks if task in rows_of], panel, text, tall)
