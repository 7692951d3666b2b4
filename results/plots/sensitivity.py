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
    table = _page.needed(table[table.metric.isin(METRICS)], "a score that can be normalised")
    return table.assign(mark=_page.marks(table["flags"])).reset_index(drop=True)


def paint(drawn: pd.DataFrame) -> Figure:
    """A row of panels per benchmark, a panel per metric, a line per rule, a point per method; dotted: the rule in use."""
    from results import style
    from results.analyses import sensitivity
    from results.plots import _forest, _page
    from results.scoring import score_rules

    looks = style.colours(drawn.method.unique())
    rules = {name: _rules(drawn[drawn.benchmark == name], score_rules.NAMES) for name in drawn.benchmark.unique()}

    def panel(ax: Axes, place: tuple[str, str]) -> None:
        marks = drawn[(drawn.benchmark == place[0]) & (drawn.metric == place[1])]
        shown = {name: looks[name] for name in style.ordered(marks.method)}
        rows = marks.assign(row=marks.final.map(rules[place[0]]), series=marks.method)
        _forest.forest(ax, rows, list(rules[place[0]].values()), shown, named=place[1] == METRICS[0])
        for mark in marks[marks.default].to_dict("records"):
            colour = looks[mark["method"]][0]
            ax.axvline(mark["value"], color=colour, lw=0.7, ls=":", label=f"_default {mark['method']}", zorder=1)
        _forest.legend(ax, shown)
        ax.set(title=f"{place[0]}: {NAMES[place[1]]}", xlabel="normalised score")

    text = _page.sentences(
        _page.about(drawn.drop(columns="final")),
        "Final-score rule: one per line; dotted: by the benchmark's own rule (*).",
        _page.bootstrap(drawn) if drawn.ci_low.notna().any() else "",
        _page.hollow(drawn),
        _page.flagged(_by_rule(drawn), "method", sensitivity.FLAGS),
    )
    panels = [(benchmark, metric) for benchmark in rules for metric in METRICS]
    most = drawn.groupby("benchmark").method.nunique()
    heights = [_forest.height(list(names), int(most[benchmark])) for benchmark, names in rules.items()]
    return _page.page(panels, panel, text, heights)


def _rules(marks: pd.DataFrame, order: tuple[str, ...]) -> dict[str, str]:
    """Rule -> its name at the axis, in their usual order."""
    usual = set(marks[marks.default].final)
    return {rule: rule + " *" * (rule in usual) for rule in order if rule in set(marks.final)}


def _by_rule(drawn: pd.DataFrame) -> pd.DataFrame:
    """The flags without their counts, which differ from rule to rule; the table has them."""
    bare = drawn["flags"].map(lambda text: ";".join(flag.partition(":")[0] for flag in text.split(";")))
    return drawn.assign(flags=bare)
