"""Robustness: heat maps of training noise x evaluation noise, and how the score falls with the noise's strength."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from results.reading.load import Results

COLUMNS = ["task", "panel", "kind", "series", "train_seed", "eval_noise", "x", "mean", "ci_low", "ci_high"]
COLUMNS += ["shade", "text", "mark", "axis", "note"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "policy", "variant"]
MOST_LINES = 4  # in one panel; more are split into one panel per ablation


def draw(results: Results, rng: np.random.Generator, **options: object) -> Figure:
    """Compute and paint in one call."""
    return paint(compute(results, rng, **options))


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """One row per mark of the figure with COLUMNS.

    kind: `cell` of a heat map (series: its row; shade: 0 to 1 over the task's cells; mark: why it is hatched),
    `curve` point with its interval, `seed` point of one training seed, `random` the score of random play.
    `x`: column of a heat map, strength or rank of the noise for curves. `axis`: what x is. `note`: the interval's name.
    """
    import pandas as pd

    from results.analyses import robustness
    from results.tables.robustness import make

    cells = make(results, rng, reps, confidence)
    seeds = robustness.seed_means(results)
    titled = titles(cells)
    rows = [*_heat(titled), *_curves(titled, seeds)]
    return pd.DataFrame(rows, columns=COLUMNS)


def paint(drawn: pd.DataFrame) -> Figure:
    """Two panels abreast, each as wide as a printed column; draws what `drawn` holds and nothing else."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from results import style
    from results.plots import _panels

    panels = [(kind, panel) for kind in ("cell", "curve") for panel in drawn[drawn.kind == kind].panel.unique()]
    columns = min(2, len(panels))
    heights = _panels.heights(drawn, panels, columns)
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(style.COLUMN * columns, sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).ravel()
        looks = style.colours(drawn[drawn.kind == "curve"].series.unique())
        for ax, (kind, panel) in zip(axes, panels, strict=False):
            marks = drawn[drawn.panel == panel]
            if kind == "cell":
                _panels.heat_map(ax, marks[marks.kind == "cell"], panel)
            else:
                task = drawn[(drawn.task == marks.task.iloc[0]) & (drawn.kind != "cell")]
                _panels.curves(ax, marks, panel, looks, task)
        for ax in axes[len(panels) :]:
            ax.remove()
        _panels.foot(figure, list(axes[: len(panels)]), _panels.caption(drawn, columns))
    return figure


def titles(cells: pd.DataFrame) -> pd.DataFrame:
    """Add `where`: the task and whatever else, beside ablation and noises, differs among the agents of one task."""
    agents = cells[cells.agent != "random"] if (cells.agent != "random").any() else cells
    varying = [name for name in ["agent", *SETTINGS] if agents.groupby("task")[name].nunique().max() > 1]
    where = [" · ".join(map(str, row)) for row in cells[["task", *varying]].itertuples(index=False)]
    return cells.assign(where=where)


def _heat(cells: pd.DataFrame) -> Iterator[dict]:
    """Per task, and whatever else differs, and ablation one map; the random agent is its last row where it was run."""
    from results import style
    from results.scoring.noises import noise_order

    for _, of_task in cells.groupby("task", sort=False):
        random = of_task[of_task.agent == "random"].drop_duplicates("eval_noise")
        agents = of_task[of_task.agent != "random"]
        low, span = of_task["mean"].min(), of_task["mean"].max() - of_task["mean"].min()
        noises = sorted(of_task.eval_noise.unique(), key=noise_order)
        for (where, ablation), panel in (agents if len(agents) else of_task).groupby(["where", "ablation"], sort=False):
            shown = panel.assign(series=panel.train_noise)
            beside = random.assign(series="random agent") if len(agents) else random.iloc[:0]
            for cell in [*shown.to_dict("records"), *beside.to_dict("records")]:
                shade = (cell["mean"] - low) / span if span > 0 else 0.5
                place = {"panel": f"{where}: {ablation}", "kind": "cell", "x": noises.index(cell["eval_noise"])}
                told = said(cell, of_task["mean"].abs().max())
                told["text"] *= len(noises) <= style.MOST_CELLS
                yield cell | place | told | {"shade": shade, "axis": "evaluation noise"}


def said(cell: dict, largest: float = 0, sign: str = "") -> dict[str, str]:
    """The text of a cell beside scores of up to `largest`, why it is marked, and the name of its interval."""
    flags = [flag.partition(":")[0] for flag in cell["flags"].split(";")]
    mark = "; ".join(flag.replace("_", " ") for flag in ("one_seed", "unfinished", "missing_cells") if flag in flags)
    half = (cell["ci_high"] - cell["ci_low"]) / 2
    digits = 0 if largest >= 100 else 1 if largest >= 10 else 2
    text = f"{cell['mean']:{sign}.{digits}f}\n± " + ("?" if half != half else f"{half:.{digits}f}")
    return {"text": text if cell["seeds"] else "not\ndone", "mark": mark, "note": cell["interval"]}


def _curves(cells: pd.DataFrame, seeds: pd.DataFrame) -> Iterator[dict]:
    """Per place and family of noise one panel, one series per ablation and training noise, clean as its first point."""
    from results.scoring.cells import KEY
    from results.scoring.noises import noise_family, noise_order

    lines = _series(cells[cells.agent != "random"])
    points = lines.merge(seeds.drop(columns=["mean", "episodes"]), on=KEY).drop(columns="mean")
    points = points.merge(seeds.drop(columns="episodes"), on=[*KEY, "train_seed"])
    for where, panel in lines.groupby("where", sort=False):
        noises = sorted(panel.eval_noise.unique(), key=noise_order)
        for family in dict.fromkeys(noise_family(noise) for noise in noises if noise != "clean"):
            tested = [noise for noise in noises if noise_family(noise) in ("clean", family)]
            strengths = _strengths_with_labels(tested)
            x = strengths or {noise: rank for rank, noise in enumerate(tested)}
            place = {"task": panel.task.iloc[0], "panel": f"{where}: {family}", "axis": "strength" if strengths else "order"}
            for kind, marks in (("seed", points), ("curve", lines)):
                chosen = marks[(marks["where"] == where) & marks.eval_noise.isin(tested)]
                for mark in chosen.to_dict("records"):
                    told = said(mark) if kind == "curve" else {}
                    yield mark | place | told | {"kind": kind, "x": float(x[mark["eval_noise"]]), "text": ""}
            if panel.random.notna().any():
                stored = " (stored score)" if panel.random_source.iloc[0] != "runs" else ""
                random = {"kind": "random", "series": "random agent" + stored, "mean": panel.random.iloc[0]}
                yield from (random | place | {"x": float(end)} for end in (min(x.values()), max(x.values())))


def _strengths_with_labels(noises: list[str]) -> dict[str, float] | None:
    """The strengths of the noises where an axis can show them as numbers that stay apart; else they are only ordered."""
    from results import style
    from results.scoring.noises import noise_strengths

    strengths = noise_strengths(noises)
    if not strengths or set(noises) - set(strengths) or not style.distinct(strengths.values()):
        return None
    noisy = [noise for noise in noises if noise != "clean"]
    return strengths if len(noisy) > 1 or style.setting(noisy[0], "strength") == f"{strengths[noisy[0]]:g}" else None


def _series(agents: pd.DataFrame) -> pd.DataFrame:
    """Name each line by what varies among them, and split panels by ablation where there would be too many lines."""
    lines = agents[["where", "ablation", "train_noise"]].drop_duplicates()
    split = len(lines) > 0 and lines.groupby("where").size().max() > MOST_LINES
    if split:
        agents = agents.assign(where=agents["where"] + ": " + agents.ablation)
    naming = [name for name in ("ablation", "train_noise") if agents[name].nunique() > 1 and not (split and name == "ablation")]
    named = agents[naming or ["train_noise"]]
    return agents.assign(series=[", ".join(row) for row in named.itertuples(index=False, name=None)])
