"""Comparison tables. A file is a table: `make(results, rng, **options)` -> long form, `sheets(long)` -> what is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins
from harness.errors import BadInput, unknown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results

NOTHING = "No run among these has a number for this table."
FORMATS = ("md", "csv", "tex", "html", "json")


@dataclass(frozen=True)
class Sheet:
    """A table as it is read: a title, a head, rows of text, and the notes that stand beneath it.

    marked: (row, column) of the cells that are best; only where the contrast to every other one supports it.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    marked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Table:
    """`long`: one row per number, with every column of the contract. `sheets`: the same for readers."""

    name: str
    long: pd.DataFrame
    sheets: list[Sheet]

    def render(self, form: str = "md") -> str:
        """csv and json are the long form; md, tex (booktabs) and html the sheets. Ends with a line break."""
        from results.tables import _formats

        if form not in FORMATS:
            raise unknown("table format", form, FORMATS)
        if form in ("csv", "json"):
            return getattr(_formats, form)(self.long)
        return getattr(_formats, form)(self.sheets)


def build(name: str, roots: Iterable[Path | str] | Results, **options: Any) -> Table:
    """The table `name` of every run at or below the roots, or of loaded ones.

    Options as in `prepare`, and those of the table's `make`.
    """
    module = plugins.load("results.tables", name)
    results, rng, options = prepare(roots, **options)
    long = module.make(results, rng, **fitting(module.make, options, f"table '{name}'"))
    return Table(name, long, module.sheets(long) or [Sheet(plugins.caption(module), ["nothing yet"], [], [NOTHING])])


def fitting(function: Callable[..., Any], options: dict[str, Any], what: str) -> dict[str, Any]:
    """The options that the function of a table or figure takes. BadInput for one that it does not take, beyond the usual.

    A table without a choice of final-score rule goes by the last checkpoint's evaluation.
    """
    from results.reading.load import FINAL

    taken = inspect.signature(function).parameters
    for option, value in options.items():
        if option not in taken and option not in ("reps", "confidence") and (option, value) != ("final", FINAL):
            raise BadInput(f"The {what} takes no option '{option}'.")
    return {option: value for option, value in options.items() if option in taken}


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
    for what, value, good, allowed in (
        ("reps", reps, reps >= 1, "at least 1"),
        ("seed", seed, seed >= 0, "at least 0"),
        ("confidence", confidence, 0 < confidence < 1, "between 0 and 1"),
    ):
        if not good:
            raise BadInput(f"{what} = {value}: allowed is {allowed}.")
    import numpy as np

    from results.reading import load
    from results.scoring import score_rules

    options |= {"reps": reps, "confidence": confidence} | ({"final": score_rules.check(final)} if final else {})
    results = roots if isinstance(roots, load.Results) else load.load(roots)
    return results, np.random.default_rng(seed), options
