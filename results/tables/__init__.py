"""Comparison tables. A file is a table: `make(results, rng, **options)` -> long form, `sheets(long)` -> what is read."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins
from harness.errors import BadInput, unknown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.load import Results

FORMATS = ("md", "csv", "tex", "html", "json")
RULES = ("last checkpoint",)  # final-score rules


@dataclass(frozen=True)
class Sheet:
    """A table as it is read: a title, a head, rows of text, and the notes that stand beneath it."""

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


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
    for option in set(options) - set(inspect.signature(module.make).parameters):
        raise BadInput(f"The table '{name}' takes no option '{option}'.")
    long = module.make(results, rng, **options)
    return Table(name, long, module.sheets(long))


def prepare(
    roots: Iterable[Path | str] | Results,
    *,
    reps: int = 50_000,
    seed: int = 0,
    final: str | None = None,
    confidence: float = 0.95,
    **options: Any,
) -> tuple[Results, np.random.Generator, dict[str, Any]]:
    """Loaded runs, the generator and the checked options that every table and figure takes.

    reps: bootstrap replicates; seed: the same data give the same digits; final: the final-score rule, one of RULES;
    confidence: of every interval.
    """
    if final not in (None, *RULES):
        raise unknown("final-score rule", final, RULES)
    for what, value, good, allowed in (
        ("reps", reps, reps >= 1, "at least 1"),
        ("seed", seed, seed >= 0, "at least 0"),
        ("confidence", confidence, 0 < confidence < 1, "between 0 and 1"),
    ):
        if not good:
            raise BadInput(f"{what} = {value}: allowed is {allowed}.")
    import numpy as np

    from results import load

    results = roots if isinstance(roots, load.Results) else load.load(roots)
    return results, np.random.default_rng(seed), {"reps": reps, "confidence": confidence, **options}
