"""Robustness: heat maps of training noise x evaluation noise, and the score against the strength of the noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results
    from results.reading.records import Record

COLUMNS = ["task", "panel", "kind", "series", "train_seed", "eval_noise", "x", "mean", "ci_low", "ci_high"]
COLUMNS += ["shade", "text", "mark", "axis", "note"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "policy", "variant"]
MOST_LINES = 4  # in one panel; with more, every ablation has its own panel


def compute(results: Results, rng: np.random.Generator, reps: int = 50_000, confidence: float = 0.95) -> pd.DataFrame:
    """One row per mark of the figure with COLUMNS.

    kind: `cell` of a heat map (series: its row; shade: 0 to 1 over the task's cells; mark: why it is hatched),
    `curve` point with its interval, `seed` point of one training seed, `random` the score of random play.
    `x`: column of a heat map, strength or rank of the noise for curves. `axis`: what x is. `note`: the interval's name.
    """
    import pandas as pd

    from results.analyses import robustness
    from results.tables.robustness import make

    cells = with_settings(make(results, rng, reps, confidence))
    rows = [*_heat_map_cells(cells), *_curves(cells, robustness.seed_means(results))]
    return pd.DataFrame(rows, columns=COLUMNS)


def paint(marks: pd.DataFrame) -> Figure:
    """Two panels in a row, each as wide as a printed column: first the heat maps, then the curves."""
    from results import style
    from results.plots import _page, _panels

    panels = [(kind, panel) for kind in ("cell", "curve") for panel in marks[marks.kind == kind].panel.unique()]
    looks = style.looks_of(marks[marks.kind == "curve"].series.unique())

    def paint_panel(ax: Axes, place: tuple[str, str]) -> None:
        kind, panel = place
        of_panel = marks[marks.panel == panel]
        if kind == "cell":
            _panels.heat_map(ax, of_panel[of_panel.kind == "cell"], panel)
        else:
            task = marks[(marks.task == of_panel.task.iloc[0]) & (marks.kind != "cell")]
            _panels.curves(ax, of_panel, panel, looks, task)

    heights = _panels.row_heights(marks, panels, min(2, len(panels)))
    return _page.page(panels, paint_panel, _panels.caption(marks), heights)


def with_settings(cells: pd.DataFrame) -> pd.DataFrame:
    """Add `where`: the task, and the settings in which the agents of one task differ, beside ablation and noises."""
    agents = cells[cells.agent != "random"] if (cells.agent != "random").any() else cells
    varying = [name for name in ["agent", *SETTINGS] if agents.groupby("task")[name].nunique().max() > 1]
    where = [" · ".join(map(str, row)) for row in cells[["task", *varying]].itertuples(index=False)]
    return cells.assign(where=where)


def _heat_map_cells(cells: pd.DataFrame) -> Iterator[Record]:
    """One map per setting and ablation. The random agent, if it was run, is its last row."""
    from results import style
    from results.reading.records import groups, records, tuple_groups
    from results.scoring.noises import noise_order

    for _, of_task in groups(cells, "task"):
        random = of_task[of_task.agent == "random"].drop_duplicates("eval_noise")
        agents = of_task[of_task.agent != "random"]
        low, span = of_task["mean"].min(), of_task["mean"].max() - of_task["mean"].min()
        largest = of_task["mean"].abs().max()
        noises = sorted(of_task.eval_noise.unique(), key=noise_order)
        for (where, ablation), panel in tuple_groups(agents if len(agents) else of_task, ["where", "ablation"]):
            rows = records(panel.assign(series=panel.train_noise))
            rows += records(random.assign(series="random agent")) if len(agents) else []
            for cell in rows:
                shade = (cell["mean"] - low) / span if span > 0 else 0.5
                place = {"panel": f"{where}: {ablation}", "kind": "cell", "x": noises.index(cell["eval_noise"])}
                text = cell_text(cell, largest) if len(noises) <= style.MOST_CELLS else ""
                mark = {"text": text, "mark": cell_mark(cell), "note": cell["interval"]}
                yield cell | place | mark | {"shade": shade, "axis": "evaluation noise"}


def cell_text(cell: Record, largest: float, sign: str = "") -> str:
    """Mean and half width of a cell, with decimals for scores of up to `largest`."""
    if not cell["seeds"]:
        return "not\ndone"
    half = (cell["ci_high"] - cell["ci_low"]) / 2
    decimals = 0 if largest >= 100 else 1 if largest >= 10 else 2
    return f"{cell['mean']:{sign}.{decimals}f}\n± " + ("?" if half != half else f"{half:.{decimals}f}")


def cell_mark(cell: Record) -> str:
    """`one seed; unfinished`: the flags that make a mark hatched or hollow; '' for most."""
    flags = [flag.partition(":")[0] for flag in cell["flags"].split(";")]
    return "; ".join(flag.replace("_", " ") for flag in ("one_seed", "unfinished", "missing_cells") if flag in flags)


def _curves(cells: pd.DataFrame, seeds: pd.DataFrame) -> Iterator[Record]:
    """One panel per setting and family of noise, one series per ablation and training noise; clean is its first point."""
    from results.reading.records import groups
    from results.scoring.cells import KEY
    from results.scoring.noises import noise_family, noise_order

    lines = _with_series(cells[cells.agent != "random"])
    points = lines.merge(seeds.drop(columns=["mean", "episodes"]), on=KEY).drop(columns="mean")
    points = points.merge(seeds.drop(columns="episodes"), on=[*KEY, "train_seed"])
    for where, panel in groups(lines, "where"):
        noises = sorted(panel.eval_noise.unique(), key=noise_order)
        for family in dict.fromkeys(noise_family(noise) for noise in noises if noise != "clean"):
            of_family = [noise for noise in noises if noise_family(noise) in ("clean", family)]
            yield from _family_curves(panel, points[points["where"] == where], f"{where}: {family}", of_family)


def _family_curves(lines: pd.DataFrame, points: pd.DataFrame, panel: str, noises: list[str]) -> Iterator[Record]:
    """The marks of one panel: single seeds, curves, and random play. noises: those of its axis, in order."""
    from results.reading.records import records

    strengths = _strengths_with_labels(noises)
    x = strengths or {noise: float(rank) for rank, noise in enumerate(noises)}
    place = {"task": lines.task.iloc[0], "panel": panel, "axis": "strength" if strengths else "order"}
    for cell in records(points[points.eval_noise.isin(noises)]):
        yield cell | place | {"kind": "seed", "x": float(x[cell["eval_noise"]]), "text": ""}
    for cell in records(lines[lines.eval_noise.isin(noises)]):
        mark = {"mark": cell_mark(cell), "note": cell["interval"], "text": ""}
        yield cell | place | mark | {"kind": "curve", "x": float(x[cell["eval_noise"]])}
    if lines.random.notna().any():
        source = " (stored score)" if lines.random_source.iloc[0] != "runs" else ""
        random = {"kind": "random", "series": "random agent" + source, "mean": lines.random.iloc[0]}
        yield from (random | place | {"x": float(end)} for end in (min(x.values()), max(x.values())))


def _strengths_with_labels(noises: list[str]) -> dict[str, float] | None:
    """The strengths of the noises, if an axis can show them as numbers that stay apart; else None: they are only ordered."""
    from results import style
    from results.scoring.noises import noise_strengths

    strengths = noise_strengths(noises)
    if not strengths or set(noises) - set(strengths) or not style.are_apart(strengths.values()):
        return None
    noisy = [noise for noise in noises if noise != "clean"]
    return strengths if len(noisy) > 1 or style.setting_label(noisy[0], "strength") == f"{strengths[noisy[0]]:g}" else None


def _with_series(agents: pd.DataFrame) -> pd.DataFrame:
    """Name each line by the axes that vary, and split panels by ablation if there would be too many lines."""
    lines = agents[["where", "ablation", "train_noise"]].drop_duplicates()
    split = len(lines) > 0 and lines.groupby("where").size().max() > MOST_LINES
    if split:
        agents = agents.assign(where=agents["where"] + ": " + agents.ablation)
    naming = [name for name in ("ablation", "train_noise") if agents[name].nunique() > 1 and not (split and name == "ablation")]
    axes = agents[naming or ["train_noise"]]
    return agents.assign(series=[", ".join(row) for row in axes.itertuples(index=False, name=None)])
