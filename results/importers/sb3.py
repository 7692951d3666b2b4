"""Stable-Baselines3: monitor.csv (training episodes) and evaluations.npz (evaluation episodes), one run per folder.

The monitor files of one folder are the environments of one run. Their episodes are sorted by time. The step of a row is the
number of steps of all episodes that ended until then, as in SB3's own plots. The header names the environment; method and
seed come from paths as RL Zoo lays them out, `METHOD/ENV_SEED/`, or from --method, --seed or --layout.
Steps are calls of `env.step`; with --repeat N a step is N frames.
"""

from __future__ import annotations

import csv
import json
import math
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import BadInput
from results.importers._run import ImportedRun, ImportOptions, finite_or_none
from results.importers._text import MAX_STEP, csv_rows, lines, to_number

FILES = ("*monitor.csv", "evaluations.npz")
LAYOUT = "{method}/{task}_{seed}/*"


def runs(files: Sequence[Path], options: ImportOptions) -> Iterator[ImportedRun]:
    """The files of a folder are one run: `train` rows from monitor files, `eval` rows from evaluations.npz."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        folders[path.parent].append(path)
    for paths in folders.values():
        notes: Counter[str] = Counter()
        monitors = [path for path in paths if path.suffix != ".npz"]
        training, task = _training_episodes(monitors, notes) if monitors else ({}, None)
        parts = [training] if monitors else []
        parts += [_evaluation_episodes(path) for path in paths if path.suffix == ".npz"]
        rows = {name: [x for part in parts for x in part[name]] for name in parts[0]}
        names = options.run_names(paths[0], {"task": task}, LAYOUT)
        rows["frames"] = [step * (options.repeat or 1) for step in rows["step"]]
        rows["return"] = finite_or_none(rows["return"], notes)
        our_names = names._replace(task=_suite_task(names.task))
        where = f"{len(paths)} files of {paths[0].parent.name}" if len(paths) > 1 else f"{len(rows['step'])} episodes"
        yield ImportedRun(paths[0], where, our_names, rows, "episode", source_task=names.task, notes=notes)


def _suite_task(task: str) -> str:
    """`CartPole-v1` -> `gym/CartPole-v1`; a name with a slash has its suite already, `ALE/Pong-v5` apart."""
    return task if "/" in task and not task.startswith("ALE/") else f"gym/{task}"


def _training_episodes(files: Sequence[Path], notes: Counter[str]) -> tuple[dict[str, list[Any]], str | None]:
    """Episodes of all files in order of time, and the environment's id. BadInput if the ids of the files differ."""
    episodes: list[tuple[float, float, int]] = []
    ids: dict[Path, str | None] = {}
    for path in files:
        start, ids[path] = _start_and_id(path)
        episodes += [(start + seconds, value, length) for seconds, value, length in _monitor_rows(path, notes)]
    if len(set(ids.values())) > 1:
        pairs = ", ".join(f"{path.name} {name}" for path, name in ids.items())
        raise BadInput(f"{files[0].parent}: monitor files of one folder are one run, but of different environments: {pairs}.")
    if len(files) > 1:
        episodes.sort(key=lambda episode: episode[0])
    _, returns, lengths = (list(column) for column in zip(*episodes, strict=True)) if episodes else ([], [], [])
    steps = list(accumulate(lengths))
    numbers = list(range(len(steps)))
    rows = {"split": ["train"] * len(steps), "step": steps, "episode": numbers, "return": returns, "length": lengths}
    return rows, next(iter(ids.values()))


def _start_and_id(path: Path) -> tuple[float, str | None]:
    """Time of the start (Unix seconds) and environment id of the first line, `#{"t_start": ..., "env_id": ...}`."""
    first = next(lines(path), "")
    try:
        head = json.loads(first.removeprefix("#"))
        start, name = head["t_start"], head.get("env_id")
        if type(start) not in (int, float) or not abs(start) < MAX_STEP or not isinstance(name, str | None):
            raise ValueError
        return float(start), name
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f'{path}, line 1: a monitor file opens with #{{"t_start": ..., "env_id": ...}}.') from None


def _monitor_rows(path: Path, notes: Counter[str]) -> Iterator[tuple[float, float, int]]:
    """`(seconds since the start, return, length)` per row. An unreadable last row without its end counts as cut off."""
    rows = lines(path)
    next(rows)
    _, names = next(csv_rows(iter([next(rows, "")]), path), (2, []))
    if not {"r", "l", "t"} <= set(names):
        raise BadInput(f"{path}, line 2: columns are {', '.join(names) or 'missing'}; needed are r, l and t.")
    for number, line in enumerate(rows, 3):
        if not line.strip():
            continue
        try:
            row = dict(zip(names, next(csv.reader([line])), strict=True))
            seconds, value, length = (to_number(row[name]) for name in ("t", "r", "l"))
            if seconds is None or value is None or length is None or not math.isfinite(seconds):
                raise ValueError
            if not 1 <= length < MAX_STEP or length != int(length):
                raise ValueError
            yield seconds, value, int(length)
        except (ValueError, csv.Error):
            if line.endswith("\n"):
                raise BadInput(
                    f"{path}, line {number}: {line.strip()[:80]!r} is no row of {','.join(names)} (r and t numbers, "
                    "l a whole number of steps)."
                ) from None
            notes["cut-off lines"] += 1


def _evaluation_episodes(path: Path) -> dict[str, list[Any]]:
    """Evaluation episodes: `timesteps` (evaluations), `results` and `ep_lengths` (evaluations x episodes)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            steps, returns = stored["timesteps"], stored["results"]
            lengths = stored["ep_lengths"] if "ep_lengths" in stored else np.full(returns.shape, -1)
    except KeyError as error:
        raise BadInput(f"{path}: lacks the array {error}; evaluations.npz holds timesteps, results and ep_lengths.") from None
    except (OSError, ValueError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{path} is not evaluations.npz: {error}") from None
    if steps.ndim != 1 or returns.ndim != 2 or len(steps) != len(returns) or lengths.shape != returns.shape:
        shapes = f"timesteps {steps.shape}, results {returns.shape}, ep_lengths {lengths.shape}"
        raise BadInput(f"{path}: {shapes}; results and ep_lengths have a row per time step and a column per episode.")
    if not all(array.dtype.kind in "iuf" for array in (steps, returns, lengths)):
        raise BadInput(f"{path}: timesteps, results and ep_lengths are numbers.")
    bad = [i for i, step in enumerate(steps.tolist()) if not 0 <= step < MAX_STEP or step % 1]
    if bad:
        raise BadInput(f"{path}: timesteps[{bad[0]}] = {steps[bad[0]]}; allowed is a whole number, at least 0.")
    evaluations, episodes = returns.shape
    rows: dict[str, list[Any]] = {"split": ["eval"] * returns.size, "step": np.repeat(steps, episodes).astype(int).tolist()}
    rows |= {"episode": list(range(episodes)) * evaluations, "return": returns.astype(float).ravel().tolist()}
    return rows | {"length": [int(length) if 0 <= length < MAX_STEP else None for length in lengths.ravel()]}
