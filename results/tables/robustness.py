"""Robustness: mean return of every training noise under every evaluation noise, with intervals and retention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from results.tables._text import count, legend, letters, marks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

Cell = dict[str, Any]  # a row of the long form
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
    """The long form of `analyses.robustness.table`, in reading order. `interval`: t, or normal as older tables have it."""
    from harness.errors import unknown
    from results import style
    from results.analyses import robustness
    from results.scoring.noises import noise_order

    if interval not in ("t", "normal"):
        raise unknown("interval", interval, ("t", "normal"))
    long = robustness.table(results, rng, reps, confidence, interval)
    orders = {"ablation": style.ablation_order, "train_noise": noise_order, "eval_noise": noise_order}
    by = ["task", "agent", "ablation", *GRID[3:], "variant", "train_noise", "eval_noise"]
    rank = long[by].apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    return long.loc[rank.sort_values(by).index].reset_index(drop=True)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per task, agent and ablation: scores, then retention, as training noise x evaluation noise."""
    cells, random = long.to_dict("records"), defaultdict(dict)
    for cell in cells:
        if cell["agent"] == "random" and cell["seeds"]:
            random[cell["task"]].setdefault(cell["eval_noise"], cell)
    only = all(cell["agent"] == "random" for cell in cells)
    return [
        sheet
        for (task, agent, *_), grid in groupby(cells, key=itemgetter(*GRID))
        if agent != "random" or only
        for sheet in _grid(list(grid), [] if agent == "random" else list(random[task].values()))
    ]


def _grid(cells: list[Cell], random: list[Cell]) -> Iterator[Sheet]:
    """The sheets of one setting's cells, in reading order; beside them the random agent's of the task, each noise once."""
    from results.scoring.cells import FLAGS
    from results.scoring.noises import noise_order
    from results.tables import Sheet

    key = cells[0]
    tested = sorted({cell["eval_noise"] for cell in cells}, key=noise_order)
    title = " · ".join(str(key[name]) for name in ("task", "agent", "ablation"))
    head = ["trained with \\ tested with", *tested]
    rows, notes = _returns(cells, tested, random)
    settings = "Settings: " + ", ".join(f"{name} {key[name]}" for name in GRID[3:]) + "."
    marked = _best(cells, tested)
    notes += [BEST] if marked else []
    yield Sheet(f"{title}: return", head, rows, [settings, *notes], marked)
    noisy = [noise for noise in tested if noise != "clean"]
    if noisy and _known(cells, "retention"):
        disturbed = [cell for cell in cells if cell["eval_noise"] != "clean"]
        named = _letters(disturbed)
        rows = _rows(cells, noisy, partial(_retention, named=named))
        counts = _counts([cell for cell in disturbed if cell["seeds"]])
        about = f"Unit: ratio. {counts} Final-score rule: {key['final']}."
        notes = [settings, about, _retention_note(cells), *legend(named, FLAGS)]
        yield Sheet(f"{title}: retention", [head[0], *noisy], rows, notes)


def _returns(cells: list[Cell], tested: list[str], random: list[Cell]) -> tuple[list[list[str]], list[str]]:
    """Rows and notes of the scores, with the random agent's row beneath."""
    from results.scoring.cells import FLAGS, ON_RETENTION

    named = _letters([*cells, *random], without=ON_RETENTION)
    decimals = 2 if max(map(abs, _known(cells, "mean")), default=1) >= 1 else 4
    show = partial(_score, decimals=decimals, named=named)
    rows = _rows(cells, tested, show)
    if random:
        about = f"random agent (S = {count(_column(random, 'seeds'))}, n = {count(_column(random, 'episodes'))})"
        rows.append([about, *_shown(random, tested, show)])
    notes = [*_notes(cells), *legend(named, FLAGS)]
    if not _known(cells, "retention"):
        reasons = {flag for cell in cells for flag in cell["flags"].split(";")} & set(ON_RETENTION)
        notes += [f"Retention: {FLAGS[name]} ({name})." for name in ON_RETENTION if name in reasons]
    return rows + _stored_row(tested, cells[0], decimals), notes


def _column(cells: list[Cell], name: str) -> list[Any]:
    return [cell[name] for cell in cells]


def _known(cells: list[Cell], name: str) -> list[float]:
    return [value for value in _column(cells, name) if value == value]


def _by_training(cells: list[Cell]) -> Iterator[list[Cell]]:
    """The cells of one training noise (and variant, where settings differ): a row."""
    return (list(row) for _, row in groupby(cells, key=itemgetter("variant", "train_noise")))


def _shown(row: list[Cell], tested: list[str], show: Callable[[Cell], str]) -> list[str]:
    shown = {cell["eval_noise"]: show(cell) for cell in row}
    return [shown.get(noise, "-") for noise in tested]


def _rows(cells: list[Cell], tested: list[str], show: Callable[[Cell], str]) -> list[list[str]]:
    """One row per training noise and variant, one column per evaluation noise."""
    rows = []
    for row in _by_training(cells):
        trained, variant = row[0]["train_noise"], row[0]["variant"]
        rows.append([f"{trained} [{variant}]" if variant else trained, *_shown(row, tested, show)])
    return rows


def _best(cells: list[Cell], tested: list[str]) -> frozenset[tuple[int, int]]:
    rows = enumerate(_by_training(cells))
    return frozenset((i, 1 + tested.index(cell["eval_noise"])) for i, row in rows for cell in row if cell["best"])


def _score(cell: Cell, decimals: int, named: dict[str, str]) -> str:
    """`950.00 ± 94.21 (a,b)`: mean, half the interval's width (`?` where there is none), the letters of its flags."""
    half = (cell["ci_high"] - cell["ci_low"]) / 2
    width = "?" if half != half else f"{half:.{decimals}f}"
    return (f"{cell['mean']:.{decimals}f} ± {width}" if cell["seeds"] else "-") + marks(cell["flags"], named)


def _retention(cell: Cell, named: dict[str, str]) -> str:
    """`0.70 [0.68, 0.72] (a)`."""
    known = f"{cell['retention']:.2f} [{cell['retention_low']:.2f}, {cell['retention_high']:.2f}]"
    return (known if cell["retention"] == cell["retention"] else "undefined") + marks(cell["flags"], named)


def _stored_row(tested: list[str], cell: Cell, decimals: int) -> list[list[str]]:
    """The stored score of random play, without noise; nothing where it was measured or is not known."""
    name, score = cell["random_source"], cell["random"]
    if name in ("", "runs") or cell["agent"] == "random":
        return []
    return [[f"random agent ({name})", *(f"{score:.{decimals}f}" if noise == "clean" else "-" for noise in tested)]]


def _letters(cells: Iterable[Cell], without: Iterable[str] = ()) -> dict[str, str]:
    found = [flag for cell in cells for flag in cell["flags"].split(";")]
    return letters(flag for flag in found if flag.partition(":")[0] not in without)


def _notes(cells: list[Cell]) -> list[str]:
    """The unit, the counts, the final-score rule, and what each interval in the grid means."""
    measured = [cell for cell in cells if cell["seeds"]]
    notes = [f"Unit: return per episode. {_counts(measured)} Final-score rule: {cells[0]['final']}."]
    for name in dict.fromkeys(_column(measured, "interval")):
        notes.append(f"± {100 * cells[0]['confidence']:g} % interval, {name}: {INTERVALS[name]}.")
    return notes if measured else [*notes, "Nothing has been measured here yet."]


def _counts(cells: list[Cell]) -> str:
    """Training seeds and episodes per cell, as ranges where cells differ."""
    seeds, episodes = (count(_column(cells, name)) for name in ("seeds", "episodes"))
    return f"Training seeds S = {seeds}, evaluation episodes of all seeds n = {episodes}."


def _retention_note(cells: list[Cell]) -> str:
    sources = ", ".join(sorted(set(_column(cells, "random_source")) - {""}))
    few = 2 in _column(cells, "seeds")
    return (
        "Retention: (noisy - random) / (clean - random), the share of the advantage over random play that is left. "
        f"Random score from: {sources}. {100 * cells[0]['confidence']:g} % interval: Student's t on the jackknife "
        "over training runs, paired within each model; of one model, over its episodes, and then no claim about the method."
        + (" With two seeds it covers about 92 % where 95 % is said." if few else "")
    )
