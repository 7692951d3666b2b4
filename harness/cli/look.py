"""The verbs that list what exists, and test whether and how fast it works here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli import _options
from harness.errors import BadInput, unknown


@click.command("list")
@click.argument("kind", required=False)
@_options.as_json
def list_(kind: str | None, as_json: bool) -> None:
    """What exists, one line each: suites, tasks, noises, ablations, ..., tables, plots, importers, exporters."""
    from harness import catalogue

    if kind is not None and kind not in catalogue.KINDS:
        raise unknown("kind of thing", kind, catalogue.KINDS)
    rows = [row for listed in ([kind] if kind else catalogue.KINDS) for row in catalogue.list_rows(listed)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        head = "" if kind else f"{row['kind']:<10}"
        click.echo(f"{head}{row['name']:<{width}}  {row['caption']}".rstrip())


@click.command()
@click.argument("name")
@click.option("--task", help="Show the diff against the base for this task.")
@_options.as_json
def explain(name: str, task: str | None, as_json: bool) -> None:
    """An ablation, noise, preset, size, suite, task or study: caption, source, parameters with units, diff to the base."""
    from harness import catalogue

    page = catalogue.explain(name, task)
    click.echo(json.dumps(page, indent=1) if as_json else catalogue.page_to_text(page))


@click.command()
def schema() -> None:
    """The JSON schema of a study file, for editors."""
    from harness.study import Study

    click.echo(json.dumps(Study.model_json_schema(), indent=1))


@click.command()
@click.option("--task", help="Play a few episodes of this task instead: what the agent sees, seeding, lengths, rewards, speed.")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="With --task: env.options.NAME=VALUE.")
@_options.profile
@_options.as_json
@_options.runs
def doctor(task: str | None, changes: Sequence[str], profile: Path | None, as_json: bool, runs: Path) -> int:
    """Python, torch, GPU, rendering, simulators, disk, SLURM, cluster profile: works, or how to repair it."""
    from harness import doctor, env_doctor

    if changes and task is None:
        raise BadInput("--set goes with --task.")
    if task is None:
        diagnoses = doctor.examine(runs, profile)
    else:
        diagnoses = env_doctor.examine(task, env_doctor.options(task, _options.parse_changes(changes)))
    tree = doctor.diagnoses_to_json(diagnoses)
    click.echo(json.dumps(tree, indent=1) if as_json else doctor.diagnoses_to_text(diagnoses))
    return int(any(diagnosis.state == "broken" for diagnosis in diagnoses))


@click.command("verify-switches")
@click.argument("names", nargs=-1, metavar="[ABLATION]...")
@_options.as_json
def verify_switches(names: Sequence[str], as_json: bool) -> int:
    """Prove every switch on this machine: one step of learning with each ablation beside the base.

    Exit status 1 where one does not act as it declares.
    """
    from harness import ablate, verify

    verdicts = []
    for name in names or [n for n in ablate.names() if n != ablate.NONE]:
        verdicts.append(verify.verify_ablation(name))
        if not as_json:
            click.echo(verify.verdict_to_text(verdicts[-1]))
    bad = [verdict["ablation"] for verdict in verdicts if not verify.passes(verdict)]
    if as_json:
        click.echo(json.dumps(verdicts, indent=1))
    else:
        good = f"{len(verdicts) - len(bad)} of {len(verdicts)} switches act as they declare"
        click.echo(good + "".join(f"; not {name}" for name in bad))
    return int(bool(bad))


@click.command()
@click.argument("subject", required=False)
@click.option("--size", help="nano 1m 12m 25m 50m 100m 200m 400m.  [default: 1m]")
@click.option(
    "--obs", type=click.Choice(["image", "vector"]), help="64x64x3 and 18 actions; 17 and 6 numbers.  [default: image]"
)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="[default: float32]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="[default: auto]")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: every core]")
@click.option("--steps", type=click.IntRange(100), help="Steps in the replay.  [default: 100000]")
@click.option("--task", help="Task of env and noise.  [default: a selection]")
@click.option("--compile/--no-compile", default=None, help="Compile the model's inner steps.  [default: as a run would]")
@click.option("--profile", is_flag=True, default=None, help="Name the ten most expensive operators.")
@_options.as_json
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Rows as CSV; without SUBJECT, a page's tables.")
def bench(subject: str | None, as_json: bool, out: Path | None, **options: Any) -> None:
    """Measure a SUBJECT, beside the best that this machine could do. Without one: every case of every subject."""
    from harness import bench as benches

    settings = {name: value for name, value in options.items() if value is not None}
    if subject is None and settings:
        raise BadInput(f"--{next(iter(settings))} goes with a subject: {', '.join(benches.subjects())}.")
    busy = benches.run_benchmarks(subject, settings, as_json, out, click.echo)
    if busy > benches.MAX_OTHER_WORK:
        click.echo(f"warning: other work kept {busy} cores busy meanwhile, so the figures are too slow", err=True)


COMMANDS = (list_, explain, schema, doctor, verify_switches, bench)
