"""The verbs that list what exists, and test whether and how fast it works here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness import watch as watching
from harness.cli import _completion, _options, _values
from harness.errors import BadInput, unknown

_EXPLAINED = ("ablations", "noises", "suites", "tasks", "presets", "sizes", "agents", "studies", "tables", "plots")


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
@click.argument("name", shell_complete=_completion.names_of(*_EXPLAINED))
@click.option("--task", help="Show the diff against the base for this task.")
@_options.as_json
@_options.runs
def explain(name: str, task: str | None, as_json: bool, runs: Path) -> None:
    """Everything that `list` shows, and a run (its directory or its name): captions, sources, settings, diff to the base."""
    from harness import catalogue
    from harness.cli import _studies

    folder = _studies.find_run(name, runs)
    page = catalogue.explain(name, task) if folder is None else catalogue.explain_run(folder)
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
        diagnoses = env_doctor.examine(task, env_doctor.options(task, _values.parse_changes(changes)))
    tree = doctor.diagnoses_to_json(diagnoses)
    click.echo(json.dumps(tree, indent=1) if as_json else doctor.diagnoses_to_text(diagnoses))
    return int(any(diagnosis.state == "broken" for diagnosis in diagnoses))


@click.command("verify-switches")
@click.argument("names", nargs=-1, metavar="[ABLATION]...", shell_complete=_completion.names_of("ablations"))
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
    "--obs",
    type=click.Choice(["image", "vector"]),
    help="Frames of 64x64x3 and 18 actions, or vectors of 17 and actions of 6 numbers.  [default: image]",
)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="[default: float32]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="[default: auto]")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: every core]")
@click.option("--steps", type=click.IntRange(100), help="Steps in the replay.  [default: 100000]")
@click.option("--task", help="Task of env and noise.  [default: a selection]")
@click.option("--compile/--no-compile", default=None, help="Compile the model's inner steps.  [default: as a run would]")
@click.option("--profile", is_flag=True, default=None, help="Name the ten most expensive operators.")
@_options.as_json
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Rows as CSV; of all, a page's tables.")
def bench(subject: str | None, as_json: bool, out: Path | None, **options: Any) -> None:
    """Measure a SUBJECT, beside the best that this machine could do. `all`: every case of every subject."""
    from harness import bench as benches

    settings = {name: value for name, value in options.items() if value is not None}
    if subject in (None, "all") and settings:
        raise BadInput(f"--{next(iter(settings))} goes with a subject: {', '.join(benches.subjects())}.")
    if subject is None:
        click.echo(click.get_current_context().get_help())
        click.echo(f"\nSubjects: {', '.join(benches.subjects())}; all: every case of each, about 20 minutes on two idle cores.")
        return
    subject = None if subject == "all" else subject
    with watching.sigterm_interrupts():  # temporary folders are removed, however it ends
        busy = benches.run_benchmarks(subject, settings, as_json, out, click.echo)
    if busy > benches.MAX_OTHER_WORK:
        click.echo(f"warning: other work kept {busy} cores busy meanwhile, so the figures are too slow", err=True)


@click.command()
@click.argument("first", metavar="RUN", shell_complete=_completion.stored_runs)
@click.argument("second", metavar="RUN", shell_complete=_completion.stored_runs)
@_options.as_json
@_options.runs
def diff(first: str, second: str, as_json: bool, runs: Path) -> None:
    """How two runs (directories, or names below --runs) differ: settings, versions, the first row that is another."""
    from harness import run_diff
    from harness.cli import _studies
    from harness.rundir import RunDir

    one, other = (RunDir(_studies.required_run(name, runs)) for name in (first, second))
    difference = run_diff.compare_runs(one, other)
    click.echo(json.dumps(difference, indent=1) if as_json else run_diff.difference_to_text(one, other, difference))


@click.command()
@_options.stored_runs
@click.option("--yes", is_flag=True, help="Delete. Without it, only say what would be deleted.")
@_options.as_json
def clean(paths: Sequence[Path], yes: bool, as_json: bool) -> None:
    """Free disk: checkpoints of finished runs, caches and old records below RUNS. Says what, and deletes with --yes alone.

    Rows, settings and provenance stay, so tables and figures stay. A run without its checkpoint cannot be evaluated under
    more noises or adapted; if its study asks for more evaluation later, it trains again.
    """
    from harness import disk, rundir

    removable = disk.find_removable(rundir.find_runs(paths), [path for path in paths if path.is_dir()])
    if yes:
        disk.remove(removable)
    if as_json:
        click.echo(json.dumps([{"kind": i.kind, "path": str(i.path), "bytes": i.size} for i in removable], indent=1))
        return
    for item in removable:
        click.echo(f"{item.kind:<10} {disk.size_text(item.size):>9}  {item.path}")
    total = disk.size_text(sum(item.size for item in removable))
    click.echo(f"{total} deleted." if yes else f"{total} can be deleted: the same command with --yes deletes it.")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete verbs, options, tasks, noises, ablations and studies.

    bash: eval "$(dreamproof completion bash)" in ~/.bashrc; zsh alike in ~/.zshrc; fish: dreamproof completion fish | source
    in ~/.config/fish/config.fish.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # one of click's own
    root = click.get_current_context().find_root().command
    # The text of the script alone: click's own `source` starts the shell to ask for its version.
    instance = kind(root, {}, "dreamproof", "_DREAMPROOF_COMPLETE")
    click.echo(instance.source_template % instance.source_vars())


COMMANDS = (list_, explain, schema, doctor, verify_switches, bench, diff, clean, completion)
