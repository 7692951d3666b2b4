"""metrics.jsonl of many runs -> one tidy table, only the columns that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import BadInput
from harness.rundir import RunDir, is_number

if TYPE_CHECKING:
    import pandas as pd

    from results.reading.load import Results


def logged_rows(results: Results, names: Sequence[str], needed: str) -> pd.DataFrame:
    """A row per log interval that has the metric `needed`: path, step, updates and `names` (NaN where absent)."""
    import pandas as pd

    columns = ["path", "step", "updates", *names]
    rows: list[dict[str, Any]] = []
    for path in results.runs.path:
        logged = [row for row in RunDir(path).rows("metrics") if needed in row]
        for row in logged:
            if wrong := [name for name in columns[1:] if not (row.get(name) is None or is_number(row[name]))]:
                raise BadInput(f"{path}/metrics.jsonl: {wrong[0]} = {str(row[wrong[0]])[:40]!r}; allowed is a number or null.")
        rows += [{"path": path} | {name: row.get(name) for name in columns[1:]} for row in logged]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(names, float))


def config_value(path: str, *keys: str) -> Any:
    """A value of a run's configuration, `None` where there is no such key."""
    node: Any = RunDir(path).config
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node
