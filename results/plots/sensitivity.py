"""Final-rule sensitivity: the same aggregates of the same runs under every final-score rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

METRICS = ("mean", "iqm")
NAMES = {"mean": "mean", "iqm": "IQM"}


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """The rows of `analyses.sensitivity.table` for METRICS, and mark: why a point is hollow."""
    from results.analyses import sensitivity
    from results.plots import _page

    table = sensitivity.table(results, rng, reps, confidence)
    return _page.score_marks(table, METRICS)


def paint(marks: pd.DataFrame) -> Figure:
    """A row of panels per benchmark, a panel per metric, a line per rule, a point per method. Dotted: the default rule."""
    from results import style
    from results.analyses import sensitivity
    from results.plots import _forest, _page
    from results.reading.records import records
    from results.scoring import score_rules

    looks = style.looks_of(marks.method.unique())
    rules = {name: _rules(marks[marks.benchmark == name], score_rules.NAMES) for name in marks.benchmark.unique()}

    def paint_panel(ax: Axes, place: tuple[str, str]) -> None:
        estimates = marks[(marks.benchmark == place[0]) & (marks.metric == place[1])]
        panel_looks = {name: looks[name] for name in style.in_figure_order(estimates.method)}
        rows = estimates.assign(row=estimates.final.map(rules[place[0]]), series=estimates.method)
        _forest.forest(ax, rows, list(rules[place[0]].values()), panel_looks, with_names=place[1] == METRICS[0])
        for mark in records(estimates[estimates.default]):
            colour = looks[mark["method"]].colour
            ax.axvline(mark["value"], color=colour, lw=0.7, ls=":", label=f"_default {mark['method']}", zorder=1)
        _forest.add_legend_entries(ax, panel_looks)
        ax.set(title=f"{place[0]}: {NAMES[place[1]]}", xlabel="normalised score")

    text = _page.sentences(
        _page.about_scores(marks.drop(columns="final")),
        "Final-score rule: one per line. Dotted: the score by the default rule of the benchmark (*).",
        _page.about_bootstrap(marks) if marks.ci_low.notna().any() else "",
        _page.about_incomplete(marks),
        _page.about_flags(_by_rule(marks), "method", sensitivity.FLAGS),
    )
    panels = [(benchmark, metric) for benchmark in rules for metric in METRICS]
    methods = marks.groupby("benchmark").method.nunique()
    heights = [_forest.height(list(names), int(methods[benchmark])) for benchmark, names in rules.items()]
    return _page.page(panels, paint_panel, text, heights)


def _rules(marks: pd.DataFrame, order: tuple[str, ...]) -> dict[str, str]:
    """Rule -> its name at the axis, in the order of the registry; `*` marks the default."""
    defaults = set(marks[marks.default].final)
    return {rule: rule + " *" * (rule in defaults) for rule in order if rule in set(marks.final)}


def _by_rule(marks: pd.DataFrame) -> pd.DataFrame:
    """The marks with flags that have no counts: those differ from rule to rule, and the table has them."""
    flags = marks["flags"].map(lambda text: ";".join(flag.partition(":")[0] for flag in text.split(";")))
    return marks.assign(flags=flags)
