"""What a study comes to: its cells and what each changes, what is done, what is left and its cost, the arrays to submit.

The state of a run is what its directory says. Cost is measured where comparable runs have finished below the same root
(same task, agent, size, precision, compilation, training ratio, batch and kind of device), and otherwise bounded by
`resources.hours`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from harness import config, plugins, study
from harness.config import RunConfig
from harness.errors import BadInput
from harness.rundir import RunDir
from harness.study import Resources

Work = tuple[Any, ...]  # what makes the cost of a policy step comparable
LABELS = ("ablation", "seed", "evaluate", "study")  # of a run, in no diff: they name it, or measure it
OVER = ("done", "diverged")  # states that `run` and `submit` leave as they are


@dataclass(frozen=True)
class Cell:
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
    """Wall-clock hours of one run. measured: finished runs that say so; 0 where it is the bound `resources.hours`."""

    task: str
    agent: str
    hours: float
    measured: int


@dataclass(frozen=True)
class Cost:
    """Of `runs` runs. bounded: how many of them have no measurement, so that the sum is an upper bound."""

    runs: int
    core_hours: float
    gpu_hours: float
    bounded: int


@dataclass(frozen=True)
class Array:
    """A job array: so many tasks that need the same, each of at most `resources.pack` runs, `at_once` of them at a time."""

    tasks: int
    runs: int
    at_once: int
    resources: Resources
    text: str


@dataclass(frozen=True)
class Plan:
    name: str
    description: str
    design: str
    bases: dict[str, str]  # task -> what its cells are compared with, in words
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    estimates: tuple[Estimate, ...]
    spent: Cost
    left: Cost
    arrays: tuple[Array, ...]
    held_back: int  # tasks beyond the cluster's submit limit
    warning: str | None  # why the scheduler could not be asked

    @property
    def states(self) -> dict[str, int]:
        return _added(cell.states for cell in self.cells)


@dataclass(frozen=True)
class _Run:
    """A run of the study, how far it is, and what it needs. left: share of its policy steps that is still to do."""

    run: RunConfig
    state: str
    left: float
    hours: float  # so far
    needs: Resources


def plan(what: str | Path, scale: str | None, root: Path, profile: Path | None = None) -> Plan:
    """The plan of a study with its runs below `root`, for the cluster of a profile (cluster.yaml).

    BadInput where the study, the profile, or a run's directory, is unreadable.
    """
    loaded, cells = study.load_runs(what, scale)
    runs = [_look(root, cell, study.resources(loaded, cell, str(what))) for cell in cells]
    paces = _paces(root, {_work(each.run, each.needs) for each in runs})
    estimates = {_place(each): _estimate(each, paces) for each in runs}
    todo = [each for each in runs if each.state not in OVER]
    bases = {task: study.base_run(loaded, task) for task in loaded.tasks}
    sent = _sent(root / loaded.name, runs, profile)
    return Plan(
        name=loaded.name,
        description=loaded.description,
        design=loaded.design,
        bases={task: f"{b.preset}, {b.size}, {b.steps} steps, clean" for task, b in bases.items()},
        cells=tuple(_cells(runs, bases)),
        seeds=tuple(dict.fromkeys(each.run.seed for each in runs)),
        estimates=tuple(estimates[place] for place in sorted({_place(each) for each in todo})),
        spent=_cost((each, each.hours, False) for each in runs if each.hours),
        left=_cost((each, e.hours * each.left, not e.measured) for each in todo for e in [estimates[_place(each)]]),
        arrays=tuple(Array(len(a.tasks), a.runs, a.at_once, a.resources, str(a)) for a in sent.arrays),
        held_back=sent.held_back,
        warning=sent.overview.warning,
    )


def rows(plan: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    made = asdict(plan) | {"runs": sum(plan.states.values()), "states": plan.states}
    return made | {"arrays": [vars(array) | {"resources": array.resources.model_dump()} for array in plan.arrays]}


def _look(root: Path, run: RunConfig, needs: Resources) -> _Run:
    folder = RunDir(root / run.study / run.run_id)
    if not (folder.path / "config.json").exists():
        return _Run(run, "missing", 1.0, 0.0, needs)
    state = folder.state
    left, hours = max(0.0, 1 - state["step"] / run.steps), folder.seconds / 3600
    # A directory whose evaluation grid is not this study's is opened again by `run`.
    done = folder.done and folder.config == run.dump()
    return _Run(run, "done" if done else "queued" if folder.done else state["state"], left, hours, needs)


def _cells(runs: Sequence[_Run], bases: Mapping[str, RunConfig]) -> Iterator[Cell]:
    cells: dict[tuple[str, ...], list[_Run]] = defaultdict(list)
    for each in runs:
        cells[each.run.task, each.run.agent.kind, each.run.ablation, str(each.run.train_noise)].append(each)
    for key, members in cells.items():
        states = dict(sorted(Counter(each.state for each in members).items()))
        yield Cell(*key, changes=_changes(bases[key[0]], members[0].run), states=states)


def _changes(base: RunConfig, run: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The exact difference; of another agent only that it is another one, because they share no settings."""
    changed = {path: pair for path, pair in config.diff(base, run).items() if path.split(".")[0] not in LABELS}
    other = "agent.kind" in changed
    return {path: pair for path, pair in changed.items() if not (other and path.startswith("agent.") and path != "agent.kind")}


def _place(each: _Run) -> tuple[str, str]:
    return each.run.task, each.run.agent.kind


def _work(run: RunConfig, needs: Resources) -> Work:
    how = run.train
    shape = (how.ratio, how.batch_size, how.batch_length)
    return run.task, run.agent.kind, run.size, run.precision, run.compile, *shape, needs.gpus > 0 and how.ratio > 0


def _worked(run: RunDir) -> Work | None:
    """`_work` of a stored run; None where it does not say (one that was imported)."""
    try:
        content, how = run.config, run.config["train"]
        shape = (how["ratio"], how["batch_size"], how["batch_length"])
        named = (content["task"], content["agent"]["kind"], content["size"], content["precision"], content.get("compile"))
        return *named, *shape, run.provenance.get("device") == "cuda" and how["ratio"] > 0
    except (BadInput, KeyError, TypeError):
        return None


def _paces(root: Path, wanted: set[Work]) -> dict[Work, list[float]]:
    """Hours per policy step of every finished run below `root` that did one of these."""
    paces: dict[Work, list[float]] = defaultdict(list)
    for path in sorted(root.glob("*/*/done")):
        run = RunDir(path.parent)
        work = _worked(run)
        if work in wanted and run.seconds:
            paces[work].append(run.seconds / 3600 / run.config["steps"])
    return paces


def _estimate(each: _Run, paces: Mapping[Work, Sequence[float]]) -> Estimate:
    known = paces.get(_work(each.run, each.needs), ())
    hours = median(known) * each.run.steps if known else each.needs.hours
    return Estimate(*_place(each), hours, len(known))


def _cost(runs: Iterable[tuple[_Run, float, bool]]) -> Cost:
    listed = list(runs)
    return Cost(
        runs=len(listed),
        core_hours=sum(hours * each.needs.cpus for each, hours, _ in listed),
        gpu_hours=sum(hours * each.needs.gpus for each, hours, _ in listed),
        bounded=sum(bound for _, _, bound in listed),
    )


def _sent(folder: Path, runs: Sequence[_Run], profile: Path | None) -> Any:
    """What `submit` would send now: its own plan."""
    submit, profiles = (plugins.load("slurm", name) for name in ("submit", "profile"))
    needs = {each.run.run_id: each.needs for each in runs}
    reopened = {each.run.run_id for each in runs if each.state == "queued" and (folder / each.run.run_id / "done").exists()}
    return submit.plan_submission(folder, needs, profiles.load(profile), reopened=reopened)


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
