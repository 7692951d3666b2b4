"""TD-MPC2's result files: METHOD/TASK.csv with the columns step, reward and seed, one evaluation per row.

`step` counts environment steps, action repeat included. `reward` is the mean return of an evaluation; the file does not say
of how many episodes. The path names method and task; --layout, --method and --task override it.
With --benchmark dmc_proprio, `walker-walk` becomes our `dmc/walker_walk`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import BadInput
from results import benchmarks
from results.importers._run import ImportedRun, ImportOptions, integers_where_whole
from results.importers._text import MAX_STEP, csv_rows, lines, to_number

FILES = ("*.csv",)
LAYOUT = "{method}/{task}.csv"
NAMES = ("step", "reward", "seed")


def runs(files: Sequence[Path], options: ImportOptions) -> Iterator[ImportedRun]:
    """One run per seed of a file, its rows in the file's order."""
    for path in files:
        seeds: dict[str, tuple[list[float], list[float | None]]] = defaultdict(lambda: ([], []))
        for step, reward, seed in _rows(path):
            seeds[seed][0].append(step)
            seeds[seed][1].append(reward)
        if not seeds:
            raise BadInput(f"{path}: no row beneath the head.")
        for seed, (steps, rewards) in seeds.items():
            names = options.run_names(path, {"seed": seed}, LAYOUT)._replace(seed=seed)
            frames, repeat = integers_where_whole(steps), options.frames_per_step(names.benchmark)
            rows = {"split": "eval", "step": [int(x // repeat) for x in frames], "frames": frames, "return": rewards}
            our_names = names._replace(task=_suite_task(names.task, names.benchmark))
            yield ImportedRun(path, f"seed {seed}", our_names, rows, unit="mean of an evaluation", source_task=names.task)


def _suite_task(task: str, benchmark: str) -> str:
    """`walker-walk` of dmc_proprio -> `dmc/walker_walk`; elsewhere the task as it is."""
    suite = benchmarks.get(benchmark).suite
    return f"{suite}/{task.replace('-', '_')}" if suite and "/" not in task else task


def _rows(path: Path) -> Iterator[tuple[float, float | None, str]]:
    rows = csv_rows(lines(path), path)
    head = [name.strip() for name in next(rows, (1, []))[1]]
    if sorted(head) != sorted(NAMES):
        raise BadInput(f"{path}, line 1: columns are {', '.join(head) or 'missing'}; a file has {', '.join(NAMES)}.")
    for number, row in rows:
        if not any(row):
            continue
        where = f"{path}, line {number}"
        if len(row) != len(head):
            raise BadInput(f"{where}: {len(row)} fields, but the head has {len(head)}.")
        cells = {name: text.strip() for name, text in zip(head, row, strict=True)}
        step, reward = to_number(cells["step"]), to_number(cells["reward"]) if cells["reward"] else math.nan
        if step is None or reward is None:
            raise BadInput(f"{where}: {','.join(row)[:80]!r}; step and reward are numbers.")
        if not 0 <= step < MAX_STEP or not cells["seed"]:
            raise BadInput(f"{where}: {','.join(row)[:80]!r}; a row has a step, at least 0, and a seed.")
        yield step, reward if math.isfinite(reward) else None, cells["seed"]
