"""Ablation forest: the change of each ablation against the baseline, per task and over all tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

SETTINGS = ["agent", "train_noise", "study", "preset", "size", "precision", "steps", "policy", "variant"]


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
    from results.reading.records import records

    table = ablations.table(results, confidence, final, baseline)
    table = table[(table.metric == ablations.SCORE) & table.delta.notna()]
    table = _page.require_rows(table, "both a baseline and an ablation with scores")
    varying = [name for name in SETTINGS if table.groupby("task")[name].nunique().max() > 1]  # else the panel's title says it
    settings = [", ".join(str(row[name]) for name in varying) for row in records(table)]
    rows = [f"{name} ({setting})" if varying else name for name, setting in zip(table.ablation, settings, strict=True)]
    return table.assign(
        row=rows, significant=table.p_holm < 1 - confidence, mark=_page.incomplete_marks(table["flags"])
    ).reset_index(drop=True)


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per task, that of all tasks last; a line per ablation and setting, a colour per ablation."""
    from results import style
    from results.analyses import ablations
    from results.plots import _forest, _page
    from results.reading.records import groups, records
    from results.tables._text import count_range

    looks = style.looks_of([marks.baseline.iloc[0], *marks.ablation.unique()])
    estimates = marks.assign(series=marks.ablation, value=marks.delta)
    estimates = estimates.sort_values(["ablation", "train_noise"], kind="stable")
    rows_of = {task: list(dict.fromkeys(group.row)) for task, group in groups(estimates, "task")}

    def paint_panel(ax: Axes, task: str) -> None:
        of_task, rows = estimates[estimates.task == task], rows_of[task]
        _forest.forest(ax, of_task, rows, looks, zero=0)
        for mark in records(of_task[of_task.significant]):
            end = mark["ci_high"], rows.index(mark["row"])
            ax.annotate("*", end, (2, -1), textcoords="offset points", va="center", fontsize=style.FONT + 1)
        ax.set(title=task, xlabel=f"{of_task.unit.iloc[0]}: ablation minus {marks.baseline.iloc[0]}")

    tasks = [*(task for task in marks.task.unique() if task != ablations.ALL), ablations.ALL]
    level = f"{1 - marks.confidence.iloc[0]:g} after Holm's correction for {int(marks.family.iloc[0])} contrasts."
    everywhere = " (all tasks: of the normalised score)" * bool((marks.task == ablations.ALL).any())
    n = f"n = {count_range(marks.seeds)} training runs of the ablation, {count_range(marks.seeds_baseline)} of the baseline"
    text = _page.sentences(
        f"Difference of mean return{everywhere} over training runs; {n}.",
        f"Final-score rule: {', '.join(dict.fromkeys(marks.final))}.",
        f"Bars: {_page.confidence(marks)} interval, Welch's t over training runs, unpaired.",
        f"*: p < {level}" if marks.significant.any() else f"No p is below {level}",
        "In parentheses: what else differs (training noise, ...)." if marks.row.ne(marks.ablation).any() else "",
        "An interval that contains zero is no evidence of no effect.",
        _page.about_incomplete(marks),
        _page.about_flags(marks, "row", ablations.FLAGS),
    )
    tall = max(map(_forest.height, rows_of.values()))
    return _page.page([task for task in tasks if task in rows_of], paint_panel, text, tall)
