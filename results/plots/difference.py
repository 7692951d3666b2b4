"""Difference maps: the effect of training under noise, and of each ablation, under every evaluation noise."""

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
    from results.scoring.cells import ScoreCell

COLUMNS = ["task", "panel", "series", "ablation", "train_noise", "eval_noise", "x", "delta", "ci_low", "ci_high", "p"]
COLUMNS += ["seeds", "seeds_reference", "excludes_zero", "shade", "text", "mark", "confidence"]


def compute(
    results: Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    baseline: str | None = None,
) -> pd.DataFrame:
    """One row per cell with COLUMNS. Nothing is random here.

    delta: mean return over training runs minus that of the reference under the same evaluation noise, with Welch's t
    interval over training runs, unpaired. References: the same agent trained clean, and the ablation `baseline` (default
    none) trained alike. seeds: training runs on both sides. shade: 0 to 1, 0.5 is no difference, one scale per task.
    """
    import pandas as pd

    from harness.errors import unknown
    from results.plots import _page
    from results.scoring.cells import select_cells

    cells = [cell for cell in select_cells(results) if cell.seeds and cell.key["agent"] != "random"]
    baseline = baseline or "none"
    if cells and baseline not in (ablations := sorted({cell.key["ablation"] for cell in cells})):
        raise unknown("baseline ablation", baseline, ablations)
    references = {"train_noise": "clean"}, {"ablation": baseline}
    rows = pd.DataFrame([row for reference in references for row in _rows(cells, reference, confidence)])
    table = _page.require_rows(rows, "evaluations both of a training noise or ablation and of its reference")
    return _with_places(table)[COLUMNS]


def paint(marks: pd.DataFrame) -> Figure:
    """A map per comparison: rows are training noises, columns evaluation noises."""
    from results import style
    from results.plots import _page, _panels
    from results.reading.records import groups, records
    from results.tables._text import count_range

    panels = list(marks.panel.unique())

    def paint_panel(ax: Axes, name: str) -> None:
        cells = _panels.with_places(marks[marks.panel == name])
        _panels.heat_map(ax, cells, name, style.DIVERGING)
        for cell in records(cells[cells.excludes_zero]):
            ax.plot(cell["column"], cell["row"] - 0.36 * bool(cell["text"]), "k.", ms=3, label="_excludes zero")

    largest = ", ".join(f"{task} ± {_limit(rows):.3g}" for task, rows in groups(marks, "task", sort=True))
    text = _page.sentences(
        "Difference of mean return per episode over training runs (last checkpoint) from the reference under the same "
        f"evaluation noise. Blue: more, red: less, to {largest}.",
        f"n = {count_range([*marks.seeds, *marks.seeds_reference])} training runs on each side.",
        f"{'±: half' if marks.text.any() else 'Dots: of'} the {_page.confidence(marks)} interval, Welch's t over training "
        "runs, unpaired. A dot: the interval excludes zero, not corrected for the number of cells.",
        "Hatched: one trained model on a side (no interval, no claim about the method), or runs that are not done, left out."
        if marks["mark"].any()
        else "",
    )
    heights = _panels.row_heights(marks.assign(kind="cell"), [("cell", name) for name in panels], min(2, len(panels)))
    return _page.page(panels, paint_panel, text, heights)


def _rows(cells: list[ScoreCell], reference: dict[str, str], confidence: float) -> Iterator[Record]:
    """Every cell minus its reference, the cell that differs only in the axis of `reference` and has its value there."""
    from results.scoring.cells import KEY
    from results.statistics import contrasts

    cell_named = {cell.name: cell for cell in cells}
    ((axis, base),) = reference.items()
    for cell in cells:
        other = cell_named.get(tuple(base if key == axis else cell.key[key] for key in KEY))
        if cell.key[axis] == base or other is None:
            continue
        contrast = contrasts.unpaired(cell.seed_means, other.seed_means, confidence)
        ablation = cell.key["ablation"]
        yield cell.key | {
            **{"seeds": len(cell.seeds), "seeds_reference": len(other.seeds), "confidence": confidence, "kind": axis},
            **{"delta": contrast.delta, "ci_low": contrast.low, "ci_high": contrast.high, "p": contrast.p},
            "flags": ";".join(filter(None, [cell.flag_text(), other.flag_text()])),
            "title": f"{ablation}: noisy minus clean training" if axis == "train_noise" else f"{ablation} minus {base}",
        }


def _with_places(table: pd.DataFrame) -> pd.DataFrame:
    """The table in reading order with panel, series, x, shade, text and mark."""
    from results import style
    from results.plots import robustness
    from results.reading.records import groups, records
    from results.scoring.noises import noise_order

    table = robustness.with_settings(table)
    table = style.in_reading_order(table, ["where", "kind", "ablation", "train_noise", "eval_noise"])
    noises = {task: sorted(rows.eval_noise.unique(), key=noise_order) for task, rows in groups(table, "task")}
    limits = {task: _limit(rows) for task, rows in groups(table, "task")}
    rows = records(table)

    def text(row: Record) -> str:
        if len(noises[row["task"]]) > style.MOST_CELLS:
            return ""
        return robustness.cell_text(row | {"mean": row["delta"]}, limits[row["task"]], "+")

    return table.assign(
        panel=table["where"] + ": " + table.title,
        series=table.train_noise,
        x=[noises[row["task"]].index(row["eval_noise"]) for row in rows],
        shade=[0.5 + 0.5 * row["delta"] / limits[row["task"]] for row in rows],
        text=[text(row) for row in rows],
        mark=[robustness.cell_mark(row) for row in rows],
        excludes_zero=(table.ci_low > 0) | (table.ci_high < 0),
    ).reset_index(drop=True)


def _limit(rows: pd.DataFrame) -> float:
    """The largest absolute difference, the end of the colour scale."""
    return float(rows.delta.abs().max()) or 1.0
