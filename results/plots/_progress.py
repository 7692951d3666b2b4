"""Aggregates over all tasks of a benchmark against environment frames: the panels of `learning` and `efficiency`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from results import style
from results.analyses import efficiency
from results.plots import _lines, _page
from results.reading import load
from results.reading.records import records
from results.scoring import run_scores

MOST_REPS = 2000  # replicates, enough for the ends of a band in a picture
NAMES = {"mean": "mean", "median": "median", "iqm": "IQM"}
MEANINGS = {"mean": "Mean: of task means. ", "median": "Median: of task means. ", "iqm": "IQM: of all runs pooled. "}


def compute_marks(
    results: load.Results, rng: np.random.Generator, reps: int, confidence: float, metrics: tuple[str, ...]
) -> pd.DataFrame:
    """The rows of `analyses.efficiency.table`, and x: the middle of the bin; unfinished: runs of the method not done; mark.

    mark: `tasks missing` where a bin lacks one of the method's tasks, `one run per task` where there is no interval.
    """
    table = efficiency.table(results, rng, min(reps, MOST_REPS), confidence, metrics)
    table = _page.require_rows(table, "training episodes of a task whose scores can be normalised")
    runs = results.runs.assign(method=run_scores.method_names(results.runs))
    unfinished = (~runs.done.astype(bool)).groupby([runs.benchmark, runs.method]).sum().rename("unfinished")
    table = table.merge(unfinished.reset_index(), how="left")
    words = np.select([~table.complete, table.ci_low.isna()], ["tasks missing", "one run per task"], "")
    return table.assign(x=(table.frames_low + table.frames) / 2, mark=words)


def paint(marks: pd.DataFrame) -> Figure:
    """A panel per benchmark and metric, a line with its band per method."""
    looks = style.looks_of(marks.method.unique())

    def paint_panel(ax: Axes, place: tuple[str, str]) -> None:
        benchmark, metric = place
        lines = marks[(marks.benchmark == benchmark) & (marks.metric == metric)]
        for name in style.in_figure_order(lines.method):
            _line(ax, lines[lines.method == name].sort_values("x"), looks[name].colour, name)
        ax.set(title=f"{benchmark}: {NAMES[metric]}", xlabel="environment frames", ylabel="normalised score")
        ax.set_xlim(0, lines.frames.max())
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.grid(axis="y", lw=0.3, alpha=0.6)

    panels = [(row["benchmark"], row["metric"]) for row in records(marks[["benchmark", "metric"]].drop_duplicates())]
    return _page.page(panels, paint_panel, _caption(marks), 2.1)


def _line(ax: Axes, line: pd.DataFrame, colour: str, name: str) -> None:
    """Solid over bins with every task of the method, dashed and hollow elsewhere; × at the end of an unfinished method."""
    ax.fill_between(line.x, line.ci_low, line.ci_high, color=colour, alpha=0.18, lw=0, label=f"_band {name}")
    words = line["mark"].where(line["mark"] == "tasks missing", "")
    shape = line.assign(**{"mean": line.value, "bin_low": line.frames_low, "bin_high": line.frames, "mark": words})
    _lines.mean_line(ax, shape, colour, name, 1.3)
    if line.unfinished.iloc[0]:
        end = line.iloc[-1]
        ax.plot(end.x, end.value, "x", color=colour, ms=5, mew=1.2, zorder=4, label=f"_unfinished {name}")


def _caption(marks: pd.DataFrame) -> str:
    last = marks.drop_duplicates(["benchmark", "method"])
    unfinished = [f"{row['method']} {row['unfinished']}" for row in records(last) if row["unfinished"]]
    alone = [f"{row['method']} on {row['benchmark']}" for row in records(last[last.ci_low.isna()])]
    whole = last.assign(runs=last.runs_of, tasks=last.tasks_of)
    return _page.sentences(
        _page.about_scores(whole),
        "".join(MEANINGS[metric] for metric in marks.metric.unique())
        + f"The score of a run in each of {efficiency.BINS} bins of frames is the mean of its training episodes that ended "
        "there; none is carried forward.",
        _page.about_bootstrap(marks, "Bands") if marks.ci_low.notna().any() else "",
        f"No band, one run per task: {', '.join(alone)}." if alone else "",
        "Dashed, hollow: not every task of the method has a run in the bin." if (~marks.complete).any() else "",
        f"×: end of a method with runs that are not done ({', '.join(unfinished)})." if unfinished else "",
    )
