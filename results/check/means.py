"""Impossible means, one-model claims and uncorrected comparisons in tables of means."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from results.check import NOTE, PROBLEM, Evidence, Finding
from results.check._means import Means, Row
from results.statistics import contrasts, grim


def find(evidence: Evidence) -> Iterator[Finding]:
    for table in evidence.means:
        for row in table.rows:
            yield from _impossible(row)
        yield from _cut(table)
        yield from _one_model(table)
        yield from _pairs(table)


def _impossible(row: Row) -> Iterator[Finding]:
    if not row.granularity > 0:
        return
    of = f"of {row.n} multiples of {row.granularity:g}"
    shown, spread = f"{row.mean:.{row.digits}f}", f"{row.half_width:.{row.digits}f}"
    if not grim.ways(row.mean, row.digits, row.n, row.granularity):
        likely = [other for other in grim.one_digit_off(row.mean, row.digits) if _fits(row, other)]
        hint = " and ".join(f"{value:.{row.digits}f}" for value in sorted(likely, key=lambda v: abs(v - row.mean)))
        what = f"{shown} cannot be the mean {of}; the nearest that can are {_neighbours(row)}."
        if likely:
            fits = f", and fit{'s' * (len(likely) == 1)} the half width {spread}" if row.sd == row.sd else ""
            what += f" {hint} can, with one digit changed{fits}."
        why = "At least one of mean, n and granularity is not what was measured."
        yield Finding("impossible_mean", PROBLEM, row.where, what, why, "Compute the cell again from its scores.")
    elif row.sd == row.sd and row.n > 1 and not _fits(row, row.mean):
        what = f"± {spread} ({row.interval}) cannot belong to a mean {of} that is {shown}."
        why = "The scores, or what ± stands for, are not what the table says."
        yield Finding("impossible_spread", PROBLEM, row.where, what, why, "Compute the cell again; say what ± is.")


def _fits(row: Row, mean: float) -> bool:
    """Whether the mean can be, and the half width beside it, rounded or cut."""
    if not grim.ways(mean, row.digits, row.n, row.granularity):
        return False
    ends = ((row.half_width + slack * 10.0**-row.digits) / row.factor for slack in (-0.5, 1))
    return row.sd != row.sd or grim.spread_fits(mean, *ends, row.digits, row.n, row.granularity)


def _neighbours(row: Row) -> str:
    total = row.mean * row.n / row.granularity
    return " and ".join(f"{end(total) * row.granularity / row.n:.{row.digits}f}" for end in (np.floor, np.ceil))


def _cut(table: Means) -> Iterator[Finding]:
    rows = [row for row in table.rows if row.granularity > 0]
    cut = [r for r in rows if grim.ways(r.mean, r.digits, r.n, r.granularity) == {"cut"}]
    if cut:
        what = f"{', '.join(f'{row.mean:.{row.digits}f}' for row in cut)}: the last digit is cut off, not rounded."
        why = "Numbers of one table that were shortened in two ways differ in the last digit."
        yield Finding("cut_digits", NOTE, str(table.path), what, why, "Round every number.")


def _one_model(table: Means) -> Iterator[Finding]:
    alone = [row for row in table.rows if row.models == 1]
    if alone:
        what = f"{len(alone)} of {len(table.rows)} rows rest on one trained model each."
        why = (
            "Their intervals say how precisely those models were measured. Nothing here says what another training run "
            "would score, so nothing can be claimed about what the models were trained with."
        )
        do = "Train more seeds, and take the interval over them; until then claim nothing about methods."
        yield Finding("one_seed", PROBLEM, str(table.path), what, why, do)


def _pairs(table: Means) -> Iterator[Finding]:
    """All pairs of rows with a spread, by Welch's t on their scores; Holm over the table."""
    rows = [row for row in table.rows if row.sd == row.sd and row.n > 1]
    pairs = list(itertools.combinations(rows, 2))
    p = np.array([_contrast(pair) for pair in pairs])
    small, held = int((p < 0.05).sum()), int((contrasts.holm(p) < 0.05).sum())
    if not small or held == small:
        return
    overlap = sum(abs(x.mean - y.mean) <= x.half_width + y.half_width for x, y in pairs)
    what = (
        f"{overlap} of {len(pairs)} pairs of intervals overlap; {small} of {len(pairs)} pairs have p < .05 uncorrected "
        f"(Welch's t), {held or 'none'} after Holm."
    )
    why = f"Of {len(pairs)} comparisons without any difference, {0.05 * len(pairs):.1f} have p < .05 by chance."
    yield Finding("uncorrected_family", PROBLEM, str(table.path), what, why, "Correct for all comparisons that were looked at.")


def _contrast(pair: Sequence[Row]) -> float:
    x, y = ((row.mean, row.sd, row.n) for row in pair)
    return contrasts.of_summaries(x, y).p
