"""The design of every study: its axes, and the changes of each arm against the base, from the stored configurations."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from harness import plugins
from results import style
from results.check import RunEvidence
from results.reading import load
from results.reading.records import groups, tuple_groups
from results.scoring.noises import noise_order

AXES = ("task", "agent", "preset", "ablation", "train_noise", "train_seed", "size", "precision", "steps", "policy")
LABELS = {"train_noise": "trained with", "train_seed": "training seeds", "policy": "evaluation policy"}
AXIS_SETTINGS = {"task", "ablation", "train_noise"}  # the page lists them as axes and not as changes
ARM_AXES = ("preset", "size", "precision", "variant")  # different values make different arms
ABSENT = "absent"


@dataclass(frozen=True)
class Change:
    """One setting in which an arm differs from the base. tasks: where it does, '' for all common tasks."""

    path: str
    base: str
    arm: str
    tasks: str


@dataclass(frozen=True)
class Arm:
    name: str
    caption: str
    runs: int
    changes: list[Change]


@dataclass(frozen=True)
class Design:
    """The design of one study.

    axes: (name, values). base: the arm that the others are compared with. settings: of the base, on its first task.
    imported: number of runs from files that hold results but not every setting.
    """

    study: str
    axes: list[tuple[str, str]]
    base: str
    arms: list[Arm]
    settings: list[tuple[str, str]]
    imported: int


def designs(evidence: RunEvidence) -> list[Design]:
    """One per study, in the order of the runs."""
    return [_design(study, runs, evidence) for study, runs in groups(evidence.results.runs, "study", sort=True)]


def _design(study: str, runs: pd.DataFrame, evidence: RunEvidence) -> Design:
    runs_of_arm = dict(_arms(runs))
    base, base_runs = next(iter(runs_of_arm.items()))
    settings = {path: load.run_settings(config) for path, config in evidence.configs.items()}
    arms = [
        Arm(name, _caption(arm_runs), len(arm_runs), list(_changes(arm_runs, base_runs, settings)))
        for name, arm_runs in runs_of_arm.items()
    ]
    base_settings = sorted(_displayed(settings[base_runs.path.iloc[0]]).items())
    imported = sum("imported" in evidence.configs[path] for path in runs.path)
    return Design(study, list(_axes(runs, evidence)), base, arms, base_settings, imported)


def _arms(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """`(agent · ablation, runs)`: the unchanged agent first, which is the base, and random play last.

    Different sizes, presets, precisions and other settings make different arms, and are part of their names.
    """
    varying = [axis for axis in ARM_AXES if runs[axis][runs.agent != "random"].nunique() > 1]
    ordered = runs.assign(is_random=runs.agent == "random", order=runs.ablation.map(style.ablation_order))
    for (_, _, *names), arm_runs in tuple_groups(ordered, ["is_random", "order", "agent", "ablation", *varying], sort=True):
        yield " · ".join(name for name in names if name), arm_runs


def _axes(runs: pd.DataFrame, evidence: RunEvidence) -> Iterator[tuple[str, str]]:
    orders = {"train_noise": noise_order, "ablation": style.ablation_order}
    trained = runs[runs.agent != "random"] if (runs.agent != "random").any() else runs
    for axis in AXES:
        values = sorted((runs if axis == "agent" else trained)[axis].unique(), key=orders.get(axis))
        yield LABELS.get(axis, axis), ", ".join(map(str, values))
    eval_noises = {noise for noises in runs.eval_noises for noise in noises}
    if not eval_noises:
        return
    yield "tested with", ", ".join(sorted(eval_noises, key=noise_order))
    if episodes := {evidence.configs[path]["evaluate"].get("episodes") for path in runs.path} - {None}:
        yield "episodes per evaluation", ", ".join(map(str, sorted(episodes)))


def _changes(arm: pd.DataFrame, base: pd.DataFrame, settings: dict[str, dict[str, str]]) -> Iterator[Change]:
    """The settings in which the first run of the arm differs from the first run of the base on the same task."""
    tasks_of: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    common = sorted(set(arm.task) & set(base.task))
    for task in common:
        arm_values, base_values = (_displayed(settings[runs.path[runs.task == task].iloc[0]]) for runs in (arm, base))
        paths = sorted({*arm_values, *base_values})
        differing = [path for path in paths if arm_values.get(path) != base_values.get(path)]
        replaced_parts = tuple(path.removesuffix("kind") for path in differing if path.endswith("kind"))
        for path in differing:
            if path not in arm_values and path.startswith(replaced_parts):
                continue  # a setting that vanishes with its part is no separate change
            tasks_of[path, base_values.get(path, ABSENT), arm_values.get(path, ABSENT)].append(task)
    for (path, base_value, arm_value), tasks in tasks_of.items():
        yield Change(path, base_value, arm_value, "" if len(tasks) == len(common) else ", ".join(tasks))


def _displayed(settings: dict[str, str]) -> dict[str, str]:
    """The settings without axes and without an absent source; strings without their quotes."""
    displayed = {
        path: value for path, value in settings.items() if path not in AXIS_SETTINGS and (path, value) != ("source", "null")
    }
    return {path: _unquoted(value) for path, value in displayed.items()}


def _unquoted(value: str) -> str:
    decoded = json.loads(value)
    return decoded if isinstance(decoded, str) else value


def _caption(runs: pd.DataFrame) -> str:
    """The caption of the ablation; '' if no file defines it."""
    name = runs.ablation.iloc[0]
    return plugins.caption(plugins.load("ablations", name)) if name in plugins.names("ablations") else ""
