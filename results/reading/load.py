"""Run directories -> two tidy tables: a row per run and a row per episode, a column per thing that varies."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness import rundir
from harness.errors import BadInput, printable
from results import benchmarks, importers
from results.reading import rows
from results.reading.cache import Cache

# What defines a run beside its training seed. `variant` names every other setting in which otherwise equal runs differ.
AXES = ["study", "task", "agent", "preset", "size", "precision", "steps", "variant", "ablation", "train_noise"]
FINAL = "last checkpoint"  # the final-score rule: evaluation episodes of the run's last checkpoint, runs that are done
LAST_TRAINING = 10  # training episodes that stand in for a score where there is no final clean evaluation


@dataclass(frozen=True)
class Results:
    """Everything tables and figures are made from.

    runs: one row per run: AXES, benchmark, run, path, train_seed, policy, eval_noises, state, done, step, updates, attempt,
    host, message, wall_seconds (time at work), final_step (largest step of an evaluation; -1 for none).
    episodes: one row per episode: AXES, run, path, train_seed, state, done, final_step and what episodes.jsonl holds,
    with the environment's `seed` as `env_seed` and the run's as `train_seed`; `noise` is what it was played under.
    """

    runs: pd.DataFrame
    episodes: pd.DataFrame
    unread: tuple[str, ...] = ()  # folders and links below the roots that could not be read, each with the reason


def load(roots: Iterable[Path | str]) -> Results:
    """Read every run at or below the roots. The order of roots, runs and rows makes no difference.

    A root may be a file: a stored table (`export csv`, `stored`), an archive (`export archive`) or a DreamerV3 score file,
    unpacked until the process ends. Rows that were read before come from a root's cache (`reading.cache`). Runs may be
    writing meanwhile.
    """
    paths = [Path(root) for root in roots]
    caches = [Cache(path.resolve()) for path in paths if path.is_dir() and not (path / "config.json").exists()]
    unread: list[str] = []
    results = read_runs(rundir.find_runs(importers.directories(paths), unread), caches)
    return replace(results, unread=tuple(unread))


def read_runs(run_dirs: list[rundir.RunDir], caches: Iterable[Cache] = ()) -> Results:
    """As `load`, of run directories."""
    # Read states before rows: a run that is done has written all rows, so no earlier evaluation is taken for its last.
    caches = list(caches)
    runs = pd.DataFrame([_run_row(run, caches) for run in run_dirs])
    runs["variant"] = _variants(runs)
    runs["eval_noises"] = [tuple(noises) for noises in runs.eval_noises]
    runs = runs.drop(columns="settings")
    columns = _read_columns(runs.path, caches)
    for path, task, train_noise in zip(runs.path, runs.task, runs.train_noise, strict=True):
        _check_owner(path, columns[path], task, train_noise)
    runs["final_step"] = [_final_step(columns[path]) for path in runs.path]
    runs = runs.sort_values([*AXES, "train_seed", "run", "path"], ignore_index=True)
    return Results(runs, _episodes(runs, columns))


def final_episodes(results: Results) -> pd.DataFrame:
    """Evaluation episodes of the last checkpoint of every run that is done: what a final score may be made of."""
    e = results.episodes
    return e[(e.split == "eval") & e.done & (e.step == e.final_step)]


def with_final_scores(results: Results) -> pd.DataFrame:
    """The runs with `final_score` (return) and `final_rule`, the name of what it is the mean of.

    Done runs: the clean evaluation episodes of the last checkpoint. Others, or where there are none: the last
    LAST_TRAINING training episodes, which were played under the training noise and while still learning.
    """
    final = final_episodes(results)
    clean = final[final.noise == "clean"].groupby("path")["return"].mean()
    e = results.episodes
    training = e[e.split == "train"].sort_values(["path", "step", "episode", "return"])
    last = training.groupby("path").tail(LAST_TRAINING).groupby("path")["return"].mean()
    scored = results.runs.path.map(clean)
    fallback = results.runs.path.map(last)
    rule = np.select([scored.notna(), fallback.notna()], [FINAL, f"last {LAST_TRAINING} training episodes"], "")
    return results.runs.assign(final_score=scored.fillna(fallback), final_rule=rule)


def _run_row(run: rundir.RunDir, caches: list[Cache]) -> dict[str, Any]:
    """The row of a run, from a cache where config.json and state.json are as they were."""
    path, done = _real_path(run.path), run.done
    cache, name = _cache_of(path, caches)
    stats = _stats(path) if cache else None
    facts = cache.facts(name, stats[0]) if cache and stats else None
    if not facts:
        facts = _read_facts(run)
        if cache and stats:
            cache.put_facts(name, stats[0], facts, stats[1])
    state = "done" if done else facts["state"]
    benchmark = benchmarks.name_of_task(facts["task"], facts["benchmark"])
    names = {"benchmark": benchmark, "state": state, "run": printable(run.name)}
    return {"seeded": True} | facts | names | {"path": path, "done": done}


def _stats(path: str) -> tuple[rows.FileKey, float] | None:
    """Key of config.json and state.json together, and the younger one's age."""
    with contextlib.suppress(FileNotFoundError):
        stats = [os.stat(os.path.join(path, name)) for name in ("config.json", "state.json")]
        return tuple(number for stat in stats for number in rows.key(stat)), min(map(rows.age, stats))
    return None


def _read_facts(run: rundir.RunDir) -> dict[str, Any]:
    """What config.json and state.json come to, as JSON; `settings`: all but names, the seed and what is measured."""
    config, state = run.config, run.state
    try:
        axes = {
            **{key: config[key] for key in ("study", "task", "preset", "size", "precision", "steps")},
            **{key: config[key] for key in ("ablation", "train_noise")},
            "agent": config["agent"]["kind"],
            "benchmark": config.get("imported", {}).get("benchmark", ""),  # as the source names it
            "train_seed": config["seed"],
            "policy": config["evaluate"]["policy"],
            "eval_noises": list(config["evaluate"]["noise"]),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{run.path / 'config.json'} lacks {error}, which every run's configuration has.") from None
    for name, value in axes.items():
        texts = value if name == "eval_noises" else [value]
        fits = rundir.is_number(value) and type(value) is int if name in ("steps", "train_seed") else all(map(_is_text, texts))
        if not fits:
            raise BadInput(f"{run.path / 'config.json'}: {name} = {str(value)[:40]!r}: not what a run's configuration holds.")
        if _is_text(value):
            axes[name] = printable(value)
    return axes | {
        "state": state.get("state", "queued"),
        **{key: state.get(key, 0) for key in ("step", "updates", "attempt")},
        **{key: printable(str(state.get(key) or "")) for key in ("host", "message")},
        "wall_seconds": _wall_seconds(state),
        "seeded": state.get("seeded", True),  # False: its environment ignores the seed
        "settings": _settings_text(config | _machine_settings(config, state)),
    }


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _wall_seconds(state: dict[str, Any]) -> float:
    """Time at work, without the time between attempts; of a run that did not record it, start to last heartbeat."""
    started, updated = state.get("started"), state.get("updated")
    if rundir.is_number(state.get("seconds")):
        return state["seconds"]
    return updated - started if started and updated else state.get("wall_seconds", np.nan)


def _machine_settings(config: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Settings that the machine decided when the run started."""
    compiled = state.get("compile") if config.get("compile") == "auto" else None
    return {} if compiled is None else {"compile": compiled}


def _cache_of(path: str, caches: list[Cache]) -> tuple[Cache | None, str]:
    """The cache that may hold a run, and its name there."""
    cache = next((cache for cache in caches if path.startswith(cache.root + os.sep)), None)
    return cache, path[len(cache.root) + 1 :] if cache else ""


def _real_path(path: Path) -> str:
    """As `Path.resolve`; the folders above thousands of runs are looked up once."""
    if path.is_symlink():
        return os.path.realpath(path)
    return os.path.join(_real_folder(str(path.parent), os.getcwd()), path.name)


@lru_cache(maxsize=64)
def _real_folder(path: str, _cwd: str) -> str:
    return os.path.realpath(path)


def _read_columns(paths: Iterable[str], caches: list[Cache]) -> dict[str, rows.Columns]:
    """Path of a run -> its rows, from a cache where one holds them."""
    columns: dict[str, rows.Columns] = {}
    for path in paths:
        file = os.path.join(path, "episodes.jsonl")
        cache, name = _cache_of(path, caches)
        cached = None
        with contextlib.suppress(FileNotFoundError):
            cached = cache.get(name, rows.key(os.stat(file))) if cache else None
        if cached is None:
            columns[path], key, age = rows.read(Path(file))
            if cache and key:
                cache.put(name, key, columns[path], age)
        else:
            columns[path] = cached
    for cache in caches:
        cache.save()
    return columns


def _check_owner(path: str, columns: rows.Columns, task: str, train_noise: str) -> None:
    """BadInput where the rows say that they are another run's. Looks at the first and last row; imported rows name no task."""
    if not columns or "task" not in columns:
        return
    for index in (0, -1):
        row_task, split, row_noise = (columns[name][index] for name in ("task", "split", "noise"))
        if row_task and (row_task != task or (split == "train" and row_noise != train_noise)):
            raise BadInput(
                f"{path}/episodes.jsonl holds rows of {row_task} under {row_noise}, but the run is of {task}, trained under "
                f"{train_noise}: it is the file of another run."
            )


def _final_step(columns: rows.Columns) -> int:
    steps = columns["step"][columns["split"] == "eval"] if columns else []
    steps = [step for step in steps if step == step]
    return int(max(steps, default=-1))


def _episodes(runs: pd.DataFrame, columns: dict[str, rows.Columns]) -> pd.DataFrame:
    """One row per episode, in the order of the runs and within them by rows.WITHIN; BadInput where a row lacks a field."""
    shared = [*AXES, "run", "path", "train_seed", "state", "done", "final_step"]
    by_run = [columns[path] for path in runs.path]
    lengths = [len(run_columns["return"]) if run_columns else 0 for run_columns in by_run]
    names = dict.fromkeys(name for run_columns in by_run for name in run_columns) or dict.fromkeys(rows.NEEDED)
    table = runs[shared].take(np.repeat(np.arange(len(runs)), lengths)).reset_index(drop=True)
    by_run, lengths = [run_columns for run_columns in by_run if run_columns], [n for n in lengths if n]
    data = {
        name: rows.joined([run_columns.get(name) for run_columns in by_run], lengths) for name in names if name not in shared
    }
    return pd.concat([table, pd.DataFrame(data, index=table.index).rename(columns={"seed": "env_seed"})], axis=1)


def _variants(runs: pd.DataFrame) -> list[str]:
    """Per run the settings, as `path=value ...`, in which runs that are equal on every axis differ; mostly ''.

    Without it two runs that differ in, say, `agent.horizon` would be averaged as if they were two seeds of one method.
    """
    groups: dict[tuple, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    axes = runs[[a for a in AXES if a != "variant"]].itertuples(index=False, name=None)
    for index, (key, settings_text) in enumerate(zip(axes, runs.settings, strict=True)):
        groups[key][settings_text].append(index)
    variants = [""] * len(runs)
    for indices_by_settings in groups.values():
        if len(indices_by_settings) > 1:
            leaves = {text: _dotted(text) for text in indices_by_settings}
            _settle_compile(leaves.values())
            paths = sorted({path for run_settings in leaves.values() for path in run_settings})
            varying = [path for path in paths if len({run_settings.get(path) for run_settings in leaves.values()}) > 1]
            for text, indices in indices_by_settings.items():
                for index in indices:
                    variants[index] = " ".join(f"{path}={leaves[text].get(path, 'absent')}" for path in varying)
    return variants


def _settle_compile(settings_of_runs: Collection[dict[str, str]]) -> None:
    """Give runs that have not started the compile mode of those that have, if that is only one."""
    decided = {settings["compile"] for settings in settings_of_runs if settings.get("compile", '"auto"') != '"auto"'}
    for settings in settings_of_runs if len(decided) == 1 else ():
        if settings.get("compile") == '"auto"':
            settings["compile"] = next(iter(decided))


_SEED = re.compile(r"\.s\d+-[0-9a-f]{8}(?=\"|$)")
# Names, the seed, what is measured (each row has its policy), and the names of an imported run in its source.
_NOT_SETTINGS = {"version", "study", "seed", "evaluate", "imported"}


def run_settings(config: dict[str, Any]) -> dict[str, str]:
    """Dotted path -> value (JSON) of every setting of a run's configuration, without names, its seed and what is measured."""
    return _dotted(_settings_text(config))


def _settings_text(config: dict[str, Any]) -> str:
    """The settings as JSON: what equal runs of other seeds have in common."""
    settings = {name: value for name, value in config.items() if name not in _NOT_SETTINGS}
    # An adaptation of seed s starts from the source run of seed s. Without its seed, the source is the same setting for all.
    return _SEED.sub("", json.dumps(settings, sort_keys=True))


def _dotted(text: str) -> dict[str, str]:
    return dict(_leaves("", json.loads(text)))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, json.dumps(value, sort_keys=True)
