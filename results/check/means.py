"""Impossible means, one-model claims and uncorrected comparisons in tables of means."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from results.check import NOTE, PROBLEM, Evidence, Finding
from results.check._means import MeansTable, PrintedMean
from results.statistics import contrasts, grim


def find(evidence: Evidence) -> Iterator[Finding]:
    for table in evidence.means:
        for row in table.rows:
            yield from _impossible(row)
        yield from _cut(table)
        yield from _one_model(table)
        yield from _pairs(table)


def _impossible(row: PrintedMean) -> Iterator[Finding]:
    if not row.granularity > 0:
        return
    count = f"of {row.n} multiples of {row.granularity:g}"
    mean, spread = f"{row.mean:.{row.digits}f}", f"{row.half_width:.{row.digits}f}"
    if not grim.roundings(row.mean, row.digits, row.n, row.granularity):
        possible = [value for value in grim.one_digit_off(row.mean, row.digits) if _fits(row, value)]
        what = f"{mean} cannot be the mean {count}; the nearest possible means are {_neighbours(row)}."
        if possible:
            corrections = " and ".join(f"{value:.{row.digits}f}" for value in sorted(possible, key=lambda v: abs(v - row.mean)))
            fits = f", and fit{'s' * (len(possible) == 1)} the half width {spread}" if row.sd == row.sd else ""
            what += f" {corrections} can, with one digit changed{fits}."
        why = "At least one of mean, n and granularity is wrong."
        yield Finding("impossible_mean", PROBLEM, row.where, what, why, "Compute the cell again from its scores.")
    elif row.sd == row.sd and row.n > 1 and not _fits(row, row.mean):
        what = f"± {spread} ({row.interval}) cannot belong to a mean {count} that is {mean}."
        why = "The scores, or the meaning of ±, are not what the table says."
        yield Finding("impossible_spread", PROBLEM, row.where, what, why, "Compute the cell again; say what ± is.")


def _fits(row: PrintedMean, mean: float) -> bool:
    """Whether the mean is possible together with its half width, rounded or cut."""
    if not grim.roundings(mean, row.digits, row.n, row.granularity):
        return False
    low, high = ((row.half_width + slack * 10.0**-row.digits) / row.factor for slack in (-0.5, 1))
    return row.sd != row.sd or grim.sd_fits(mean, low, high, row.digits, row.n, row.granularity)


def _neighbours(row: PrintedMean) -> str:
    total = row.mean * row.n / row.granularity
    return " and ".join(f"{end(total) * row.granularity / row.n:.{row.digits}f}" for end in (np.floor, np.ceil))


def _cut(table: MeansTable) -> Iterator[Finding]:
    rows = [row for row in table.rows if row.granularity > 0]
    cut = [r for r in rows if grim.roundings(r.mean, r.digits, r.n, r.granularity) == {"cut"}]
    if cut:
        what = f"{', '.join(f'{row.mean:.{row.digits}f}' for row in cut)}: the last digit is cut off, not rounded."
        why = "Rounded and cut numbers in one table differ in the last digit."
        yield Finding("cut_digits", NOTE, str(table.path), what, why, "Round every number.")


def _one_model(table: MeansTable) -> Iterator[Finding]:
    alone = [row for row in table.rows if row.models == 1]
    if alone:
        what = f"{len(alone)} of {len(table.rows)} rows rest on one trained model each."
        why = (
            "Their intervals say how precisely those models were measured. They do not say what another training run would "
            "score, so that they support no claim about a training method."
        )
        do = "Train more seeds and take the interval over them. Until then, claim nothing about methods."
        yield Finding("one_seed", PROBLEM, str(table.path), what, why, do)


def _pairs(table: MeansTable) -> Iterator[Finding]:
    """All pairs of rows with a spread: Welch's t on their scores, Holm's correction over the table."""
    rows = [row for row in table.rows if row.sd == row.sd and row.n > 1]
    pairs = list(itertools.combinations(rows, 2))
    p_values = [_p_value(pair) for pair in pairs]
    small, significant = sum(p < 0.05 for p in p_values), sum(p < 0.05 for p in contrasts.holm(p_values))
    if not small or significant == small:
        return
    overlap = sum(abs(x.mean - y.mean) <= x.half_width + y.half_width for x, y in pairs)
    what = (
        f"{overlap} of {len(pairs)} pairs of intervals overlap; {small} of {len(pairs)} pairs have p < .05 uncorrected "
        f"(Welch's t), {significant or 'none'} after Holm."
    )
    why = f"Of {len(pairs)} comparisons without any difference, {0.05 * len(pairs):.1f} have p < .05 by chance."
    yield Finding("uncorrected_family", PROBLEM, str(table.path), what, why, "Correct for all comparisons.")


def _p_value(pair: tuple[PrintedMean, PrintedMean]) -> float:
    x, y = ((row.mean, row.sd, row.n) for row in pair)
    return contrasts.unpaired_from_summaries(x, y).p
