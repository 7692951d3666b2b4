"""What was run: the axes of every study, and what each arm changes against the base, from the stored configurations."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from harness import plugins
from results import style
from results.check import Evidence
from results.reading import load
from results.scoring.noises import noise_order

AXES = ("task", "agent", "preset", "ablation", "train_noise", "train_seed", "size", "precision", "steps", "policy")
LABELS = {"train_noise": "trained with", "train_seed": "training seeds", "policy": "evaluation policy"}
# Axes, which are told as such; what is left of two configurations is what an arm changes.
NAMED = {"task", "ablation", "train_noise"}
APART = ("preset", "size", "precision", "variant")
ABSENT = "absent"


@dataclass(frozen=True)
class Change:
    """One setting of an arm that is not the base's; tasks: where it is so, '' for all that both have."""

    path: str
    base: str
    here: str
    tasks: str


@dataclass(frozen=True)
class Arm:
    name: str
    caption: str
    runs: int
    changes: list[Change]


@dataclass(frozen=True)
class Design:
    """axes: (name, values). base: the arm that others are compared with; settings: its own, on its first task.

    imported: how many runs come from files that hold results and not every setting.
    """

    study: str
    axes: list[tuple[str, str]]
    base: str
    arms: list[Arm]
    settings: list[tuple[str, str]]
    imported: int


def of(evidence: Evidence) -> list[Design]:
    """One per study, in the order of the runs."""
    return [_design(study, runs, evidence) for study, runs in evidence.results.runs.groupby("study", sort=True)]


def _design(study: str, runs: pd.DataFrame, evidence: Evidence) -> Design:
    arms = {name: own for name, own in _arms(runs)}
    base = next(iter(arms))
    settings = {path: load.settings(config) for path, config in evidence.configs.items()}
    told = [Arm(name, _caption(own), len(own), list(_changes(own, arms[base], settings))) for name, own in arms.items()]
    first = settings[arms[base].path.iloc[0]]
    imported = sum("imported" in evidence.configs[path] for path in runs.path)
    return Design(study, list(_axes(runs, evidence)), base, told, sorted(_shown(first).items()), imported)


def _arms(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """`agent · ablation` and its runs: the unchanged agent, which is the base, first and random play last.

    Sizes, presets, precisions and other settings of otherwise one arm make arms of their own, and are in their names.
    """
    told = [axis for axis in APART if runs[axis][runs.agent != "random"].nunique() > 1]
    ordered = runs.assign(last=runs.agent == "random", first=runs.ablation.map(style.ablation_order))
    for (_, _, *names), own in ordered.groupby(["last", "first", "agent", "ablation", *told], sort=True):
        yield " · ".join(name for name in names if name), own


def _axes(runs: pd.DataFrame, evidence: Evidence) -> Iterator[tuple[str, str]]:
    orders = {"train_noise": noise_order, "ablation": style.ablation_order}
    trained = runs[runs.agent != "random"] if (runs.agent != "random").any() else runs
    for axis in AXES:
        values = sorted((runs if axis == "agent" else trained)[axis].unique(), key=orders.get(axis))
        yield LABELS.get(axis, axis), ", ".join(map(str, values))
    tested = {noise for noises in runs.eval_noises for noise in noises}
    if tested:
        yield "tested with", ", ".join(sorted(tested, key=noise_order))
    episodes = {evidence.configs[path]["evaluate"].get("episodes") for path in runs.path} - {None}
    if episodes and tested:
        yield "episodes per evaluation", ", ".join(map(str, sorted(episodes)))


def _changes(arm: pd.DataFrame, base: pd.DataFrame, settings: dict[str, dict[str, str]]) -> Iterator[Change]:
    """What the first run of the arm on each task changes against the base's there."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    pairs = [task for task in _tasks(arm) if task in set(base.task)]
    for task in pairs:
        here, there = (_shown(settings[side.path[side.task == task].iloc[0]]) for side in (arm, base))
        replaced = tuple(p.removesuffix("kind") for p in {*here, *there} if p.endswith("kind") and here.get(p) != there.get(p))
        for path in sorted({*here, *there}):
            # What vanishes with a part that is replaced is no choice of its own.
            if here.get(path) != there.get(path) and not (path not in here and path.startswith(replaced)):
                found[path, there.get(path, ABSENT), here.get(path, ABSENT)].append(task)
    for (path, there, here), tasks in found.items():
        yield Change(path, there, here, "" if len(tasks) == len(pairs) else ", ".join(tasks))


def _tasks(runs: pd.DataFrame) -> Iterable[str]:
    return sorted(runs.task.unique())


def _shown(settings: dict[str, str]) -> dict[str, str]:
    """Without the axes and a source that is not there; strings without their quotes."""
    told = {path: value for path, value in settings.items() if path not in NAMED and (path, value) != ("source", "null")}
    return {path: _plain(value) for path, value in told.items()}


def _plain(value: str) -> str:
    read = json.loads(value)
    return read if isinstance(read, str) else value


def _caption(runs: pd.DataFrame) -> str:
    """The first line of the ablation's file, where it is one."""
    name = runs.ablation.iloc[0]
    return plugins.caption(plugins.load("ablations", name)) if name in plugins.names("ablations") else ""
