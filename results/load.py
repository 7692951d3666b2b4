"""Run directories -> two tidy tables: a row per run and a row per episode, a column per thing that varies."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness import rundir
from harness.errors import BadInput
from results import benchmarks, importers

# What defines a run beside its training seed. `variant` names every other setting in which otherwise equal runs differ.
AXES = ["study", "task", "agent", "preset", "size", "precision", "steps", "variant", "ablation", "train_noise"]
EPISODE = ["split", "step", "noise", "episode", "seed", "return", "length", "policy"]  # needed of every row
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

    A root may be a file: a stored table (`export csv`, `stored`) or a DreamerV3 score file, imported for the occasion.
    """
    with importers.directories(roots) as folders:
        return read(rundir.find(folders))


def read(found: list[rundir.RunDir]) -> Results:
    """As `load`, of run directories."""
    runs = pd.DataFrame([_describe(run) for run in found])
    runs["variant"] = _variants(runs, [run.config for run in found])
    episodes = _episodes(found)
    last = episodes[episodes.split == "eval"].groupby("path").step.max()
    runs["final_step"] = runs.path.map(last).fillna(-1).astype(int)
    shared = [*AXES, "run", "path", "train_seed", "state", "done", "final_step"]
    own = [column for column in episodes if column == "path" or column not in shared]
    episodes = runs[shared].merge(episodes[own], on="path", how="inner", validate="one_to_many")
    order = [*AXES, "train_seed", "run", "path"]
    within = ["split", "noise", "policy", "step", "episode", "return"]
    return Results(runs.sort_values(order, ignore_index=True), episodes.sort_values([*order, *within], ignore_index=True))


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


def _describe(run: rundir.RunDir) -> dict[str, Any]:
    config, state = run.config, run.state
    try:
        axes = {
            **{key: config[key] for key in ("study", "task", "preset", "size", "precision", "steps")},
            **{key: config[key] for key in ("ablation", "train_noise")},
            "agent": config["agent"]["kind"],
            "benchmark": benchmarks.of_task(config["task"], config.get("imported", {}).get("benchmark", "")),
            "train_seed": config["seed"],
            "policy": config["evaluate"]["policy"],
            "eval_noises": tuple(config["evaluate"]["noise"]),
        }
    except (KeyError, TypeError) as error:
        raise BadInput(f"{run.path / 'config.json'} lacks {error}, which every run's configuration has.") from None
    started, updated = state.get("started"), state.get("updated")
    return axes | {
        "run": run.name,
        "path": str(run.path.resolve()),
        "state": "done" if run.done else state.get("state", "queued"),
        "done": run.done,
        **{key: state.get(key, 0) for key in ("step", "updates", "attempt")},
        **{key: state.get(key) or "" for key in ("host", "message")},
        "wall_seconds": updated - started if started and updated else state.get("wall_seconds", np.nan),
    }


def _episodes(found: list[rundir.RunDir]) -> pd.DataFrame:
    """All rows of all episodes.jsonl with the run's path; BadInput names the file where a row lacks a field."""
    rows = [row | {"path": str(run.path.resolve())} for run in found for row in _complete(run)]
    table = pd.DataFrame(rows, columns=None if rows else [*EPISODE, "path"])
    table["return"] = table["return"].astype(float)
    return table.rename(columns={"seed": "env_seed"})


def _complete(run: rundir.RunDir) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(run.rows("episodes"), 1):
        lacking = [key for key in EPISODE if key not in row]
        if lacking:
            raise BadInput(f"{run.path / 'episodes.jsonl'}, row {number}: lacks {', '.join(lacking)}.")
        yield row


def _variants(runs: pd.DataFrame, configs: list[dict[str, Any]]) -> list[str]:
    """Per run the settings, as `path=value ...`, in which runs that are equal on every axis differ; mostly ''.

    Without it two runs that differ in, say, `agent.horizon` would be averaged as if they were two seeds of one method.
    """
    leaves = [settings(config) for config in configs]
    groups = defaultdict(list)
    for index, key in enumerate(runs[[a for a in AXES if a != "variant"]].itertuples(index=False, name=None)):
        groups[key].append(index)
    variants = [""] * len(configs)
    for members in groups.values():
        paths = sorted({path for index in members for path in leaves[index]})
        varying = [path for path in paths if len({leaves[index].get(path) for index in members}) > 1]
        for index in members:
            variants[index] = " ".join(f"{path}={leaves[index].get(path, 'absent')}" for path in varying)
    return variants


_SEED = re.compile(r"\.s\d+-[0-9a-f]{8}(?=\"|$)")
# Names, the seed, what is measured (policy: in each row), and how an imported run was called where it comes from.
_NOT_SETTINGS = {"version", "study", "seed", "evaluate", "imported"}


def settings(config: dict[str, Any]) -> dict[str, str]:
    """Dotted path -> value (JSON) of every setting of a run's configuration, without names, its seed and what is measured."""
    own = dict(_leaves("", config))
    # Of seed s adapts the source's seed s: what differs between adaptations is the source without it.
    own["source"] = _SEED.sub("", own.get("source", "null"))
    return own


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key in value.keys() - (_NOT_SETTINGS if not prefix else set()):
            yield from _leaves(f"{prefix}.{key}" if prefix else key, value[key])
    else:
        yield prefix, json.dumps(value, sort_keys=True)
