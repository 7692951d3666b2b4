"""A study: axes -> runs in a fixed order. YAML in, validated RunConfigs out, every mistake found before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from harness import ablate, config, envs, noise, plugins
from harness.config import Model, RunConfig
from harness.errors import BadInput, unknown
from harness.strict_yaml import read

STUDIES = Path(__file__).parent.parent / "ablations" / "studies"
Noises = tuple[str, ...]
# They stand in batch scripts: nothing that a shell or sbatch could read as anything but a value.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:@/+=\[\]()%*-]+$", max_length=200)]
Option = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Evaluate(Model):
    """`noise` is a list, or a mapping of suite or task to lists where tasks take different noises."""

    noise: Noises | dict[str, Noises] = ("clean",)
    episodes: int = Field(10, ge=1)
    every: int = Field(0, ge=0)
    policy: Literal["sample", "mode"] = "sample"


class Resources(Model):
    """What one run needs of a machine. Not part of its identity. `where` overrides these for a suite, task, size or agent."""

    gpus: int = Field(0, ge=0)
    cpus: int = Field(1, ge=1)
    env_workers: int | None = Field(None, ge=0, description="as --env-workers of run")
    memory: str = Field("4G", pattern=r"^\d+[KMGT]?$")
    hours: float = Field(12, gt=0)
    pack: int = Field(1, ge=1)
    parallel: int | None = Field(None, ge=1)
    partition: Word | None = None
    account: Word | None = None
    extra: dict[Option, Word | int] = Field(default_factory=dict, description="further options of sbatch")
    where: dict[str, dict[str, Any]] = Field(default_factory=dict, description="e.g. {dmc_vision: {memory: 32G, hours: 24}}")


class Study(Model):
    """Axes of a grid. Where tasks differ, `steps`, `train_noise` and `evaluate.noise` are mappings of suite or task."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    description: str = ""
    agent: str = "dreamer"
    preset: str = "v3"
    size: str = "12m"
    tasks: tuple[str, ...] = Field(min_length=1)
    ablations: tuple[str, ...] = Field(("none",), min_length=1)
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict, description="ablations of this study: name, dotted changes")
    train_noise: Noises | dict[str, Noises] = ("clean",)
    seeds: int | tuple[Seed, ...] = 1
    steps: int | dict[str, int] | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    references: tuple[str, ...] = Field((), description="agents that run unablated on clean observations, as a yardstick")
    design: Literal["factorial", "one-at-a-time", "leave-one-out"] = Field(
        "factorial",
        description="factorial: every ablation under every training noise; one-at-a-time: the first ablation under every "
        "noise and every ablation under the first; leave-one-out: every ablation, and those that are several also with each "
        "part taken back, under every noise. Tasks and seeds repeat the whole design",
    )
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool | Literal["auto"] = "auto"
    evaluate: Evaluate = Evaluate()
    resources: Resources = Resources()
    scales: dict[str, dict[str, Any]] = Field(default_factory=dict, description="named overrides of the keys above")


def names() -> list[str]:
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def load(what: str | Path, scale: str | None = None) -> Study:
    """A study from a YAML file, or by the name of one that ships with the project; `scale` applies its overrides."""
    return planned(what, scale)[0]


def planned(what: str | Path, scale: str | None = None) -> tuple[Study, list[RunConfig]]:
    """A study and its runs: every cell is checked now, not when its turn comes."""
    study, where = read_only(what, scale)
    try:
        return study, runs(study, where)
    except BadInput as error:
        raise (error if where in str(error) else BadInput(f"{where}: {error}")) from None


def read_only(what: str | Path, scale: str | None = None) -> tuple[Study, str]:
    """A study and the file it stands in, its cells unchecked: for verbs that look at run directories."""
    path = Path(what)
    if not path.exists() and str(what) in names():
        path = STUDIES / f"{what}.yaml"
    if not path.is_file():
        raise BadInput(f"No study file '{what}'. Give a YAML file or one of: {', '.join(names())}.")
    tree = read(path)
    if not isinstance(tree, dict):
        raise BadInput(f"{path}: a study is a mapping of keys; see `dreamproof schema`.")
    study = config.validated(Study, tree, str(path))
    if scale is not None:
        if scale not in study.scales:
            raise unknown("scale", scale, study.scales or ["(this study has none)"], str(path))
        tree = _merge(tree, study.scales[scale]) | {"name": f"{study.name}-{scale}"}
        study = config.validated(Study, tree, f"{path}, scale {scale}")
    return study, str(path)


def runs(study: Study, where: str = "study") -> list[RunConfig]:
    """Every run of the study, seeds outermost: a grid that is stopped early is complete for its first seeds.

    Raises BadInput for unknown names, noises a task cannot have, and duplicate values on an axis.
    """
    _unique("tasks", study.tasks, where)
    for arm in study.arms:
        if arm in ablate.names() or not re.fullmatch(r"[A-Za-z]\w{0,39}", arm):
            raise BadInput(f"{where}: arms: '{arm}' must be a word of its own: letters, digits, _, and no ablation's name.")
        if not any(arm in ablate.parts(name, study.arms) for name in study.ablations):
            raise BadInput(f"{where}: arms: '{arm}' is not among the ablations, so that it would not run.")
    _unique("ablations", [ablate.canonical(name, study.arms) for name in study.ablations], where)
    seeds = tuple(range(study.seeds)) if isinstance(study.seeds, int) else study.seeds
    if not seeds:
        raise BadInput(f"{where}: seeds: at least one is needed.")
    _unique("seeds", seeds, where)
    # Runs that differ in their seed alone are checked once: a grid of 10 000 is planned in seconds.
    first = [
        _run(study, task, agent, ablation, train_noise, seeds[0], where)
        for task in study.tasks
        for agent, ablation, train_noise in _cells(study, task, where)
    ]
    made = [run.model_copy(update={"seed": seed}) for seed in seeds for run in first]
    _unique("runs", [run.run_id for run in first], where)
    return made


def base(study: Study, task: str, where: str = "study") -> RunConfig:
    """What a study's cells are compared with: its agent on that task, unablated and trained on clean observations."""
    return _run(study, task, study.agent, "none", "clean", 0, where)


def single(
    task: str,
    *,
    agent: str = "dreamer",
    preset: str = "v3",
    size: str | None = None,
    ablation: str = "none",
    train_noise: str = "clean",
    seed: int = 0,
    steps: int | None = None,
    precision: str = "float32",
    compile: bool | Literal["auto"] = "auto",
    evaluate: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    arms: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    study: str = "single",
    where: str = "command line",
) -> RunConfig:
    """One run: the suite's protocol, then preset, size, changes, ablation, each a diff on the one before.

    `evaluate` noises default to clean and the training noise.
    """
    envs.check(task)
    suite = envs.suite(task)
    module = config.agent_module(agent)
    size = size or "12m"
    if size not in module.SIZES:
        raise unknown("size", size, module.SIZES, where)
    if preset not in module.PRESETS:
        raise unknown("preset", preset, module.PRESETS, where)
    grid = {"noise": list(dict.fromkeys([noise.parse("clean"), noise.parse(train_noise)])), **(evaluate or {})}
    base = config.parse(
        {
            "study": study,
            "task": task,
            "preset": preset,
            "size": size,
            "train_noise": train_noise,
            "seed": seed,
            "steps": suite.steps if steps is None else steps,
            "precision": precision,
            "compile": compile,
            "agent": {"kind": agent},
            "env": {"envs": suite.envs, "options": suite.options},
            "train": {"ratio": suite.ratio},
            "evaluate": grid,
        },
        where,
    )
    base = config.change(base, _changes(module.PRESETS[preset], task, True), f"{where}, preset")
    # A size names widths; where a preset has another part without that width, there is nothing to set.
    widths = {path: value for path, value in module.SIZES[size].items() if path in config.flat(base)}
    base = config.change(base, widths, f"{where}, size")
    base = config.change(base, changes or {}, f"{where}, set")
    run = ablate.apply(base, ablation, where, arms)
    check(run, where)
    return run


def resources(study: Study, run: RunConfig, where: str = "study") -> Resources:
    """What one run needs: the study's resources, then those for its suite, task, size and agent."""
    tree = study.resources.model_dump(exclude={"where"})
    for place in (run.task.split("/")[0], run.task, run.size, run.agent.kind):
        tree |= study.resources.where.get(place, {})
    return config.validated(Resources, tree, f"{where}: resources")


def _cells(study: Study, task: str, where: str) -> Iterator[tuple[str, str, str]]:
    noises = [str(noise.parse(n)) for n in _for(study.train_noise, task, f"{where}: train_noise")]
    _unique("train_noise", noises, where)
    ablations = _ablations(study, where)
    cells = list(product(ablations, noises))
    if study.design == "one-at-a-time":
        cells = [(a, n) for a, n in cells if a == ablations[0] or n == noises[0]]
    for ablation, train_noise in cells:
        yield study.agent, ablation, train_noise
    for reference in study.references:
        yield reference, "none", "clean"


def _ablations(study: Study, where: str) -> list[str]:
    """The arms of a study: its ablations, and in a leave-one-out design what comes of taking back one part of each."""
    listed = [ablate.canonical(name, study.arms) for name in study.ablations]
    if study.design != "leave-one-out":
        return listed
    several = [name for name in listed if len(ablate.parts(name, study.arms)) > 1]
    if not several:
        raise BadInput(
            f"{where}: design leave-one-out takes back one part at a time of an ablation that is several, "
            f"such as {', '.join(ablate.composites())} or NAME+NAME; {', '.join(listed)} are not."
        )
    return list(dict.fromkeys([*listed, *(arm for name in several for arm in ablate.each_restored(name, study.arms))]))


def _run(study: Study, task: str, agent: str, ablation: str, train_noise: str, seed: int, where: str) -> RunConfig:
    grid = [str(noise.parse(n)) for n in _for(study.evaluate.noise, task, f"{where}: evaluate.noise")]
    _unique("evaluate.noise", grid, where)
    steps = _for(study.steps, task, f"{where}: steps") if study.steps is not None else None
    changes = _changes(study.set, task, agent == study.agent)
    if not config.agent_module(agent).Config.learns:
        steps, changes = 1, changes | {"train.ratio": 0}
    return single(
        task,
        agent=agent,
        preset=study.preset if agent == study.agent else "v3",
        size=study.size,
        ablation=ablation,
        train_noise=train_noise,
        seed=seed,
        steps=steps,
        precision=study.precision,
        compile=study.compile,
        evaluate=study.evaluate.model_dump() | {"noise": grid},
        changes=changes,
        arms=study.arms,
        study=study.name,
        where=where,
    )


def _changes(changes: Mapping[str, Any], task: str, own: bool) -> dict[str, Any]:
    """Dotted paths for a task: those for all, then its suite's, then its own. A reference agent takes no `agent.` path."""
    everywhere = {k: v for k, v in changes.items() if not _is_place(k)}
    for place in (task.split("/")[0], task):
        everywhere |= changes.get(place, {})
    return {k: v for k, v in everywhere.items() if own or not k.startswith("agent.")}


def _is_place(key: str) -> bool:
    return "/" in key or key in plugins.names("harness.envs")


def _for(value: Any, task: str, where: str) -> Any:
    """A value for one task out of `value` or of a mapping {suite or task: value}."""
    if not isinstance(value, Mapping):
        return value
    for place in (task, task.split("/")[0]):
        if place in value:
            return value[place]
    raise BadInput(f"{where}: nothing for {task}; given for {', '.join(map(str, value))}.")


def check(run: RunConfig, where: str) -> None:
    """BadInput where the run's noises or options do not fit its task."""
    pixels, vectors = envs.modalities(run.task)
    for each_noise in (run.train_noise, *run.evaluate.noise):
        try:
            noise.check_modality(each_noise, pixels, vectors, run.task)
            each_noise.bind_task(run.task)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
    allowed = envs.suite(run.task).options
    for name in run.env.options:
        if name not in allowed:
            raise unknown("option", name, allowed or ["(none)"], f"env.options of {run.task}")


def _unique(axis: str, values: Sequence[Any], where: str) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise BadInput(f"{where}: {axis}: '{value}' stands twice; every value of an axis must differ.")
        seen.add(value)


def _merge(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(tree)
    for key, value in changes.items():
        deep = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if deep else value
    return merged
