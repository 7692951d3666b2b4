"""A study: axes -> runs in a fixed order. YAML in, validated RunConfigs out, every mistake found before anything starts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from harness import ablate, config, defaults, envs, noise, plugins, strict_yaml
from harness.ablate import UNCHANGED, Ablation
from harness.config import Changes, FrozenModel, RunConfig, Tree
from harness.errors import BadInput, unknown
from harness.noise import Noise

STUDIES = Path(__file__).parent.parent / "ablations" / "studies"
CLEAN = noise.parse("clean")
SUFFIXES = (".yaml", ".yml")
T = TypeVar("T")
NoiseTexts = tuple[str, ...]
# They stand in batch scripts: nothing that a shell or sbatch could read as anything but a value.
ShellWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:@/+=\[\]()%*-]+$", max_length=200)]
SbatchOption = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Evaluate(FrozenModel):
    """`noise` is a list, or a mapping of suite or task to lists where tasks take different noises."""

    noise: NoiseTexts | dict[str, NoiseTexts] = ("clean",)
    episodes: int = Field(10, ge=1)
    every: int = Field(0, ge=0)
    policy: Literal["sample", "mode"] = "sample"


class Resources(FrozenModel):
    """What one run needs of a machine. Not part of its identity. `where` overrides these for a suite, task, size or agent."""

    gpus: int = Field(0, ge=0)
    cpus: int = Field(1, ge=1)
    env_workers: int | None = Field(None, ge=0, description="as --env-workers of run")
    memory: str = Field("4G", pattern=r"^\d+[KMGT]?$")
    hours: float = Field(12, gt=0)
    pack: int = Field(1, ge=1)
    parallel: int | None = Field(None, ge=1)
    partition: ShellWord | None = None
    account: ShellWord | None = None
    extra: dict[SbatchOption, ShellWord | int] = Field(default_factory=dict, description="further options of sbatch")
    where: dict[str, Tree] = Field(default_factory=dict, description="e.g. {dmc_vision: {memory: 32G, hours: 24}}")


class Study(FrozenModel):
    """Axes of a grid. Where tasks differ, `steps`, `train_noise` and `evaluate.noise` are mappings of suite or task."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    description: str = ""
    agent: str = defaults.AGENT
    preset: str = defaults.PRESET
    size: str = defaults.SIZE
    tasks: tuple[str, ...] = Field(min_length=1)
    ablations: tuple[str, ...] = Field(("none",), min_length=1)
    arms: dict[str, Tree] = Field(default_factory=dict, description="ablations of this study: name, dotted changes")
    train_noise: NoiseTexts | dict[str, NoiseTexts] = ("clean",)
    seeds: int | tuple[Seed, ...] = 1
    steps: int | dict[str, int] | None = None
    set: Tree = Field(default_factory=dict)
    references: tuple[str, ...] = Field((), description="agents that run unablated on clean observations, as a yardstick")
    design: Literal["factorial", "one-at-a-time", "leave-one-out"] = Field(
        "factorial",
        description="factorial: every ablation under every training noise; one-at-a-time: the first ablation under every "
        "noise and every ablation under the first; leave-one-out: every ablation, and each composite also with each of its "
        "components restored, under every noise. Tasks and seeds repeat the whole design",
    )
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool | Literal["auto"] = "auto"
    evaluate: Evaluate = Evaluate()
    resources: Resources = Resources()
    scales: dict[str, Tree] = Field(default_factory=dict, description="named overrides of the keys above")


@dataclass(frozen=True)
class StudyOverrides:
    """What the command line sets in every cell of a study. It is part of each run's identity, as if the file said it."""

    steps: int | None = None
    seeds: int | Sequence[int] | None = None
    changes: Changes = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.steps is not None or self.seeds is not None or bool(self.changes)

    def __str__(self) -> str:
        """`steps=400, seeds=2, train.ratio=8`"""
        axes = {name: value for name, value in (("steps", self.steps), ("seeds", self.seeds)) if value is not None}
        return ", ".join(f"{path}={value}" for path, value in {**axes, **self.changes}.items())

    def apply(self, tree: Tree) -> Tree:
        """The content of a study file with these values in place of its own."""
        tree = tree | {name: value for name, value in (("steps", self.steps), ("seeds", self.seeds)) if value is not None}
        if not self.changes:
            return tree
        # What the file sets for a suite or task alone would otherwise come after what is set for all.
        narrowed = {
            key: {path: inner for path, inner in value.items() if path not in self.changes}
            if _names_tasks(key) and isinstance(value, dict)
            else value
            for key, value in (tree.get("set") or {}).items()
        }
        return tree | {"set": narrowed | dict(self.changes)}


@dataclass(frozen=True)
class _StudyCell:
    """A run but for its seed: what the axes of a study say of it, parsed."""

    task: str
    agent: str
    ablation: Ablation
    train_noise: Noise


def names() -> list[str]:
    """The studies that ship with the project."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def load(source: str | Path, scale: str | None = None) -> Study:
    """A study from a YAML file, or by the name of one that ships with the project; `scale` applies its overrides."""
    return load_runs(source, scale)[0]


def load_runs(
    source: str | Path, scale: str | None = None, overrides: StudyOverrides | None = None
) -> tuple[Study, list[RunConfig]]:
    """A study and its runs. Every cell is checked now, not when its turn comes."""
    study, where = read(source, scale, overrides)
    try:
        return study, expand(study, where)
    except BadInput as error:
        raise (error if where in str(error) else BadInput(f"{where}: {error}")) from None


def read(source: str | Path, scale: str | None = None, overrides: StudyOverrides | None = None) -> tuple[Study, str]:
    """A study and its file, without a look at its cells: for verbs that look at run directories."""
    path = Path(source)
    if not path.exists() and str(source) in names():
        path = STUDIES / f"{source}.yaml"
    if not path.is_file():
        raise _no_study(path)
    tree = strict_yaml.read(path)
    if not isinstance(tree, dict):
        raise BadInput(f"{path}: a study is a mapping of keys; see `dreamproof schema`.")
    study = config.validate(Study, tree, str(path))
    if scale is not None:
        if scale not in study.scales:
            raise unknown("scale", scale, study.scales or ["(this study has none)"], str(path))
        tree = _deep_merge(tree, study.scales[scale]) | {"name": f"{study.name}-{scale}"}
        study = config.validate(Study, tree, f"{path}, scale {scale}")
    if overrides:
        study = config.validate(Study, overrides.apply(tree), f"{path} with {overrides}")
    return study, str(path)


def expand(study: Study, where: str = "study") -> list[RunConfig]:
    """Every run of the study, seeds outermost: a grid that is stopped early is complete for its first seeds.

    Raises BadInput for unknown names, noises a task cannot have, and duplicate values on an axis.
    """
    _check_unique("tasks", study.tasks, where)
    ablations = _parse_ablations(study, where)
    seeds = tuple(range(study.seeds)) if isinstance(study.seeds, int) else study.seeds
    if not seeds:
        raise BadInput(f"{where}: seeds: at least one is needed.")
    _check_unique("seeds", seeds, where)
    # Runs that differ in their seed alone are checked once: a grid of 10 000 is planned in seconds.
    first_seed_runs: list[RunConfig] = []
    for task in study.tasks:
        eval_noises = _parse_noises("evaluate.noise", study.evaluate.noise, task, where)
        cells = _cells(study, task, ablations, where)
        first_seed_runs += [_run(study, cell, eval_noises, seeds[0], where) for cell in cells]
    _check_unique("runs", [run.run_id for run in first_seed_runs], where)
    return [run.model_copy(update={"seed": seed}) for seed in seeds for run in first_seed_runs]


def base_run(study: Study, task: str, where: str = "study") -> RunConfig:
    """What a study's cells are compared with: its agent on that task, unablated and trained on clean observations."""
    eval_noises = _parse_noises("evaluate.noise", study.evaluate.noise, task, where)
    return _run(study, _StudyCell(task, study.agent, UNCHANGED, CLEAN), eval_noises, 0, where)


def single(
    task: str,
    *,
    agent: str = defaults.AGENT,
    preset: str | None = None,
    size: str | None = None,
    ablation: str | Ablation = UNCHANGED,
    train_noise: str | Noise = CLEAN,
    seed: int = 0,
    steps: int | None = None,
    precision: str = "float32",
    compile: bool | Literal["auto"] = "auto",
    evaluate: Changes | None = None,
    changes: Changes | None = None,
    study: str = "single",
    where: str = "command line",
) -> RunConfig:
    """One run: the suite's protocol, then preset, size, changes, ablation, each a diff on the one before.

    None stands for the agent's or the suite's default. `evaluate`: fields of `EvaluateConfig`; its noises default to clean
    and the training noise. `changes`: dotted path -> value. `where`: what error messages name as the origin of the values.
    BadInput for unknown names, and for values that do not fit the task or each other.
    """
    # Names.
    envs.check(task)
    suite = envs.suite(task)
    module = config.agent_module(agent)
    preset = preset or config.base_preset(agent)
    size = size or config.default_size(agent)
    if size not in module.SIZES:
        raise unknown("size", size, module.SIZES, where)
    if preset not in module.PRESETS:
        raise unknown("preset", preset, module.PRESETS, where)
    train_noise = noise.parse(train_noise)

    # The suite's protocol.
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
            "evaluate": {"noise": list(dict.fromkeys([CLEAN, train_noise])), **(evaluate or {})},
        },
        where,
    )

    # Diffs, each on the one before.
    base = config.apply_changes(base, _changes_for(module.PRESETS[preset], task), f"{where}, preset")
    # A size names widths; where a preset has another part without that width, there is nothing to set.
    widths = {path: value for path, value in module.SIZES[size].items() if path in config.flatten(base)}
    base = config.apply_changes(base, widths, f"{where}, size")
    config.refuse_labels(changes or {}, f"{where}, set")
    base = config.apply_changes(base, changes or {}, f"{where}, set")
    run = _without_default_extras(ablate.apply(base, ablate.parse(ablation), where))
    check_run(run, where)
    return run


def resources(study: Study, run: RunConfig, where: str = "study") -> Resources:
    """What one run needs: the study's resources, then those for its suite, task, size and agent."""
    tree = study.resources.model_dump(exclude={"where"})
    for key in (run.task.split("/")[0], run.task, run.size, run.agent.kind):
        tree |= study.resources.where.get(key, {})
    return config.validate(Resources, tree, f"{where}: resources")


def _without_default_extras(run: RunConfig) -> RunConfig:
    """The run without options that say what holds anyway, so that saying it gives no other run."""
    extras = envs.suite(run.task).extras
    options = {name: value for name, value in run.env.options.items() if name not in extras or value != extras[name]}
    if options == run.env.options:
        return run
    return run.model_copy(update={"env": run.env.model_copy(update={"options": options})})


def check_run(run: RunConfig, where: str) -> None:
    """BadInput where the run's noises or options do not fit its task."""
    try:
        envs.check_options(run.task, run.env.options)
        pixels, vectors = envs.modalities(run.task, run.env.options)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error  # --debug shows the environment's own traceback
    for task_noise in (run.train_noise, *run.evaluate.noise):
        try:
            noise.check_modality(task_noise, pixels, vectors, run.task)
            task_noise.bind_task(run.task)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None


# ---- Axes


def _parse_ablations(study: Study, where: str) -> list[Ablation]:
    """The axis of ablations; in a leave-one-out design also each composite with one component restored."""
    for arm in study.arms:
        if arm in ablate.names() or not re.fullmatch(r"[A-Za-z]\w{0,39}", arm):
            raise BadInput(
                f"{where}: arms: '{arm}' is not allowed. Use letters, digits and _, begin with a letter, and take no "
                "ablation's name."
            )
    ablations = [ablate.parse(text, study.arms) for text in study.ablations]
    for arm in study.arms:
        if not any(arm in ablation.components for ablation in ablations):
            raise BadInput(f"{where}: arms: '{arm}' would not run: add it to the ablations.")
    _check_unique("ablations", ablations, where)
    return _with_restorations(ablations, where) if study.design == "leave-one-out" else ablations


def _with_restorations(ablations: Sequence[Ablation], where: str) -> list[Ablation]:
    composites = [ablation for ablation in ablations if len(ablation.components) > 1]
    if not composites:
        raise BadInput(
            f"{where}: design leave-one-out restores one component at a time, so it needs an ablation with several "
            f"components, such as {', '.join(ablate.composites())} or NAME+NAME; got {', '.join(map(str, ablations))}."
        )
    restored = [restoration for composite in composites for restoration in composite.restorations()]
    return list(dict.fromkeys([*ablations, *restored]))


def _parse_noises(axis: str, texts: NoiseTexts | Mapping[str, NoiseTexts], task: str, where: str) -> list[Noise]:
    noises = [noise.parse(text) for text in _value_for(texts, task, f"{where}: {axis}")]
    if not noises:
        raise BadInput(f"{where}: {axis}: at least one noise is needed for {task}; `clean` is none.")
    _check_unique(axis, noises, where)
    return noises


def _cells(study: Study, task: str, ablations: Sequence[Ablation], where: str) -> Iterator[_StudyCell]:
    noises = _parse_noises("train_noise", study.train_noise, task, where)
    for ablation, train_noise in product(ablations, noises):
        if study.design != "one-at-a-time" or ablation == ablations[0] or train_noise == noises[0]:
            yield _StudyCell(task, study.agent, ablation, train_noise)
    for agent in study.references:
        yield _StudyCell(task, agent, UNCHANGED, CLEAN)


def _run(study: Study, cell: _StudyCell, eval_noises: Sequence[Noise], seed: int, where: str) -> RunConfig:
    reference = cell.agent != study.agent
    steps = _value_for(study.steps, cell.task, f"{where}: steps") if study.steps is not None else None
    changes = _changes_for(study.set, cell.task)
    if reference:  # the study's settings of its own agent mean nothing to another
        changes = {path: value for path, value in changes.items() if not path.startswith("agent.")}
    if not config.agent_module(cell.agent).Config.learns:
        steps, changes = 1, changes | {"train.ratio": 0}
    return single(
        cell.task,
        agent=cell.agent,
        preset=None if reference else study.preset,
        size=study.size,
        ablation=cell.ablation,
        train_noise=cell.train_noise,
        seed=seed,
        steps=steps,
        precision=study.precision,
        compile=study.compile,
        evaluate=study.evaluate.model_dump() | {"noise": eval_noises},
        changes=changes,
        study=study.name,
        where=where,
    )


def _changes_for(changes: Changes, task: str) -> Tree:
    """Dotted paths for a task: those for all, then its suite's, then its own."""
    merged = {key: value for key, value in changes.items() if not _names_tasks(key)}
    for key in (task.split("/")[0], task):
        for_key = changes.get(key, {})
        if not isinstance(for_key, Mapping):
            raise BadInput(f"set: {key} = {str(for_key)[:40]!r}; a suite or task has a mapping of paths to values.")
        merged |= for_key
    if unnamed := [key for key in merged if not isinstance(key, str)]:
        raise BadInput(f"set: the path {unnamed[0]!r} is no text.")
    return merged


def _names_tasks(key: str) -> bool:
    """Whether a key of `set` or of a preset is a suite or a task, and not a dotted path."""
    return "/" in key or key in plugins.names("harness.envs")


def _value_for(value: T | Mapping[str, T], task: str, where: str) -> T:
    """A value for one task out of `value` or of a mapping {suite or task: value}."""
    if not isinstance(value, Mapping):
        return value
    for key in (task, task.split("/")[0]):
        if key in value:
            return value[key]
    raise BadInput(f"{where}: no value for {task}; there are values for {', '.join(map(str, value))}.")


def _check_unique(axis: str, values: Sequence[object], where: str) -> None:
    earlier: set[object] = set()
    for value in values:
        if value in earlier:
            raise BadInput(f"{where}: {axis}: '{value}' is given twice; every value of an axis must differ.")
        earlier.add(value)


def _no_study(path: Path) -> BadInput:
    """`No study file 'four.yml'. ... Did you mean 'four.yaml'?`, of the files beside it and the studies that ship."""
    folder = path.parent if path.parent.is_dir() else Path()
    files = [str(path.with_name(file.name)) for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES]
    near = difflib.get_close_matches(str(path), [*names(), *files], n=1, cutoff=0.7)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return BadInput(f"No study file '{path}'. Give a YAML file or one of: {', '.join(names())}.{hint}")


def _deep_merge(tree: Tree, changes: Tree) -> Tree:
    merged = dict(tree)
    for key, value in changes.items():
        deep = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _deep_merge(merged[key], value) if deep else value
    return merged
