"""A table of means as CSV: `mean`, `n` and names; optional are `half_width`, `interval`, `granularity` and `models`.

mean, half_width: as printed, because their digits count. n: scores behind a mean. interval: the meaning of ±: `normal` (1.96
standard errors; the default), `t`, `se` or `sd`. granularity: every score is a multiple of it. models: trained models behind
a row. Every other column names the row.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from harness.errors import BadInput, unknown
from results.importers._text import to_number

NUMBERS = ("mean", "half_width", "n", "interval", "granularity", "models")
INTERVALS = ("normal", "t", "se", "sd")


@dataclass(frozen=True)
class PrintedMean:
    """One row. where: file, line and names. digits: decimals of the printed mean and half width. Absent: NaN, or 0 models."""

    where: str
    mean: float
    digits: int
    n: int
    half_width: float
    granularity: float
    models: int
    interval: str

    @property
    def factor(self) -> float:
        """The half width of the interval in standard deviations of the scores."""
        quantile = {"normal": special.ndtri(0.975), "t": special.stdtrit(self.n - 1, 0.975), "se": 1.0}
        return 1.0 if self.interval == "sd" else float(quantile[self.interval] / np.sqrt(self.n))

    @property
    def sd(self) -> float:
        return self.half_width / self.factor


@dataclass(frozen=True)
class MeansTable:
    path: Path
    rows: list[PrintedMean]


def is_table(path: Path) -> bool:
    """Whether a file is a CSV with the columns `mean` and `n`. Tables of episodes have `return`, and are none."""
    if path.suffix != ".csv" or not path.is_file():
        return False
    with open(path, newline="", errors="replace") as file:
        head = next(csv.reader(file), [])
    return {"mean", "n"} <= set(head) and "return" not in head


def read(path: Path) -> MeansTable:
    """Read a table of means. BadInput names the line and the column."""
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        return MeansTable(path, [_row(path, reader.line_num, row) for row in reader])


def _row(path: Path, line: int, row: dict[str, str]) -> PrintedMean:
    names = ", ".join(f"{key} {value}" for key, value in row.items() if key not in NUMBERS and value)
    where = f"{path}, line {line}" + (f" ({names})" if names else "")
    mean, n = _number(row, "mean", where), _number(row, "n", where)
    if not n >= 1 or n != int(n) or mean != mean:
        raise BadInput(f"{where}: mean = {row['mean']!r}, n = {row['n']!r}; n is a whole number of scores, at least 1.")
    interval = row.get("interval") or "normal"
    if interval not in INTERVALS:
        raise unknown("interval", interval, INTERVALS, where)
    digits = len(row["mean"].strip().partition(".")[2])
    half_width, granularity, models = (_number(row, name, where) for name in ("half_width", "granularity", "models"))
    return PrintedMean(where, mean, digits, int(n), half_width, granularity, int(np.nan_to_num(models)), interval)


def _number(row: dict[str, str], name: str, where: str) -> float:
    text = (row.get(name) or "").strip()
    value = to_number(text) if text else np.nan
    if value is None or not (abs(value) < 1e300 or value != value):
        raise BadInput(f"{where}: {name} = {text[:40]!r}; allowed is a number.")
    return value
