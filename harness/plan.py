"""The plan of a study: its cells and what each changes, what is done, what remains and its cost, the arrays to submit.

The state of a run is what its directory says. Cost is measured where comparable runs have finished below the same root
(same task, agent, size, precision, compilation, training ratio, batch and kind of device). Otherwise `resources.hours`
bounds it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from harness import build, config, envs, plugins, study
from harness.config import RunConfig
from harness.errors import BadInput
from harness.rundir import RunDir
from harness.study import Resources

Workload = tuple[Any, ...]  # what makes the cost of a policy step comparable
LABELS = ("ablation", "seed", "evaluate", "study")  # of a run, in no diff: they name it, or measure it
END_STATES = ("done", "diverged")  # states that `run` and `submit` leave as they are


@dataclass(frozen=True)
class PlanCell:
    """Runs that differ in their seed alone.

    changes: dotted path -> (value of the base, value here). The base is the study's own agent, unablated and trained on
    clean observations, on the same task. states: state -> number of runs; `missing` has no directory yet.
    """

    task: str
    agent: str
    ablation: str
    train_noise: str
    changes: dict[str, tuple[Any, Any]]
    states: dict[str, int]


@dataclass(frozen=True)
class Estimate:
    """Wall-clock hours of one run. measured: finished runs that it rests on; 0 where it is the bound `resources.hours`."""

    task: str
    agent: str
    hours: float
    measured: int


@dataclass(frozen=True)
class Cost:
    """The cost of `runs` runs. bounded: how many of them have no measurement, so that the sum is an upper bound."""

    runs: int
    core_hours: float
    gpu_hours: float
    bounded: int


@dataclass(frozen=True)
class ArraySummary:
    """A job array: tasks with equal resources, each of at most `resources.pack` runs, `at_once` of them at a time."""

    tasks: int
    runs: int
    at_once: int
    resources: Resources
    text: str


@dataclass(frozen=True)
class StudyPlan:
    """bases: task -> what its cells are compared with, in words. views: task -> what the agent sees of it, where that had to be
    looked up. held_back: tasks beyond the cluster's submit limit.

    warning: why the scheduler could not be asked. notices: what a user should know before anything starts.
    """

    name: str
    description: str
    design: str
    bases: dict[str, str]
    views: dict[str, list[str]]
    cells: tuple[PlanCell, ...]
    seeds: tuple[int, ...]
    estimates: tuple[Estimate, ...]
    past_cost: Cost
    remaining_cost: Cost
    arrays: tuple[ArraySummary, ...]
    held_back: int
    warning: str | None
    notices: tuple[str, ...] = ()

    @property
    def states(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for cell in self.cells:
            total.update(cell.states)
        return dict(sorted(total.items()))


@dataclass(frozen=True)
class _RunProgress:
    """A run of the study, its state and its resources.

    unfinished: the share of its policy steps that remains. hours: wall-clock hours so far.
    """

    run: RunConfig
    state: str
    unfinished: float
    hours: float
    resources: Resources

    @property
    def estimate_key(self) -> tuple[str, str]:
        return self.run.task, self.run.agent.kind


def plan_study(
    source: str | Path,
    scale: str | None,
    root: Path,
    profile: Path | None = None,
    overrides: study.StudyOverrides | None = None,
) -> StudyPlan:
    """The plan of a study with its runs below `root`, for the cluster of a profile (cluster.yaml).

    BadInput where the study, the profile, or a run's directory, is unreadable.
    """
    loaded, configs = study.load_runs(source, scale, overrides)
    runs = [_read_progress(root, run, study.resources(loaded, run, str(source))) for run in configs]
    paces = _measured_paces(root, {_workload(progress.run, progress.resources) for progress in runs})
    estimates = {progress.estimate_key: _estimate(progress, paces) for progress in runs}
    remaining = [progress for progress in runs if progress.state not in END_STATES]
    bases = {task: study.base_run(loaded, task) for task in loaded.tasks}
    arrays, held_back, warning = _plan_submission(root / loaded.name, runs, profile)
    return StudyPlan(
        name=loaded.name,
        description=loaded.description,
        design=loaded.design,
        bases={task: f"{b.preset}, {b.size}, {b.steps} steps, clean" for task, b in bases.items()},
        views={task: lines for task, base in bases.items() if (lines := envs.view_lines(task, base.env.options))},
        cells=tuple(_cells(runs, bases)),
        seeds=tuple(dict.fromkeys(progress.run.seed for progress in runs)),
        estimates=tuple(estimates[key] for key in sorted({progress.estimate_key for progress in remaining})),
        past_cost=_cost((progress, progress.hours, False) for progress in runs if progress.hours),
        remaining_cost=_remaining_cost(remaining, estimates),
        arrays=arrays,
        held_back=held_back,
        warning=warning,
        notices=tuple(build.update_notices(configs)),
    )


def plan_to_json(plan: StudyPlan) -> dict[str, Any]:
    """A plan as plain data, as `plan --json` prints it."""
    return {
        "name": plan.name,
        "description": plan.description,
        "design": plan.design,
        "bases": plan.bases,
        "views": plan.views,
        "cells": [asdict(cell) for cell in plan.cells],
        "seeds": plan.seeds,
        "estimates": [asdict(estimate) for estimate in plan.estimates],
        "spent": asdict(plan.past_cost),
        "left": asdict(plan.remaining_cost),
        "arrays": [vars(array) | {"resources": array.resources.model_dump()} for array in plan.arrays],
        "held_back": plan.held_back,
        "warning": plan.warning,
        "notices": list(plan.notices),
        "runs": sum(plan.states.values()),
        "states": plan.states,
    }


def _read_progress(root: Path, run: RunConfig, resources: Resources) -> _RunProgress:
    folder = RunDir(root / run.study / run.run_id)
    if not (folder.path / "config.json").exists():
        return _RunProgress(run, "missing", 1.0, 0.0, resources)
    stored = folder.state
    unfinished, hours = max(0.0, 1 - stored["step"] / run.steps), folder.seconds / 3600
    # `run` opens a directory again whose evaluation grid is not this study's.
    state = stored["state"] if not folder.done else "done" if folder.config == run.dump() else "queued"
    return _RunProgress(run, state, unfinished, hours, resources)


def _cells(runs: Sequence[_RunProgress], bases: Mapping[str, RunConfig]) -> Iterator[PlanCell]:
    cells: dict[tuple[str, str, str, str], list[_RunProgress]] = defaultdict(list)
    for progress in runs:
        run = progress.run
        cells[run.task, run.agent.kind, run.ablation, str(run.train_noise)].append(progress)
    for (task, agent, ablation, train_noise), members in cells.items():
        states = dict(sorted(Counter(progress.state for progress in members).items()))
        yield PlanCell(task, agent, ablation, train_noise, _changes(bases[task], members[0].run), states)


def _changes(base: RunConfig, run: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The exact difference. Two agents share no settings, so of another agent only its name is a change."""
    changes = {path: pair for path, pair in config.diff(base, run).items() if path.split(".")[0] not in LABELS}
    if "agent.kind" in changes:
        return {path: pair for path, pair in changes.items() if path == "agent.kind" or not path.startswith("agent.")}
    return changes


def _workload(run: RunConfig, resources: Resources) -> Workload:
    train = run.train
    batch = (train.ratio, train.batch_size, train.batch_length)
    return run.task, run.agent.kind, run.size, run.precision, run.compile, *batch, resources.gpus > 0 and train.ratio > 0


def _stored_workload(run: RunDir) -> Workload | None:
    """The workload of a stored run; None where its files do not say it, as in an imported run."""
    try:
        content, train = run.config, run.config["train"]
        batch = (train["ratio"], train["batch_size"], train["batch_length"])
        settings = (content["task"], content["agent"]["kind"], content["size"], content["precision"], content.get("compile"))
        return *settings, *batch, run.provenance.get("device") == "cuda" and train["ratio"] > 0
    except (BadInput, KeyError, TypeError):
        return None


def _measured_paces(root: Path, workloads: set[Workload]) -> dict[Workload, list[float]]:
    """Hours per policy step of every finished run below `root` with one of these workloads."""
    paces: dict[Workload, list[float]] = defaultdict(list)
    for path in sorted(root.glob("*/*/done")):
        run = RunDir(path.parent)
        workload = _stored_workload(run)
        if workload in workloads and run.seconds:
            paces[workload].append(run.seconds / 3600 / run.config["steps"])
    return paces


def _estimate(progress: _RunProgress, paces: Mapping[Workload, Sequence[float]]) -> Estimate:
    measured = paces.get(_workload(progress.run, progress.resources), ())
    hours = median(measured) * progress.run.steps if measured else progress.resources.hours
    return Estimate(*progress.estimate_key, hours, len(measured))


def _remaining_cost(runs: Sequence[_RunProgress], estimates: Mapping[tuple[str, str], Estimate]) -> Cost:
    pairs = [(progress, estimates[progress.estimate_key]) for progress in runs]
    return _cost((progress, estimate.hours * progress.unfinished, not estimate.measured) for progress, estimate in pairs)


def _cost(runs: Iterable[tuple[_RunProgress, float, bool]]) -> Cost:
    """The sum over (run, hours, whether the hours are an upper bound)."""
    rows = list(runs)
    return Cost(
        runs=len(rows),
        core_hours=sum(hours * progress.resources.cpus for progress, hours, _ in rows),
        gpu_hours=sum(hours * progress.resources.gpus for progress, hours, _ in rows),
        bounded=sum(is_bound for _, _, is_bound in rows),
    )


def _plan_submission(
    folder: Path, runs: Sequence[_RunProgress], profile: Path | None
) -> tuple[tuple[ArraySummary, ...], int, str | None]:
    """(arrays, tasks held back, warning): what `submit` would send now."""
    submit, profiles = (plugins.load("slurm", name) for name in ("submit", "profile"))
    needs = {progress.run.run_id: progress.resources for progress in runs}
    queued = [progress.run.run_id for progress in runs if progress.state == "queued"]
    reopened = {name for name in queued if (folder / name / "done").exists()}
    plan = submit.plan_submission(folder, needs, profiles.load(profile), reopened=reopened)
    arrays = (ArraySummary(len(a.tasks), a.runs, a.at_once, a.resources, str(a)) for a in plan.arrays)
    return tuple(arrays), plan.held_back, plan.overview.warning
