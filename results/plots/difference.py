"""Difference maps: what training under noise, and what each ablation, changes under every evaluation noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.reading.load import Results
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
    if cells and baseline not in (known := sorted({cell.key["ablation"] for cell in cells})):
        raise unknown("baseline ablation", baseline, known)
    references = {"train_noise": "clean"}, {"ablation": baseline}
    rows = pd.DataFrame([row for reference in references for row in _rows(cells, reference, confidence)])
    table = _page.needed(rows, "evaluations both of a training noise or ablation and of what it departs from")
    return _placed(table)[COLUMNS]


def paint(drawn: pd.DataFrame) -> Figure:
    """A map per comparison: rows are training noises, columns evaluation noises."""
    from results import style
    from results.plots import _page, _panels

    panels = list(drawn.panel.unique())

    def panel(ax: Axes, name: str) -> None:
        cells = drawn[drawn.panel == name]
        _panels.heat_map(ax, cells, name, style.DIVERGING)
        for cell in cells[cells.excludes_zero].to_dict("records"):
            y = list(cells.series.unique()).index(cell["series"])
            ax.plot(cell["x"], y - 0.36 * bool(cell["text"]), "k.", ms=3, label="_excludes zero")

    largest = ", ".join(f"{task} ± {_limit(own):.3g}" for task, own in drawn.groupby("task"))
    text = _page.sentences(
        "Difference of mean return per episode over training runs (last checkpoint) from the reference under the same "
        f"evaluation noise; blue: more, red: less, to {largest}.",
        f"n = {_page.counted([*drawn.seeds, *drawn.seeds_reference])} training runs on each side.",
        f"{'±: half' if drawn.text.any() else 'Dots: of'} the {_page.confidence(drawn)} interval, Welch's t over training "
        "runs, unpaired; a dot where it excludes zero, not corrected for the number of cells.",
        "Hatched: one trained model on a side (no interval, no claim about the method), or runs that are not done, left out."
        if drawn["mark"].any()
        else "",
    )
    heights = _panels.heights(drawn.assign(kind="cell"), [("cell", name) for name in panels], min(2, len(panels)))
    return _page.page(panels, panel, text, heights)


def _rows(cells: list[ScoreCell], reference: dict[str, str], confidence: float) -> Iterator[dict[str, Any]]:
    """Every cell that differs from its reference in one axis only, minus that reference."""
    from results.scoring.cells import KEY
    from results.statistics import contrasts

    found = {cell.name: cell for cell in cells}
    ((axis, base),) = reference.items()
    for cell in cells:
        other = found.get(tuple(base if key == axis else cell.key[key] for key in KEY))
        if cell.key[axis] == base or other is None:
            continue
        contrast = contrasts.unpaired(cell.seed_means, other.seed_means, confidence)
        counts = {"seeds": len(cell.seeds), "seeds_reference": len(other.seeds)}
        numbers = {"delta": contrast.delta, "ci_low": contrast.low, "ci_high": contrast.high, "p": contrast.p}
        flags = ";".join(filter(None, [cell.flag_text(), other.flag_text()]))
        what = f"{cell.key['ablation']}: noisy minus clean training" if axis == "train_noise" else ""
        yield (
            cell.key
            | counts
            | numbers
            | {"flags": flags, "confidence": confidence}
            | {
                "title": what or f"{cell.key['ablation']} minus {base}",
                "kind": axis,
            }
        )


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """The table in reading order with panel, series, x, shade, text and mark."""
    from results import style
    from results.plots import robustness
    from results.scoring.noises import noise_order

    table = robustness.titles(table)
    orders = {"train_noise": noise_order, "eval_noise": noise_order, "ablation": style.ablation_order}
    rank = table[["where", "kind", "ablation", "train_noise", "eval_noise"]]
    rank = rank.apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    table = table.loc[rank.sort_values(["where", "kind", "ablation", "train_noise", "eval_noise"]).index]
    noises = {task: sorted(own.eval_noise.unique(), key=noise_order) for task, own in table.groupby("task")}
    limits = {task: _limit(own) for task, own in table.groupby("task")}
    rows = table.to_dict("records")
    room = [len(noises[row["task"]]) <= style.MOST_CELLS for row in rows]
    said = [robustness.said(row | {"mean": row["delta"], "interval": ""}, limits[row["task"]], "+") for row in rows]
    return table.assign(
        panel=table["where"] + ": " + table.title,
        series=table.train_noise,
        x=[noises[row["task"]].index(row["eval_noise"]) for row in rows],
        shade=[0.5 + 0.5 * row["delta"] / limits[row["task"]] for row in rows],
        text=[one["text"] * here for one, here in zip(said, room, strict=True)],
        mark=[one["mark"] for one in said],
        excludes_zero=(table.ci_low > 0) | (table.ci_high < 0),
    ).reset_index(drop=True)


def _limit(rows: pd.DataFrame) -> float:
    return float(rows.delta.abs().max()) or 1.0
