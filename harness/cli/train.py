"""The verbs that train and evaluate on this machine: run, plan, evaluate, adapt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli import _drive, _options
from harness.errors import BadInput


@click.command()
@click.argument("study", required=False)
@_options.scale
@click.option("--task", help="Run a single task instead of a study: suite/task.")
@click.option("--agent", default=None, help="dreamer or random.  [default: dreamer]")
@click.option("--preset", default=None, help="Named base configuration.  [default: v3]")
@click.option("--ablation", default=None, help="One file of ablations/.  [default: none]")
@click.option("--noise", default=None, help="Training noise, e.g. gaussian:sigma=10.  [default: clean]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=None, help="[default: 0]")
@click.option("--size", default=None, help="nano 1m 12m 25m 50m 100m 200m 400m.  [default: 12m]")
@click.option("--steps", type=click.IntRange(1), default=None, help="Policy steps.  [default: the suite's budget]")
@click.option("--eval-noise", multiple=True, help="Evaluation noise; repeat for more.  [default: clean and --noise]")
@click.option("--episodes", type=click.IntRange(1), default=None, help="Evaluation episodes per noise.  [default: 10]")
@click.option("--every", type=click.IntRange(0), default=None, help="Policy steps between evaluations while training.")
@click.option("--policy", type=click.Choice(["sample", "mode"]), default=None, help="How evaluation takes actions.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default=None)
@click.option("--compile/--no-compile", default=None, help="Compile the model's inner steps: faster, and rounded differently.")
@_options.changes
@_options.machine
@_options.training
@_options.runs
def run(study: str | None, scale: str | None, task: str | None, runs: Path, changes: Sequence[str], **options: Any) -> None:
    """Run a STUDY (a YAML file or the name of a shipped one), or a single --task, on this machine.

    What is half done is resumed, what is done is skipped: the same command again is always safe.
    """
    from harness import study as studies

    machine = {name: options.pop(name) for name in ("parallel", "threads", "device", "env_workers", "checkpoint_every")}
    if (study is None) == (task is None):
        raise BadInput("run takes either a STUDY or --task SUITE/TASK.")
    if study is not None:
        given = [f"--{k.replace('_', '-')}" for k, v in options.items() if v not in (None, ())] + ["--set"] * bool(changes)
        if given:
            raise BadInput(f"{', '.join(given)}: only with --task; a study's file says these things.")
        loaded, cells = studies.load_runs(study, scale)
        resources = loaded.resources
    else:
        grid = {"noise": list(options.pop("eval_noise")), "episodes": options.pop("episodes")}
        grid |= {"every": options.pop("every"), "policy": options.pop("policy")}
        options["train_noise"] = options.pop("noise")
        given = {k: v for k, v in options.items() if v is not None}
        evaluate = {k: v for k, v in grid.items() if v not in (None, [])}
        cells, resources = [studies.single(task, evaluate=evaluate, changes=_options.changed(changes), **given)], None
    for name in ("parallel", "env_workers") if resources else ():
        machine[name] = getattr(resources, name) if machine[name] is None else machine[name]
    _drive.drive(cells, runs, **machine)


@click.command()
@click.argument("study")
@_options.scale
@_options.as_json
@_options.profile
@_options.runs
def plan(study: str, scale: str | None, as_json: bool, profile: Path | None, runs: Path) -> None:
    """What STUDY comes to: cells and what each changes, what is done, what is left and its cost, the arrays to submit."""
    from harness import plan as plans
    from harness import plan_page

    study_plan = plans.plan_study(study, scale, runs, profile)
    click.echo(json.dumps(plans.plan_to_json(study_plan), indent=1) if as_json else plan_page.plan_to_text(study_plan))


@click.command()
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--noise", "noises", multiple=True, required=True, help="Evaluation noise; repeat for more.")
@click.option("--episodes", type=click.IntRange(1), default=10, show_default=True)
@_options.machine
def evaluate(
    where: Sequence[Path], noises: Sequence[str], episodes: int, parallel: int | None, threads: int | None, device: str
) -> None:
    """More noise cells from stored checkpoints. Rows that exist already are not computed again."""
    from harness import build, envs, noise, pool, rundir
    from harness.stop import Stop

    build.check_device(device)
    runs = rundir.find_runs(where)
    parsed = [noise.parse(text) for text in noises]
    for each in runs:
        task = each.config["task"]
        for eval_noise in parsed:
            noise.check_modality(eval_noise, *envs.modalities(task))
            eval_noise.bind_task(task)
    parallel, threads = _drive.split(parallel, threads, len(runs), device)
    arguments = ["--device", device, "--threads", str(threads), "--episodes", str(episodes)]
    arguments += [word for eval_noise in parsed for word in ("--noise", str(eval_noise))]
    with Stop() as stop:
        ended = pool.run_all(runs, parallel=parallel, arguments=arguments, stop=stop)
    _drive.summary(runs, ended, bool(stop.reason))


@click.command()
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--noise", required=True, help="Noise to adapt to.")
@click.option("--steps", type=click.IntRange(1), required=True, help="Policy steps of adaptation.")
@click.option("--eval-noise", multiple=True, help="Evaluation noise beside the source's; repeat for more.")
@click.option("--episodes", type=click.IntRange(1), default=None, help="Episodes per noise.  [default: the source's]")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Dotted override, e.g. agent.kl.target=10.")
@_options.machine
@_options.training
def adapt(
    where: Sequence[Path],
    noise: str,
    steps: int,
    eval_noise: Sequence[str],
    episodes: int | None,
    changes: Sequence[str],
    **machine: Any,
) -> None:
    """Adapt the encoder of trained runs to another noise; everything else stays as it was learned.

    Each adapted run stands beside its source, as the source's ablation with +finetune.
    """
    from harness import adapt as adaptation
    from harness import rundir

    given = {"eval_noises": eval_noise, "episodes": episodes, "changes": _options.changed(changes)}
    sources = rundir.find_runs(where)
    cells = [adaptation.adapted_config(run, noise, steps, **given) for run in sources]
    roots = {run.path.resolve().parents[1] for run in sources}
    if len(roots) > 1:
        raise BadInput(f"adapt: the runs lie under several roots ({', '.join(map(str, sorted(roots)))}): give those of one.")
    _drive.drive(cells, roots.pop(), **machine)


@click.command(hidden=True)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--device", default="auto")
@click.option("--threads", type=int, default=1)
@click.option("--env-workers", type=int)
@click.option("--checkpoint-every", type=float, default=5)
@click.option("--parent", type=int)
@click.option("--command", default="")
@click.option("--noise", "noises", multiple=True)
@click.option("--episodes", type=int, default=10)
def work(path: Path, parent: int | None, noises: Sequence[str], episodes: int, **machine: Any) -> int:
    """One run directory, in this process: what `run` starts for every cell."""
    from harness import pool, run, rundir
    from harness.stop import Stop

    on = run.Machine(**machine)
    with Stop(parent) as stop:
        if noises:
            state = run.extend(rundir.RunDir(path), on, stop, noises, episodes)
        else:
            state = run.execute(rundir.RunDir(path), on, stop)
        stop.ignore()
        return pool.EXIT_STATUS[state]


COMMANDS = (run, plan, evaluate, adapt, work)
