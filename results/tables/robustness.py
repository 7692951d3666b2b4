"""Robustness: mean return of every training noise under every evaluation noise, with intervals and retention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from results.reading.records import Record, records
from results.tables._text import count_range, flag_letters, flag_marks, flag_notes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

GRID = ["task", "agent", "ablation", "study", "preset", "size", "precision", "steps", "policy"]
INTERVALS = {
    "t-seeds": "Student's t over per-seed means, over training runs: the expected score of the method",
    "normal-seeds": "normal quantile over per-seed means, over training runs: too narrow for few seeds",
    "bootstrap-two-level": "seeds, then episodes, drawn with replacement, over training runs; half the width is shown",
    "t-episodes-one-model": "Student's t over episodes: evaluation precision of one model, no claim about the method",
    "normal-episodes-one-model": "normal quantile over episodes: evaluation precision of one model, no claim about the "
    "method, and too narrow for few episodes",
}
BEST = "Bold: the best of its column. It differs from every other training noise (Welch's t over training runs, Holm)."


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float, interval: str = "t") -> pd.DataFrame:
    """The long form of `analyses.robustness.table`, in reading order. `interval`: t, or normal as in older tables."""
    from harness.errors import unknown
    from results import style
    from results.analyses import robustness

    if interval not in ("t", "normal"):
        raise unknown("interval", interval, ("t", "normal"))
    long = robustness.table(results, rng, reps, confidence, interval)
    order = ["task", "agent", "ablation", *GRID[3:], "variant", "train_noise", "eval_noise"]
    return style.in_reading_order(long, order).reset_index(drop=True)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Two sheets per task, agent and ablation, scores and retention: a row per training noise, a column per test noise."""
    cells = records(long)
    random_cells: dict[str, dict[str, Record]] = defaultdict(dict)
    for cell in cells:
        if cell["agent"] == "random" and cell["seeds"]:
            random_cells[cell["task"]].setdefault(cell["eval_noise"], cell)
    only_random = all(cell["agent"] == "random" for cell in cells)
    return [
        sheet
        for (task, agent, *_), grid in groupby(cells, key=itemgetter(*GRID))
        if agent != "random" or only_random
        for sheet in _grid(list(grid), [] if agent == "random" else list(random_cells[task].values()))
    ]


def _grid(cells: list[Record], random_cells: list[Record]) -> Iterator[Sheet]:
    """The sheets of one setting. random_cells: those of the random agent on the task, one per noise."""
    from results.scoring.cells import FLAGS
    from results.scoring.noises import noise_order
    from results.tables import Sheet

    key = cells[0]
    eval_noises = sorted({cell["eval_noise"] for cell in cells}, key=noise_order)
    title = " · ".join(str(key[name]) for name in ("task", "agent", "ablation"))
    head = ["trained with \\ tested with", *eval_noises]
    rows, notes = _returns(cells, eval_noises, random_cells)
    settings = "Settings: " + ", ".join(f"{name} {key[name]}" for name in GRID[3:]) + "."
    best = _best(cells, eval_noises)
    notes += [BEST] if best else []
    yield Sheet(f"{title}: return", head, rows, [settings, *notes], best)
    noisy = [noise for noise in eval_noises if noise != "clean"]
    if noisy and _values(cells, "retention"):
        noisy_cells = [cell for cell in cells if cell["eval_noise"] != "clean"]
        letter_of = _letters(noisy_cells)
        rows = _rows(cells, noisy, partial(_retention, letter_of=letter_of))
        counts = _counts([cell for cell in noisy_cells if cell["seeds"]])
        unit = f"Unit: ratio. {counts} Final-score rule: {key['final']}."
        notes = [settings, unit, _retention_note(cells), *flag_notes(letter_of, FLAGS)]
        yield Sheet(f"{title}: retention", [head[0], *noisy], rows, notes)


def _returns(cells: list[Record], eval_noises: list[str], random_cells: list[Record]) -> tuple[list[list[str]], list[str]]:
    """Rows and notes of the scores; the random agent is the last row."""
    from results.scoring.cells import FLAGS, ON_RETENTION

    letter_of = _letters([*cells, *random_cells], without=ON_RETENTION)
    decimals = 2 if max(map(abs, _values(cells, "mean")), default=1) >= 1 else 4
    to_text = partial(_score, decimals=decimals, letter_of=letter_of)
    rows = _rows(cells, eval_noises, to_text)
    if random_cells:
        seeds, episodes = (count_range(_column(random_cells, name)) for name in ("seeds", "episodes"))
        rows.append([f"random agent (S = {seeds}, n = {episodes})", *_row_texts(random_cells, eval_noises, to_text)])
    notes = [*_notes(cells), *flag_notes(letter_of, FLAGS)]
    if not _values(cells, "retention"):
        reasons = {flag for cell in cells for flag in cell["flags"].split(";")} & set(ON_RETENTION)
        notes += [f"Retention: {FLAGS[name]} ({name})." for name in ON_RETENTION if name in reasons]
    return rows + _stored_row(eval_noises, cells[0], decimals), notes


def _column(cells: list[Record], name: str) -> list[Any]:
    return [cell[name] for cell in cells]


def _values(cells: list[Record], name: str) -> list[float]:
    """The values of a column that are not NaN."""
    return [value for value in _column(cells, name) if value == value]


def _by_training(cells: list[Record]) -> Iterator[list[Record]]:
    """The cells of each row: of one training noise, and of one variant if settings differ."""
    return (list(row) for _, row in groupby(cells, key=itemgetter("variant", "train_noise")))


def _row_texts(cells: list[Record], eval_noises: list[str], to_text: Callable[[Record], str]) -> list[str]:
    """The texts of one row in the order of the columns; `-` for a cell that does not exist."""
    texts = {cell["eval_noise"]: to_text(cell) for cell in cells}
    return [texts.get(noise, "-") for noise in eval_noises]


def _rows(cells: list[Record], eval_noises: list[str], to_text: Callable[[Record], str]) -> list[list[str]]:
    """One row per training noise and variant, one column per evaluation noise."""
    rows = []
    for row in _by_training(cells):
        train_noise, variant = row[0]["train_noise"], row[0]["variant"]
        name = f"{train_noise} [{variant}]" if variant else train_noise
        rows.append([name, *_row_texts(row, eval_noises, to_text)])
    return rows


def _best(cells: list[Record], eval_noises: list[str]) -> frozenset[tuple[int, int]]:
    """(row, column) of the cells that are best in their column."""
    rows = enumerate(_by_training(cells))
    return frozenset((i, 1 + eval_noises.index(cell["eval_noise"])) for i, row in rows for cell in row if cell["best"])


def _score(cell: Record, decimals: int, letter_of: dict[str, str]) -> str:
    """`950.00 ± 94.21 (a,b)`: mean, half the width of the interval (`?` without one), the letters of the flags."""
    half = (cell["ci_high"] - cell["ci_low"]) / 2
    width = "?" if half != half else f"{half:.{decimals}f}"
    return (f"{cell['mean']:.{decimals}f} ± {width}" if cell["seeds"] else "-") + flag_marks(cell["flags"], letter_of)


def _retention(cell: Record, letter_of: dict[str, str]) -> str:
    """`0.70 [0.68, 0.72] (a)`."""
    text = f"{cell['retention']:.2f} [{cell['retention_low']:.2f}, {cell['retention_high']:.2f}]"
    return (text if cell["retention"] == cell["retention"] else "undefined") + flag_marks(cell["flags"], letter_of)


def _stored_row(eval_noises: list[str], cell: Record, decimals: int) -> list[list[str]]:
    """The row of the stored score of random play, known without noise only; no row if it was measured or is unknown."""
    name, score = cell["random_source"], cell["random"]
    if name in ("", "runs") or cell["agent"] == "random":
        return []
    return [[f"random agent ({name})", *(f"{score:.{decimals}f}" if noise == "clean" else "-" for noise in eval_noises)]]


def _letters(cells: Iterable[Record], without: Iterable[str] = ()) -> dict[str, str]:
    flags = [flag for cell in cells for flag in cell["flags"].split(";")]
    return flag_letters(flag for flag in flags if flag.partition(":")[0] not in without)


def _notes(cells: list[Record]) -> list[str]:
    """The unit, the counts, the final-score rule, and the meaning of each interval in the grid."""
    measured = [cell for cell in cells if cell["seeds"]]
    notes = [f"Unit: return per episode. {_counts(measured)} Final-score rule: {cells[0]['final']}."]
    for name in dict.fromkeys(_column(measured, "interval")):
        notes.append(f"± {100 * cells[0]['confidence']:g} % interval, {name}: {INTERVALS[name]}.")
    return notes if measured else [*notes, "No run has been evaluated here yet."]


def _counts(cells: list[Record]) -> str:
    """Training seeds and episodes per cell, as ranges if cells differ."""
    seeds, episodes = (count_range(_column(cells, name)) for name in ("seeds", "episodes"))
    return f"Training seeds S = {seeds}, evaluation episodes of all seeds n = {episodes}."


def _retention_note(cells: list[Record]) -> str:
    sources = ", ".join(sorted(set(_column(cells, "random_source")) - {""}))
    two_seeds = 2 in _column(cells, "seeds")
    return (
        "Retention: (noisy - random) / (clean - random), the share of the advantage over random play that remains. "
        f"Random score from: {sources}. {100 * cells[0]['confidence']:g} % interval: Student's t on the jackknife over "
        "training runs, paired within each model. With one model it is over its episodes, and supports no claim about the "
        "method." + (" With two seeds, a nominal 95 % interval covers about 92 %." if two_seeds else "")
    )
