"""RePo's constraint over training: the KL, its weight beta and the weighted violation, one line per run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results

QUANTITIES = {"repo/kl": "K, nats per step", "repo/beta": "beta", "repo/loss": "|beta (K - target)|"}
METRICS = tuple(QUANTITIES)
DASHES = ("--", "-", "-.", ":")
MOST_PANELS = 6  # in a row
COLUMNS = ["panel", "row", "series", "style", "run", "train_seed", "x", "value", "target"]


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """One row per run, log interval and quantity with COLUMNS. The options have no effect: nothing is random.

    panel: ablation and training noise, or the noise alone where these are many; row: one of QUANTITIES; series: the target;
    style: the dual's e-folds per run;
    x: gradient updates. The error is `Nothing` if no run has a RePo agent.
    """
    import pandas as pd

    from harness.errors import NothingToShow
    from results.reading import metrics
    from results.reading.records import records

    logged = metrics.logged_rows(results, METRICS, needed="repo/kl")
    if not len(logged):
        raise NothingToShow("None of these runs has metrics of RePo (agent.kl of kind repo).")
    tables = []
    runs = results.runs[results.runs.path.isin(logged.path)]
    names = ["ablation", "train_noise"] if len(runs.groupby(["ablation", "train_noise"])) <= MOST_PANELS else ["train_noise"]
    for run in records(runs.sort_values("path")):
        target = metrics.config_value(run["path"], "agent", "kl", "target")
        e_folds = metrics.config_value(run["path"], "agent", "kl", "dual", "e_folds")
        of_run = logged[logged.path == run["path"]]
        place = {"panel": ", ".join(run[name] for name in names), "series": f"target {target:g} nats"}
        place |= {"style": f"{e_folds:g} e-folds", "run": run["run"], "train_seed": run["train_seed"], "target": target}
        for name in QUANTITIES:
            tables.append(of_run.assign(**place, row=name, x=of_run.updates, value=of_run[name].abs())[COLUMNS])
    return pd.concat(tables, ignore_index=True)


def paint(marks: pd.DataFrame) -> Figure:
    """A column per panel, a row per quantity on a logarithmic scale. Dotted: the target of the KL."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from results import style
    from results.plots import _panels

    panels = list(marks.panel.unique())
    series = sorted(marks.series.unique(), key=lambda text: float(text.split()[1]))
    e_folds = sorted(marks["style"].unique(), key=lambda text: float(text.split()[0]))
    dashes = dict(zip(e_folds, DASHES, strict=False)) if len(e_folds) > 1 else {}
    colours = dict(zip(series, style.COLOURS, strict=False))
    with style.figure_style():
        figure = Figure(figsize=(max(2, len(panels)) * 2.3, 1.7 * len(QUANTITIES)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(QUANTITIES), len(panels), squeeze=False, sharex="col", sharey="row")
        for row, name in enumerate(QUANTITIES):
            for ax, panel in zip(axes[row], panels, strict=True):
                _lines(ax, marks[(marks.row == name) & (marks.panel == panel)], colours, dashes)
            axes[row][0].set_ylabel(QUANTITIES[name])
        for ax, panel in zip(axes[0], panels, strict=True):
            ax.set_title(panel.replace(", ", "\n", 1))
        for ax in axes[-1]:
            ax.set_xlabel("gradient updates")
        text = "Means over log intervals of single runs. Dotted: the target. The scale is logarithmic, to show a runaway."
        _panels.add_legend_and_caption(figure, list(axes[0]), textwrap.fill(text, 34 * max(2, len(panels))))
    return figure


def _lines(ax: Axes, marks: pd.DataFrame, colours: dict[str, str], dashes: dict[str, str]) -> None:
    """One line per run of a panel. colours: of targets; dashes: of e-folds, empty if all are the same."""
    from results.reading.records import tuple_groups

    for (label, e_folds, _), line in tuple_groups(marks, ["series", "style", "run"], sort=True):
        name = label + (f", {e_folds}" if dashes else "")
        ax.plot(line.x, line.value, dashes.get(e_folds, "-"), color=colours[label], lw=0.9, label=name)
    is_kl = bool((marks.row == "repo/kl").any())
    for target in marks.target.unique() if is_kl else ():
        ax.axhline(target, color=colours[f"target {target:g} nats"], lw=0.6, ls=":", label="_target")
    ax.set_yscale("log", nonpositive="mask")
    ax.grid(axis="y", lw=0.3, alpha=0.6)
