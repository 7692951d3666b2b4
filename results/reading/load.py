"""Run directories -> two tidy tables: a row per run and a row per episode, a column per thing that varies."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness import rundir
from harness.errors import BadInput
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
    host, message, wall_seconds (start to last heartbeat), final_step (largest step of an evaluation; -1 for none).
    episodes: one row per episode: AXES, run, path, train_seed, state, done, final_step and what episodes.jsonl holds,
    with the environment's `seed` as `env_seed` and the run's as `train_seed`; `noise` is what it was played under.
    """

    runs: pd.DataFrame
    episodes: pd.DataFrame


def load(roots: Iterable[Path | str]) -> Results:
    """Read every run at or below the roots. The order of roots, runs and rows makes no difference.

    A root may be a file: a stored table (`export csv`, `stored`), an archive (`export archive`) or a DreamerV3 score file,
    unpacked until the process ends. Rows that were read before come from a root's cache (`reading.cache`). Runs may be
    writing meanwhile.
    """
    roots = list(map(Path, roots))
    kept = [Cache(root.resolve()) for root in roots if root.is_dir() and not (root / "config.json").exists()]
    return read(rundir.find_runs(importers.directories(roots)), kept)


def read(found: list[rundir.RunDir], kept: Iterable[Cache] = ()) -> Results:
    """As `load`, of run directories."""
    # States before rows: a run that is done by then has written them all, so that no earlier evaluation passes for its last.
    kept = list(kept)
    runs = pd.DataFrame([_described(run, kept) for run in found])
    runs["variant"] = _variants(runs)
    runs["eval_noises"] = [tuple(noises) for noises in runs.eval_noises]
    runs = runs.drop(columns="settings")
    columns = _columns(runs.path, kept)
    runs["final_step"] = [_final_step(columns[path]) for path in runs.path]
    runs = runs.sort_values([*AXES, "train_seed", "run", "path"], ignore_index=True)
    return Results(runs, _episodes(runs, columns))


def final_episodes(results: Results) -> pd.DataFrame:
    """Evaluation episodes of the last checkpoint of every run that is done: what a final score may be made of."""
    e = results.episodes
    return e[(e.split == "eval") & e.done & (e.step == e.final_step)]


def runs(results: Results) -> pd.DataFrame:
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


def _described(run: rundir.RunDir, kept: list[Cache]) -> dict[str, Any]:
    """The row of a run, from a cache where config.json and state.json are as they were."""
    path, done = _real(run.path), run.done
    cache, name = _of(path, kept)
    stats = _stats(path) if cache else None
    facts = stats and cache.facts(name, stats[0])
    if not facts:
        facts = _facts(run)
        if stats:
            cache.put_facts(name, stats[0], facts, stats[1])
    known = {"benchmark": benchmarks.of_task(facts["task"], facts["benchmark"]), "state": "done" if done else facts["state"]}
    return facts | known | {"run": run.name, "path": path, "done": done}


def _stats(path: str) -> tuple[rows.Key, float] | None:
    """Key of config.json and state.json together, and the younger one's age."""
    with contextlib.suppress(FileNotFoundError):
        found = [os.stat(os.path.join(path, name)) for name in ("config.json", "state.json")]
        return sum(map(rows.key, found), ()), min(map(rows.age, found))
    return None


def _facts(run: rundir.RunDir) -> dict[str, Any]:
    """What config.json and state.json come to, as JSON; `settings`: all but names, the seed and what is measured."""
    config, state = run.config, run.state
    try:
        axes = {
            **{key: config[key] for key in ("study", "task", "preset", "size", "precision", "steps")},
            **{key: config[key] for key in ("ablation", "train_noise")},
            "agent": config["agent"]["kind"],
            "benchmark": config.get("imported", {}).get("benchmark", ""),  # as the source said it
            "train_seed": config["seed"],
            "policy": config["evaluate"]["policy"],
            "eval_noises": list(config["evaluate"]["noise"]),
        }
    except (KeyError, TypeError) as error:
        raise BadInput(f"{run.path / 'config.json'} lacks {error}, which every run's configuration has.") from None
    started, updated = state.get("started"), state.get("updated")
    return axes | {
        "state": state.get("state", "queued"),
        **{key: state.get(key, 0) for key in ("step", "updates", "attempt")},
        **{key: state.get(key) or "" for key in ("host", "message")},
        "wall_seconds": updated - started if started and updated else state.get("wall_seconds", np.nan),
        "settings": _text(config | _as_run(config, state)),
    }


def _as_run(config: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Settings that the machine chose, where the run has begun."""
    chosen = state.get("compile") if config.get("compile") == "auto" else None
    return {} if chosen is None else {"compile": chosen}


def _of(path: str, kept: list[Cache]) -> tuple[Cache | None, str]:
    """The cache that may hold a run, and its name there."""
    cache = next((cache for cache in kept if path.startswith(cache.root + os.sep)), None)
    return cache, path[len(cache.root) + 1 :] if cache else ""


def _real(path: Path) -> str:
    """As `Path.resolve`; the folders above thousands of runs are looked up once."""
    return os.path.realpath(path) if path.is_symlink() else os.path.join(_folder(str(path.parent), os.getcwd()), path.name)


@lru_cache(maxsize=64)
def _folder(path: str, _here: str) -> str:
    return os.path.realpath(path)


def _columns(paths: Iterable[str], kept: list[Cache]) -> dict[str, rows.Columns]:
    """Path of a run -> its rows, from a cache where one holds them."""
    columns: dict[str, rows.Columns] = {}
    for path in paths:
        file = os.path.join(path, "episodes.jsonl")
        cache, name = _of(path, kept)
        with contextlib.suppress(FileNotFoundError):
            columns[path] = cache and cache.get(name, rows.key(os.stat(file)))
        if columns.get(path) is None:
            columns[path], key, age = rows.read(Path(file))
            if cache and key:
                cache.put(name, key, columns[path], age)
    for cache in kept:
        cache.save()
    return columns


def _final_step(columns: rows.Columns) -> int:
    steps = columns["step"][columns["split"] == "eval"] if columns else []
    steps = [step for step in steps if step == step]
    return int(max(steps, default=-1))


def _episodes(runs: pd.DataFrame, columns: dict[str, rows.Columns]) -> pd.DataFrame:
    """One row per episode, in the order of the runs and within them by rows.WITHIN; BadInput where a row lacks a field."""
    shared = [*AXES, "run", "path", "train_seed", "state", "done", "final_step"]
    own = [columns[path] for path in runs.path]
    lengths = [len(each["return"]) if each else 0 for each in own]
    names = dict.fromkeys(name for each in own for name in each) or dict.fromkeys(rows.NEEDED)
    table = runs[shared].take(np.repeat(np.arange(len(runs)), lengths)).reset_index(drop=True)
    own, lengths = [each for each in own if each], [n for n in lengths if n]
    data = {name: rows.joined([each.get(name) for each in own], lengths) for name in names if name not in shared}
    return pd.concat([table, pd.DataFrame(data, index=table.index).rename(columns={"seed": "env_seed"})], axis=1)


def _variants(runs: pd.DataFrame) -> list[str]:
    """Per run the settings, as `path=value ...`, in which runs that are equal on every axis differ; mostly ''.

    Without it two runs that differ in, say, `agent.horizon` would be averaged as if they were two seeds of one method.
    """
    groups: dict[tuple, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    axes = runs[[a for a in AXES if a != "variant"]].itertuples(index=False, name=None)
    for index, (key, settings) in enumerate(zip(axes, runs.settings, strict=True)):
        groups[key][settings].append(index)
    variants = [""] * len(runs)
    for alike in groups.values():
        if len(alike) > 1:
            leaves = {text: _dotted(text) for text in alike}
            _settle(leaves.values())
            paths = sorted({path for own in leaves.values() for path in own})
            varying = [path for path in paths if len({own.get(path) for own in leaves.values()}) > 1]
            for text, members in alike.items():
                for index in members:
                    variants[index] = " ".join(f"{path}={leaves[text].get(path, 'absent')}" for path in varying)
    return variants


def _settle(alike: Collection[dict[str, str]]) -> None:
    """Runs that have yet to begin will be compiled as those that have, as far as anybody can tell."""
    known = {own["compile"] for own in alike if own.get("compile", '"auto"') != '"auto"'}
    for own in alike if len(known) == 1 else ():
        if own.get("compile") == '"auto"':
            own["compile"] = next(iter(known))


_SEED = re.compile(r"\.s\d+-[0-9a-f]{8}(?=\"|$)")
# Names, the seed, what is measured (policy: in each row), and how an imported run was called where it comes from.
_NOT_SETTINGS = {"version", "study", "seed", "evaluate", "imported"}


def settings(config: dict[str, Any]) -> dict[str, str]:
    """Dotted path -> value (JSON) of every setting of a run's configuration, without names, its seed and what is measured."""
    return _dotted(_text(config))


def _text(config: dict[str, Any]) -> str:
    """The settings as JSON: what equal runs of other seeds have in common."""
    own = {name: value for name, value in config.items() if name not in _NOT_SETTINGS}
    # Of seed s adapts the source's seed s: what differs between adaptations is the source without it.
    return _SEED.sub("", json.dumps(own, sort_keys=True))


def _dotted(text: str) -> dict[str, str]:
    return dict(_leaves("", json.loads(text)))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, json.dumps(value, sort_keys=True)
