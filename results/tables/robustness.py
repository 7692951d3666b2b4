"""Robustness: mean return of every training noise under every evaluation noise, with intervals and retention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from results.tables._text import count, legend, letters, marks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.load import Results
    from results.tables import Sheet

GRID = ["task", "agent", "ablation", "study", "preset", "size", "precision", "steps", "policy"]
INTERVALS = {
    "t-seeds": "Student's t over per-seed means: where the method's expected score lies, over training runs",
    "normal-seeds": "normal quantile over per-seed means: over training runs, but too narrow for few seeds",
    "bootstrap-two-level": "seeds, then episodes, drawn with replacement: over training runs; half the width is shown",
    "t-episodes-one-model": "Student's t over episodes: evaluation precision of one model, no claim about the method",
    "normal-episodes-one-model": "normal quantile over episodes: evaluation precision of one model, no claim about the "
    "method, and too narrow for few episodes",
}
BEST = "Bold: the best of its column, different from every other training noise (Welch's t over training runs, Holm)."


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, interval: str = "t") -> pd.DataFrame:
    """The long form of `results.robustness.table`, in reading order. `interval`: t, or normal as older tables have it."""
    from harness.errors import unknown
    from results import robustness, style

    if interval not in ("t", "normal"):
        raise unknown("interval", interval, ("t", "normal"))
    long = robustness.table(results, rng, reps, confidence, interval)
    orders = {"ablation": style.ablation_order, "train_noise": style.noise_order, "eval_noise": style.noise_order}
    by = ["task", "agent", "ablation", *GRID[3:], "variant", "train_noise", "eval_noise"]
    rank = long[by].apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    return long.loc[rank.sort_values(by).index].reset_index(drop=True)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per task, agent and ablation: scores, then retention, as training noise x evaluation noise."""
    return [
        sheet
        for key, cells in long.groupby(GRID, sort=False)
        if key[1] != "random" or (long.agent == "random").all()
        for sheet in _grid(dict(zip(GRID, key, strict=True)), cells, long)
    ]


def _grid(key: dict[str, Any], cells: pd.DataFrame, long: pd.DataFrame) -> Iterator[Sheet]:
    from results import style
    from results.cells import FLAGS
    from results.tables import Sheet

    tested = sorted(cells.eval_noise.unique(), key=style.noise_order)
    title = " · ".join(str(key[name]) for name in ("task", "agent", "ablation"))
    head = ["trained with \\ tested with", *tested]
    rows, notes = _returns(key, cells, tested, _random_cells(key, long))
    settings = "Settings: " + ", ".join(f"{name} {key[name]}" for name in GRID[3:]) + "."
    marked = _best(cells, tested)
    notes += [BEST] if marked else []
    yield Sheet(f"{title}: return", head, rows, [settings, *notes], marked)
    noisy = [noise for noise in tested if noise != "clean"]
    if noisy and cells.retention.notna().any():
        named = _letters(cells[cells.eval_noise != "clean"])
        rows = _rows(cells, noisy, partial(_retention, named=named))
        measured = cells[(cells.eval_noise != "clean") & (cells.seeds > 0)]
        about = f"Unit: ratio. {_counts(measured)} Final-score rule: {cells.final.iloc[0]}."
        notes = [settings, about, _retention_note(cells), *legend(named, FLAGS)]
        yield Sheet(f"{title}: retention", [head[0], *noisy], rows, notes)


def _returns(
    key: dict[str, Any], cells: pd.DataFrame, tested: list[str], random: pd.DataFrame
) -> tuple[list[list[str]], list[str]]:
    """Rows and notes of the scores, with the random agent's row beneath."""
    import pandas as pd

    from results.cells import FLAGS, ON_RETENTION

    named = _letters(pd.concat([cells, random]), without=ON_RETENTION)
    decimals = 2 if cells["mean"].abs().max() >= 1 or cells["mean"].isna().all() else 4
    show = partial(_score, decimals=decimals, named=named)
    rows = _rows(cells, tested, show)
    if len(random):
        shown = {cell["eval_noise"]: show(cell) for cell in random.to_dict("records")}
        about = f"random agent (S = {count(random.seeds)}, n = {count(random.episodes)})"
        rows.append([about, *(shown.get(noise, "-") for noise in tested)])
    notes = [*_notes(cells), *legend(named, FLAGS)]
    if cells.retention.isna().all():
        reasons = {flag for text in cells["flags"] for flag in text.split(";")} & set(ON_RETENTION)
        notes += [f"Retention: {FLAGS[name]} ({name})." for name in ON_RETENTION if name in reasons]
    return rows + _stored_row(key, tested, cells, decimals), notes


def _rows(cells: pd.DataFrame, tested: list[str], show: Callable[[dict], str]) -> list[list[str]]:
    """One row per training noise (and variant, where settings differ), one column per evaluation noise."""
    rows = []
    for (_, trained), row in cells.groupby(["variant", "train_noise"], sort=False):
        variant = row.variant.iloc[0]
        shown = {cell["eval_noise"]: show(cell) for cell in row.to_dict("records")}
        rows.append([f"{trained} [{variant}]" if variant else trained, *(shown.get(noise, "-") for noise in tested)])
    return rows


def _best(cells: pd.DataFrame, tested: list[str]) -> frozenset[tuple[int, int]]:
    rows = enumerate(row for _, row in cells.groupby(["variant", "train_noise"], sort=False))
    return frozenset((i, 1 + tested.index(noise)) for i, row in rows for noise in row.eval_noise[row.best])


def _score(cell: dict[str, Any], decimals: int, named: dict[str, str]) -> str:
    """`950.00 ± 94.21 (a,b)`: mean, half the interval's width (`?` where there is none), the letters of its flags."""
    half = (cell["ci_high"] - cell["ci_low"]) / 2
    width = "?" if half != half else f"{half:.{decimals}f}"
    return (f"{cell['mean']:.{decimals}f} ± {width}" if cell["seeds"] else "-") + marks(cell["flags"], named)


def _retention(cell: dict[str, Any], named: dict[str, str]) -> str:
    """`0.70 [0.68, 0.72] (a)`."""
    known = f"{cell['retention']:.2f} [{cell['retention_low']:.2f}, {cell['retention_high']:.2f}]"
    return (known if cell["retention"] == cell["retention"] else "undefined") + marks(cell["flags"], named)


def _random_cells(key: dict[str, Any], long: pd.DataFrame) -> pd.DataFrame:
    """The random agent's cells to show beside an agent's: of the task, those of one study where there are several."""
    own = long[(long.task == key["task"]) & (long.agent == "random") & (long.seeds > 0)]
    return own.iloc[:0] if key["agent"] == "random" else own.drop_duplicates("eval_noise")


def _stored_row(key: dict[str, Any], tested: list[str], cells: pd.DataFrame, decimals: int) -> list[list[str]]:
    """The stored score of random play, without noise; nothing where it was measured or is not known."""
    name, score = cells.random_source.iloc[0], cells.random.iloc[0]
    if name in ("", "runs") or key["agent"] == "random":
        return []
    return [[f"random agent ({name})", *(f"{score:.{decimals}f}" if noise == "clean" else "-" for noise in tested)]]


def _letters(cells: pd.DataFrame, without: Iterable[str] = ()) -> dict[str, str]:
    found = [flag for text in cells["flags"] for flag in text.split(";")]
    return letters(flag for flag in found if flag.partition(":")[0] not in without)


def _notes(cells: pd.DataFrame) -> list[str]:
    """The unit, the counts, the final-score rule, and what each interval in the grid means."""
    measured = cells[cells.seeds > 0]
    notes = [f"Unit: return per episode. {_counts(measured)} Final-score rule: {cells.final.iloc[0]}."]
    for name in measured.interval.unique():
        notes.append(f"± {100 * cells.confidence.iloc[0]:g} % interval, {name}: {INTERVALS[name]}.")
    return notes if len(measured) else [*notes, "Nothing has been measured here yet."]


def _counts(cells: pd.DataFrame) -> str:
    """Training seeds and episodes per cell, as ranges where cells differ."""
    return f"Training seeds S = {count(cells.seeds)}, evaluation episodes of all seeds n = {count(cells.episodes)}."


def _retention_note(cells: pd.DataFrame) -> str:
    sources = ", ".join(sorted(set(cells.random_source) - {""}))
    few = cells.seeds[cells.seeds > 1].min() < 3
    return (
        "Retention: (noisy - random) / (clean - random), the share of the advantage over random play that is left. "
        f"Random score from: {sources}. {100 * cells.confidence.iloc[0]:g} % interval: Student's t on the jackknife "
        "over training runs, paired within each model; of one model, over its episodes, and then no claim about the method."
        + (" With two seeds it covers about 92 % where 95 % is said." if few else "")
    )
