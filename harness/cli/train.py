"""The verbs that train and evaluate on this machine: run, plan, evaluate, adapt."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import defaults
from harness.cli import _completion, _options, _pool, _values
from harness.errors import BadInput

if TYPE_CHECKING:
    from harness.study import RunConfig, StudyOverrides


@click.command()
@click.argument("study", required=False, shell_complete=_completion.studies)
@_options.scale
@click.option("--task", shell_complete=_completion.names_of("tasks"), help="Run a single task instead of a study: suite/task.")
@click.option(
    "--agent",
    shell_complete=_completion.names_of("agents"),
    help=f"One of `dreamproof list agents`.  [default: {defaults.AGENT}]",
)
@click.option(
    "--preset", shell_complete=_completion.names_of("presets"), help=f"Named base configuration.  [default: {defaults.PRESET}]"
)
@click.option(
    "--ablation",
    shell_complete=_completion.names_of("ablations"),
    help="One file of ablations/, or several: A+B, COMPOSITE-COMPONENT.  [default: none]",
)
@click.option(
    "--noise",
    "train_noise",
    shell_complete=_completion.names_of("noises"),
    help="Training noise, e.g. gaussian:sigma=10.  [default: clean]",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="[default: 0]")
@click.option(
    "--size", shell_complete=_completion.names_of("sizes"), help=f"One of `dreamproof list sizes`.  [default: {defaults.SIZE}]"
)
@_options.steps_option
@_options.seeds_option
@click.option(
    "--eval-noise",
    shell_complete=_completion.names_of("noises"),
    multiple=True,
    help="Evaluation noise; repeat for more.  [default: clean and --noise]",
)
@click.option("--episodes", type=click.IntRange(1), help="Evaluation episodes per noise.  [default: 10]")
@click.option("--every", type=click.IntRange(0), help="Policy steps between evaluations during training.  [default: 0, none]")
@click.option("--policy", type=click.Choice(["sample", "mode"]), help="How evaluation takes actions.  [default: sample]")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), help="[default: float32]")
@click.option("--compile/--no-compile", default=None, help="Compile the model's inner steps: faster, and rounded differently.")
@_options.changes_option
@_options.pool_options
@_options.training_options
@_options.runs
def run(
    study: str | None,
    scale: str | None,
    task: str | None,
    runs: Path,
    steps: int | None,
    seeds: str | None,
    changes: Sequence[str],
    parallel: int | None,
    threads: int | None,
    device: str,
    env_workers: int | None,
    checkpoint_every: float,
    **options: Any,
) -> None:
    """Run a STUDY (a YAML file or the name of a shipped one), or a single --task, on this machine.

    Half-done runs are resumed and finished runs are skipped: the same command again is always safe. A folder of runs in
    place of a STUDY: what is left of these. --steps, --seeds and --set change every cell of a study.
    """
    pool = _pool.PoolOptions(parallel, threads, device, env_workers, checkpoint_every)
    if study is not None and task is None:
        _refuse_single_run_options(options)
        overrides = _options.parse_overrides(steps, seeds, changes)
        if Path(study).is_dir():
            _continue_runs(Path(study), overrides, pool)
            return
        cells, pool = _study_cells(study, scale, overrides, pool)
    elif task is not None and study is None:
        cells = _single_cells(task, seeds, changes, options | {"steps": steps})
    else:
        raise BadInput("run takes either a STUDY or --task SUITE/TASK.")
    _pool.run_cells(cells, runs, pool)


def _refuse_single_run_options(options: Mapping[str, Any]) -> None:
    options = {"noise" if name == "train_noise" else name: value for name, value in options.items()}
    used = [f"--{name.replace('_', '-')}" for name, value in options.items() if value not in (None, ())]
    if used:
        raise BadInput(
            f"{', '.join(used)}: only with --task. A study's file holds these settings; --steps, --seeds and --set override it."
        )


def _continue_runs(folder: Path, overrides: StudyOverrides, pool: _pool.PoolOptions) -> None:
    """What is left of the runs in a folder, as their directories say."""
    from harness import rundir

    if overrides:
        raise BadInput(f"{folder} is a folder of runs, whose settings stay as they are ({overrides}). Give the study's file.")
    stored_runs = rundir.find_runs([folder])
    for run in stored_runs:
        if "imported" in run.config:
            raise BadInput(f"{run.path} was imported: it has no settings to go on with.")
    _pool.run_folders(stored_runs, pool)


def _study_cells(
    study: str, scale: str | None, overrides: StudyOverrides, pool: _pool.PoolOptions
) -> tuple[list[RunConfig], _pool.PoolOptions]:
    """A study's runs, and the options of the pool with the study's own where the command line has none."""
    from harness import study as studies

    loaded, cells = studies.load_runs(study, scale, overrides)
    if overrides:
        click.echo(
            f"{loaded.name}: every cell with {overrides}, from the command line; it is part of each run's name.", err=True
        )
    parallel = loaded.resources.parallel if pool.parallel is None else pool.parallel
    env_workers = loaded.resources.env_workers if pool.env_workers is None else pool.env_workers
    return cells, dataclasses.replace(pool, parallel=parallel, env_workers=env_workers)


def _single_cells(task: str, seeds: str | None, changes: Sequence[str], options: Mapping[str, Any]) -> list[RunConfig]:
    """The runs of one task: one, or one for each of `seeds`."""
    if seeds is None:
        return [_single_cell(task, changes, options)]
    if options["seed"] is not None:
        raise BadInput("run takes either --seed or --seeds.")
    numbers = _values.parse_seeds(seeds)
    numbers = list(range(numbers)) if isinstance(numbers, int) else numbers
    return [_single_cell(task, changes, {**options, "seed": seed}) for seed in dict.fromkeys(numbers)]


def _single_cell(task: str, changes: Sequence[str], options: Mapping[str, Any]) -> RunConfig:
    from harness import study as studies

    settings = {name: value for name, value in options.items() if value not in (None, ())}
    noises = settings.pop("eval_noise", None)
    evaluate = {"noise": list(noises)} if noises else {}
    evaluate |= {name: settings.pop(name) for name in ("episodes", "every", "policy") if name in settings}
    return studies.single(task, evaluate=evaluate, changes=_values.parse_changes(changes), **settings)


@click.command()
@_options.study
@_options.scale
@_options.study_overrides
@_options.as_json
@_options.profile
@_options.runs
def plan(study: str, scale: str | None, overrides: StudyOverrides, as_json: bool, profile: Path | None, runs: Path) -> None:
    """The plan of STUDY: cells and what each changes, what is done, what remains and its cost, the arrays to submit."""
    from harness import plan as plans
    from harness import plan_page

    study_plan = plans.plan_study(study, scale, runs, profile, overrides)
    click.echo(json.dumps(plans.plan_to_json(study_plan), indent=1) if as_json else plan_page.plan_to_text(study_plan))


@click.command()
@_options.stored_runs
@click.option(
    "--noise",
    "noise_texts",
    shell_complete=_completion.names_of("noises"),
    multiple=True,
    required=True,
    help="Evaluation noise; repeat for more.",
)
@click.option("--episodes", type=click.IntRange(1), default=10, show_default=True, help="Episodes per noise.")
@_options.pool_options
def evaluate(paths: Sequence[Path], noise_texts: Sequence[str], episodes: int, device: str, **options: Any) -> None:
    """More noise cells from stored checkpoints. Existing rows are not computed again."""
    from harness import build, envs, noise, rundir

    build.check_device(device)
    runs = rundir.find_runs(paths)
    noises = [noise.parse(text) for text in noise_texts]
    for run in runs:
        task = run.config["task"]
        for eval_noise in noises:
            noise.check_modality(eval_noise, *envs.modalities(task, run.config["env"]["options"]))
            eval_noise.bind_task(task)
    parallel, threads = _pool.PoolOptions(**options).for_runs(len(runs))
    arguments = ["--device", device, "--threads", str(threads), "--episodes", str(episodes)]
    arguments += [word for eval_noise in noises for word in ("--noise", str(eval_noise))]
    states, stopped = _pool.run_pool(runs, parallel, arguments, command=())
    _pool.report_states(runs, states, stopped=stopped)


@click.command()
@_options.stored_runs
@click.option("--noise", shell_complete=_completion.names_of("noises"), required=True, help="Noise to adapt to.")
@click.option("--steps", type=_values.StepCount(), required=True, help="Policy steps of adaptation.")
@click.option(
    "--eval-noise",
    shell_complete=_completion.names_of("noises"),
    multiple=True,
    help="Evaluation noise beside the source's; repeat for more.",
)
@click.option("--episodes", type=click.IntRange(1), help="Episodes per noise.  [default: the source's]")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Dotted override, e.g. agent.kl.target=10.")
@_options.pool_options
@_options.training_options
def adapt(
    paths: Sequence[Path],
    noise: str,
    steps: int,
    eval_noise: Sequence[str],
    episodes: int | None,
    changes: Sequence[str],
    **options: Any,
) -> None:
    """Adapt the encoder of trained runs to another noise. All other weights stay as they are.

    Each adapted run stands beside its source, as the source's ablation with +finetune.
    """
    from harness import adapt as adaptation
    from harness import rundir

    overrides = _values.parse_changes(changes)
    sources = rundir.find_runs(paths)
    cells = [
        adaptation.adapted_config(source, noise, steps, eval_noises=eval_noise, episodes=episodes, changes=overrides)
        for source in sources
    ]
    roots = {source.path.resolve().parents[1] for source in sources}
    if len(roots) > 1:
        raise BadInput(f"adapt: the runs lie under several roots ({', '.join(map(str, sorted(roots)))}). Give those of one.")
    _pool.run_cells(cells, roots.pop(), _pool.PoolOptions(**options))


@click.command(hidden=True)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--device", default="auto")
@click.option("--threads", type=int, default=1)
@click.option("--env-workers", type=int)
@click.option("--checkpoint-every", type=float, default=5)
@click.option("--parent", type=int)
@click.option("--command", default="")
@click.option("--noise", "noises", shell_complete=_completion.names_of("noises"), multiple=True)
@click.option("--episodes", type=int, default=10)
def work(path: Path, parent: int | None, noises: Sequence[str], episodes: int, **options: Any) -> int:
    """One run directory, in this process: what `run` starts for every cell."""
    from harness import pool, run, rundir
    from harness.stop import Stop

    machine = run.Machine(**options)
    with Stop(parent) as stop:
        if noises:
            state = run.extend_evaluation(rundir.RunDir(path), machine, stop, noises, episodes)
        else:
            state = run.execute_run(rundir.RunDir(path), machine, stop)
        stop.ignore()
        return pool.EXIT_STATUS[state]


COMMANDS = (run, plan, evaluate, adapt, work)
