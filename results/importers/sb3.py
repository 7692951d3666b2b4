"""Stable-Baselines3: monitor.csv (training episodes) and evaluations.npz (evaluation episodes), one run per folder.

Monitor files of one folder are the environments of one run: their episodes are put in order of time, and a row's step is
the number of steps of all episodes that ended until then, as SB3's own plots count. The header names the environment;
method and seed are taken from paths as RL Zoo lays them out, `METHOD/ENV_SEED/`, or from --method, --seed or --layout.
Steps are calls of `env.step`; with --repeat N a step is N frames.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import BadInput
from results.importers._run import Run, Told, finite
from results.importers._text import lines

FILES = ("*monitor.csv", "evaluations.npz")
LAYOUT = "{method}/{task}_{seed}/*"


def runs(files: Sequence[Path], told: Told) -> Iterator[Run]:
    """The files of a folder are one run: `train` rows from monitor files, `eval` rows from evaluations.npz."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        folders[path.parent].append(path)
    for here in folders.values():
        notes, task, parts = Counter(), None, []
        monitors = [path for path in here if path.suffix != ".npz"]
        if monitors:
            rows, task = _monitored(monitors, notes)
            parts.append(rows)
        parts += [_evaluated(path) for path in here if path.suffix == ".npz"]
        rows = {name: [x for part in parts for x in part[name]] for name in parts[0]}
        names = told.named(here[0], LAYOUT, task=task)
        rows["frames"] = [step * (told.repeat or 1) for step in rows["step"]]
        rows["return"] = finite(rows["return"], notes)
        names, spelled = names | {"task": _ours(names["task"])}, names["task"]
        where = f"{len(here)} files of {here[0].parent.name}" if len(here) > 1 else f"{len(rows['step'])} episodes"
        yield Run(here[0], where, **names, rows=rows, unit="episode", spelled=spelled, notes=notes)


def _ours(task: str) -> str:
    """`CartPole-v1` -> `gym/CartPole-v1`; a name with a slash is one already, `ALE/Pong-v5` apart."""
    return task if "/" in task and not task.startswith("ALE/") else f"gym/{task}"


def _monitored(files: Sequence[Path], notes: Counter) -> tuple[dict[str, list], str | None]:
    """Episodes of all files in order of time, and the environment's id; BadInput where the files differ in it."""
    episodes, ids = [], {}
    for path in files:
        start, ids[path] = _head(path)
        episodes += [(start + t, r, l) for t, r, l in _episodes(path, notes)]
    if len(set(ids.values())) > 1:
        listed = ", ".join(f"{path.name} {name}" for path, name in ids.items())
        raise BadInput(f"{files[0].parent}: monitor files of one folder are one run, but of different environments: {listed}.")
    if len(files) > 1:
        episodes.sort(key=lambda episode: episode[0])
    _, returns, lengths = (list(column) for column in zip(*episodes, strict=True)) if episodes else ([], [], [])
    steps = list(accumulate(lengths))
    number = list(range(len(steps)))
    rows = {"split": ["train"] * len(steps), "step": steps, "episode": number, "return": returns, "length": lengths}
    return rows, next(iter(ids.values()))


def _head(path: Path) -> tuple[float, str | None]:
    """Time of the start (Unix seconds) and environment id of the first line, `#{"t_start": ..., "env_id": ...}`."""
    first = next(lines(path), "")
    try:
        head = json.loads(first.removeprefix("#"))
        return float(head["t_start"]), head.get("env_id")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f'{path}, line 1: a monitor file opens with #{{"t_start": ..., "env_id": ...}}.') from None


def _episodes(path: Path, notes: Counter) -> Iterator[tuple[float, float, int]]:
    """`(time, return, length)` per row; a last row without its end that cannot be read is counted as cut off."""
    rows = lines(path)
    next(rows)
    names = next(csv.reader([next(rows, "")]), [])
    if not {"r", "l", "t"} <= set(names):
        raise BadInput(f"{path}, line 2: columns are {', '.join(names) or 'missing'}; needed are r, l and t.")
    for number, line in enumerate(rows, 3):
        if not line.strip():
            continue
        try:
            row = dict(zip(names, next(csv.reader([line])), strict=True))
            length = int(row["l"])
            if length < 1:
                raise ValueError
            yield float(row["t"]), float(row["r"]), length
        except ValueError:
            if line.endswith("\n"):
                raise BadInput(
                    f"{path}, line {number}: {line.strip()[:80]!r} is no row of {','.join(names)} (r and t numbers, "
                    "l a whole number of steps)."
                ) from None
            notes["cut-off lines"] += 1


def _evaluated(path: Path) -> dict[str, list]:
    """Evaluation episodes: `timesteps` (evaluations), `results` and `ep_lengths` (evaluations x episodes)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            steps, returns = stored["timesteps"], stored["results"]
            lengths = stored["ep_lengths"] if "ep_lengths" in stored else np.full(returns.shape, -1)
    except KeyError as error:
        raise BadInput(f"{path}: lacks the array {error}; evaluations.npz holds timesteps, results and ep_lengths.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is not evaluations.npz: {error}") from None
    if steps.ndim != 1 or returns.ndim != 2 or len(steps) != len(returns) or lengths.shape != returns.shape:
        shapes = f"timesteps {steps.shape}, results {returns.shape}, ep_lengths {lengths.shape}"
        raise BadInput(f"{path}: {shapes}; results and ep_lengths have a row per time step and a column per episode.")
    if not all(np.issubdtype(array.dtype, np.number) for array in (steps, returns, lengths)):
        raise BadInput(f"{path}: timesteps, results and ep_lengths are numbers.")
    evaluations, episodes = returns.shape
    rows: dict[str, Any] = {"split": ["eval"] * returns.size, "step": np.repeat(steps, episodes).astype(int).tolist()}
    rows |= {"episode": list(range(episodes)) * evaluations, "return": returns.astype(float).ravel().tolist()}
    return rows | {"length": [None if length < 0 else int(length) for length in lengths.ravel()]}
