"""RePo's constraint over training: the KL, its weight beta and the weighted violation, one line per run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from results.reading.load import Results

SHOWN = {"repo/kl": "K, nats per step", "repo/beta": "beta", "repo/loss": "|beta (K - target)|"}
METRICS = tuple(SHOWN)
MOST_PANELS = 6  # abreast
COLUMNS = ["panel", "row", "series", "style", "run", "train_seed", "x", "value", "target"]


def draw(results: Results, rng: np.random.Generator, **options: object) -> Figure:
    """Compute and paint in one call."""
    return paint(compute(results, rng, **options))


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """One row per run, log interval and quantity with COLUMNS. Nothing is random here; the options change nothing.

    panel: ablation and training noise, or the noise alone where these are many; row: one of SHOWN; series: the target;
    style: the dual's e-folds per run;
    x: gradient updates. Raises Nothing where no run has a RePo agent.
    """
    import pandas as pd

    from harness.errors import Nothing
    from results.reading import metrics

    logged = metrics.logged_rows(results, METRICS, needed="repo/kl")
    if not len(logged):
        raise Nothing("None of these runs has metrics of RePo (agent.kl of kind repo).")
    marks = []
    chosen = results.runs[results.runs.path.isin(logged.path)]
    names = ["ablation", "train_noise"] if len(chosen.groupby(["ablation", "train_noise"])) <= MOST_PANELS else ["train_noise"]
    for run in chosen.sort_values("path").to_dict("records"):
        target = metrics.config_value(run["path"], "agent", "kl", "target")
        folds = metrics.config_value(run["path"], "agent", "kl", "dual", "e_folds")
        own = logged[logged.path == run["path"]]
        place = {"panel": ", ".join(run[name] for name in names), "series": f"target {target:g} nats"}
        place |= {"style": f"{folds:g} e-folds", "run": run["run"], "train_seed": run["train_seed"], "target": target}
        for name in SHOWN:
            marks.append(own.assign(**place, row=name, x=own.updates, value=own[name].abs())[COLUMNS])
    return pd.concat(marks, ignore_index=True)


def paint(drawn: pd.DataFrame) -> Figure:
    """A column per panel, a row per quantity on a logarithmic scale; dashed where the KL should be."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from results import style
    from results.plots import _panels

    panels, series = list(drawn.panel.unique()), sorted(drawn.series.unique(), key=lambda text: float(text.split()[1]))
    dashes = dict(zip(sorted(drawn["style"].unique(), key=lambda text: float(text.split()[0])), STYLES, strict=False))
    dashes = dashes if len(dashes) > 1 else {}
    colours = dict(zip(series, style.COLOURS, strict=False))
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(max(2, len(panels)) * 2.3, 1.7 * len(SHOWN)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(SHOWN), len(panels), squeeze=False, sharex="col", sharey="row")
        for row, name in enumerate(SHOWN):
            for ax, panel in zip(axes[row], panels, strict=True):
                marks = drawn[(drawn.row == name) & (drawn.panel == panel)]
                for (label, dash, _), line in marks.groupby(["series", "style", "run"]):
                    shown = label + (f", {dash}" if len(dashes) > 1 else "")
                    ax.plot(line.x, line.value, dashes.get(dash, "-"), color=colours[label], lw=0.9, label=shown)
                for target in marks.target.unique() if name == "repo/kl" else ():
                    ax.axhline(target, color=colours[f"target {target:g} nats"], lw=0.6, ls=":", label="_target")
                ax.set_yscale("log", nonpositive="mask")
                ax.grid(axis="y", lw=0.3, alpha=0.6)
            axes[row][0].set_ylabel(SHOWN[name])
        for ax, panel in zip(axes[0], panels, strict=True):
            ax.set_title(panel.replace(", ", "\n", 1))
        for ax in axes[-1]:
            ax.set_xlabel("gradient updates")
        text = "Means over log intervals of single runs; dotted: the target. The scale is logarithmic, so that a runaway shows."
        _panels.foot(figure, list(axes[0]), textwrap.fill(text, 34 * max(2, len(panels))))
    return figure


STYLES = ("--", "-", "-.", ":")
