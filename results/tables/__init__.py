"""Comparison tables. Every file of this folder is a table: see `TableModule`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from harness import plugins
from harness.errors import BadInput, printable, unknown
from results.version import program_version

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results

NOTHING = "No run among these has a number for this table."
FORMATS = ("md", "csv", "tex", "html", "json")


@dataclass(frozen=True)
class Sheet:
    """A table as people read it: a title, a head, rows of text, and the notes beneath.

    best: (row, column) of the best cells, only if their contrast to every other one supports it.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Table:
    """long: one row per number, with every column of the contract. sheets: the same for people."""

    name: str
    long: pd.DataFrame
    sheets: list[Sheet]

    def render(self, form: str = "md") -> str:
        """The table as text: csv and json show the long form; md, tex (booktabs) and html the sheets.

        The last note of md and html is the version of this program.
        """
        from results.tables import _formats

        if form in _formats.OF_LONG:
            return _formats.OF_LONG[form](self.long)
        if form in _formats.OF_SHEETS:
            return _formats.OF_SHEETS[form](self.sheets if form == "tex" else _with_version(self.sheets))
        raise unknown("table format", form, FORMATS)


def _with_version(sheets: list[Sheet]) -> list[Sheet]:
    return [*sheets[:-1], *(replace(sheet, notes=[*sheet.notes, f"Made by {program_version()}."]) for sheet in sheets[-1:])]


@runtime_checkable
class TableModule(Protocol):
    """What the file of a table holds.

    make(results, rng, **options) returns the long form. A table takes those of the options reps, confidence, final,
    baseline, ... that it has parameters for.
    """

    make: Callable[..., pd.DataFrame]

    def sheets(self, long: pd.DataFrame) -> list[Sheet]:
        """The long form as sheets, in reading order."""


def build(name: str, roots: Iterable[Path | str] | Results, **options: Any) -> Table:
    """The table `name` of every run at or below the roots, or of loaded ones.

    Options as in `prepare`, and those of the table's `make`.
    """
    plugin = plugins.load("results.tables", name)
    module = cast(TableModule, plugin)  # found by its name
    results, rng, options = prepare(roots, **options)
    long = module.make(results, rng, **accepted_options(module.make, options, f"table '{name}'"))
    sheets = module.sheets(long) or [Sheet(plugins.caption(plugin), ["nothing yet"], [], [NOTHING])]
    return Table(name, long, [replace(sheet, notes=[*sheet.notes, *unread_note(results)]) for sheet in sheets])


def unread_note(results: Results) -> list[str]:
    """One note that counts and names what could not be read below the roots; none where everything was."""
    unread = [printable(path) for path in results.unread]
    listing = ", ".join(unread[:5]) + (", ..." if len(unread) > 5 else "")
    return [f"Not read, so runs may be missing here ({len(unread)}): {listing}."] if unread else []


def accepted_options(function: Callable[..., Any], options: dict[str, Any], what: str) -> dict[str, Any]:
    """The options that the function of a table or figure takes. BadInput for any other, beyond reps and confidence.

    A table without a choice of score rule uses the evaluation of the last checkpoint, and accepts that rule.
    """
    from results.reading.load import FINAL

    parameters = inspect.signature(function).parameters
    for option, value in options.items():
        if option not in parameters and option not in ("reps", "confidence") and (option, value) != ("final", FINAL):
            raise BadInput(f"The {what} takes no option '{option}'.")
    return {option: value for option, value in options.items() if option in parameters}


def prepare(
    roots: Iterable[Path | str] | Results,
    *,
    reps: int = 50_000,
    seed: int = 0,
    final: str | None = None,
    confidence: float = 0.95,
    **options: Any,
) -> tuple[Results, np.random.Generator, dict[str, Any]]:
    """Loaded runs, the generator and the checked options that tables and figures take.

    reps: bootstrap replicates; seed: the same data give the same digits; final: the final-score rule, one of
    `scoring.score_rules.NAMES`, default each benchmark's own; confidence: of every interval.
    """
    for option, value, valid, allowed in (
        ("reps", reps, reps >= 1, "at least 1"),
        ("seed", seed, seed >= 0, "at least 0"),
        ("confidence", confidence, 0 < confidence < 1, "between 0 and 1"),
    ):
        if not valid:
            raise BadInput(f"{option} = {value}: allowed is {allowed}.")
    import numpy as np

    from results.reading import load
    from results.scoring import score_rules

    options |= {"reps": reps, "confidence": confidence} | ({"final": score_rules.canonical_name(final)} if final else {})
    results = roots if isinstance(roots, load.Results) else load.load(roots)
    return results, np.random.default_rng(seed), options
