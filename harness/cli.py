"""argv -> verbs. Imports lazily: what neither trains nor evaluates starts in well under a second."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from harness import cli_cluster
from harness import watch as watching
from harness.errors import BadInput, RunFailed, unknown

KINDS = ("suites", "tasks", "noises", "ablations", "agents", "presets", "sizes", "studies", "tables", "plots")
KINDS += ("importers", "exporters")


def main() -> None:
    """Exit status: 0 done, 1 something failed while running, 2 bad input (one paragraph, no traceback)."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        verb = getattr(getattr(error, "ctx", None), "command_path", "dreamproof").replace("python -m harness", "dreamproof")
        click.echo(f"dreamproof: {error.format_message()} (see {verb} --help)", err=True)
        code = 2
    except BadInput as error:
        click.echo(f"dreamproof: {error}", err=True)
        code = 2
    except RunFailed as error:
        click.echo(f"dreamproof: {error}", err=True)
        code = 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped at once. The same command continues from the last checkpoint.", err=True)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code or 0)


class _Verbs(click.Group):
    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args and self.get_command(context, args[0]) is None:
            raise unknown("verb", args[0], (n for n in self.list_commands(context) if n != "work"))
        return super().resolve_command(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dreamproof")
def cli() -> None:
    """Robustness studies of world-model agents: train under noise, test under noise, table with honest intervals."""


for _command in cli_cluster.COMMANDS:
    cli.add_command(_command)


def _runs_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--runs",
        default="runs",
        type=click.Path(path_type=Path),
        show_default=True,
        help="Root of the run directories.",
    )(function)


def _machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--parallel", type=click.IntRange(1), help="Runs at a time. Default: the study's, else one per core."),
        click.option("--threads", type=click.IntRange(1), help="CPU threads per run. Default: cores / parallel."),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
    ):
        function = option(function)
    return function


def _training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    every = "Seconds, at least; more where it costs."
    workers = "Processes in which training environments step while the agent learns.  [default: 1 on a GPU, else 0]"
    for option in (
        click.option("--env-workers", type=click.IntRange(0), help=workers),
        click.option("--checkpoint-every", type=float, default=5, show_default=True, help=every),
    ):
        function = option(function)
    return function


@cli.command("list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True)
def list_(kind: str | None, as_json: bool) -> None:
    """What exists, one line each: suites, tasks, noises, ablations, ..., tables, plots, importers, exporters."""
    from harness import catalogue

    if kind is not None and kind not in KINDS:
        raise unknown("kind of thing", kind, KINDS)
    rows = [row for each in ([kind] if kind else KINDS) for row in catalogue.rows(each)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        head = "" if kind else f"{row['kind']:<10}"
        click.echo(f"{head}{row['name']:<{width}}  {row['caption']}".rstrip())


@cli.command()
@click.argument("name")
@click.option("--task", help="Show the diff against the base for this task.")
@click.option("--json", "as_json", is_flag=True)
def explain(name: str, task: str | None, as_json: bool) -> None:
    """An ablation, noise, preset, size, suite, task or study: caption, source, parameters with units, diff to the base."""
    from harness import catalogue

    described = catalogue.explain(name, task)
    click.echo(json.dumps(described, indent=1) if as_json else catalogue.text(described))


@cli.command()
@click.argument("study", required=False)
@click.option("--scale", help="Apply a study's named overrides, e.g. tiny.")
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
@click.option("--compile", is_flag=True, default=None, help="Compile the model's inner steps: faster, and rounded differently.")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Dotted override, e.g. agent.horizon=15.")
@_machine_options
@_training_options
@_runs_option
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
        loaded, cells = studies.planned(study, scale)
        resources = loaded.resources
    else:
        grid = {"noise": list(options.pop("eval_noise")), "episodes": options.pop("episodes")}
        grid |= {"every": options.pop("every"), "policy": options.pop("policy")}
        options["train_noise"] = options.pop("noise")
        given = {k: v for k, v in options.items() if v is not None}
        evaluate = {k: v for k, v in grid.items() if v not in (None, [])}
        cells, resources = [studies.single(task, evaluate=evaluate, changes=_changes(changes), **given)], None
    for name in ("parallel", "env_workers") if resources else ():
        machine[name] = getattr(resources, name) if machine[name] is None else machine[name]
    _drive(cells, runs, **machine)


@cli.command()
@click.argument("study")
@click.option("--scale", help="Apply a study's named overrides, e.g. tiny.")
@click.option("--json", "as_json", is_flag=True)
@cli_cluster.profile_option
@_runs_option
def plan(study: str, scale: str | None, as_json: bool, profile: Path | None, runs: Path) -> None:
    """What STUDY comes to: cells and what each changes, what is done, what is left and its cost, the arrays to submit."""
    from harness import plan as plans
    from harness import plan_page

    made = plans.plan(study, scale, runs, profile)
    click.echo(json.dumps(plans.rows(made), indent=1) if as_json else plan_page.text(made))


@cli.command()
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--noise", "noises", multiple=True, required=True, help="Evaluation noise; repeat for more.")
@click.option("--episodes", type=click.IntRange(1), default=10, show_default=True)
@_machine_options
def evaluate(
    where: Sequence[Path], noises: Sequence[str], episodes: int, parallel: int | None, threads: int | None, device: str
) -> None:
    """More noise cells from stored checkpoints. Rows that exist already are not computed again."""
    from harness import build, envs, noise, pool, rundir
    from harness.stop import Stop

    build.check_device(device)
    runs = rundir.find(where)
    canonical = [str(noise.parse(text)) for text in noises]
    for each in runs:
        task = each.config["task"]
        for text in canonical:
            noise.check(noise.parse(text), *envs.modalities(task))
            noise.parse(text).bind(task)
    parallel, threads = _split(parallel, threads, len(runs), device)
    arguments = ["--device", device, "--threads", str(threads), "--episodes", str(episodes)]
    arguments += [word for text in canonical for word in ("--noise", text)]
    with Stop() as stop:
        ended = pool.drive(runs, parallel=parallel, arguments=arguments, stop=stop)
    _summary(runs, ended, bool(stop.asked))


@cli.command()
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--noise", required=True, help="Noise to adapt to.")
@click.option("--steps", type=click.IntRange(1), required=True, help="Policy steps of adaptation.")
@click.option("--eval-noise", multiple=True, help="Evaluation noise beside the source's; repeat for more.")
@click.option("--episodes", type=click.IntRange(1), default=None, help="Episodes per noise.  [default: the source's]")
@click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Dotted override, e.g. agent.kl.target=10.")
@_machine_options
@_training_options
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

    given = {"eval_noises": eval_noise, "episodes": episodes, "changes": _changes(changes)}
    sources = rundir.find(where)
    cells = [adaptation.adapted(run, noise, steps, **given) for run in sources]
    roots = {run.path.resolve().parents[1] for run in sources}
    if len(roots) > 1:
        raise BadInput(f"adapt: the runs lie under several roots ({', '.join(map(str, sorted(roots)))}): give those of one.")
    _drive(cells, roots.pop(), **machine)


@cli.command(hidden=True)
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
        return pool.EXIT[state]


def _output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--final", help="Final-score rule.  [default: last checkpoint]"),
        click.option("--reps", type=click.IntRange(100), default=50_000, show_default=True, help="Bootstrap replicates."),
        click.option("--seed", type=int, default=0, show_default=True, help="The same data give the same digits."),
        click.option("--confidence", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False)),
    ):
        function = option(function)
    return function


def _reference_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--reference",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="DreamerV3 score file BENCHMARK-METHOD.json.gz to show beside learning curves; repeat for more.",
    )(function)


@cli.command()
@click.argument("name")
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
@click.option("--format", "form", type=click.Choice(["md", "csv", "tex", "html", "json"]), default="md", show_default=True)
@click.option("--interval", type=click.Choice(["t", "normal"]), help="Half widths from t (default) or 1.96 standard errors.")
@click.option("--baseline", help="Ablation that others are compared with (ablations, measures).  [default: none]")
@click.option(
    "--margin", type=click.FloatRange(0, min_open=True), help="Share of the baseline's mean that matters (ablations)."
)
@_reference_option
@_output_options
@watching.option
def table(name: str, where: Sequence[Path], form: str, out: Path | None, watch: float | None, **options: Any) -> None:
    """A comparison table from stored runs (`dreamproof list tables`). csv and json are the long form."""
    from results import tables

    chosen = {option: value for option, value in options.items() if value not in (None, ())}

    def show(text: str) -> None:
        if out is not None:
            _write(out, text.encode())
            click.echo(f"{name} -> {out}", err=True)
            return
        if watch:
            click.clear()
        click.echo(text, nl=False)

    _watched(lambda: tables.build(name, where, **chosen).render(form), show, where, watch)


@cli.command()
@click.argument("name")
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
@click.option("--format", "form", type=click.Choice(["png", "pdf", "svg"]), help="[default: from --out, else png]")
@_reference_option
@_output_options
@watching.option
def plot(
    name: str,
    where: Sequence[Path],
    form: str | None,
    out: Path | None,
    reference: Sequence[Path],
    watch: float | None,
    **options: Any,
) -> None:
    """A figure from stored runs (`dreamproof list plots`), and beside it the CSV of exactly what is drawn."""
    from results import plots

    form = form or (out.suffix[1:] if out and out.suffix[1:] in ("png", "pdf", "svg") else "png")
    out = out or Path("figures") / f"{name}.{form}"
    chosen = {"reference": reference} if reference else {}
    beside = out.with_suffix(".csv")

    def show(files: tuple[bytes, bytes]) -> None:
        for path, content in zip((out, beside), files, strict=True):
            _write(path, content)
        click.echo(f"{name} -> {out} and {beside}")

    _watched(lambda: plots.files(*plots.build(name, where, **options, **chosen), form), show, where, watch)


@cli.command()
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
@click.option("--baseline", help="Ablation that others are compared with.  [default: none]")
@_output_options
def report(where: Sequence[Path], out: Path | None, **options: Any) -> None:
    """One self-contained page of stored runs: summary, warnings, figures, tables, what was run and where it comes from."""
    from results import report as pages

    out = out or Path("report.html")
    _write(out, f"{pages.build(where, **options).rstrip()}\n".encode())
    click.echo(f"report -> {out}")


@cli.command()
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
@click.option("--json", "as_json", is_flag=True)
def check(where: Sequence[Path], as_json: bool) -> int:
    """Sanity checks on results (run directories, stored tables, score files, tables of means). 1 where there is a problem."""
    from results import check as checks

    found = checks.check(where)
    click.echo(json.dumps(checks.rows(found), indent=1) if as_json else checks.text(found, where))
    return int(any(finding.level == checks.PROBLEM for finding in found))


@cli.command("import")
@click.argument("form", metavar="FORMAT")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Root of the run directories.")
@click.option("--benchmark", help="Protocol, e.g. atari100k: the study of the runs.  [default: the file's, else imported]")
@click.option("--task", help="For files that do not say it.")
@click.option("--method", help="For files that do not say it.")
@click.option("--seed", help="For files that do not say it.")
@click.option("--layout", help="What the end of the path says, e.g. {method}/{task}_{seed}/*.")
@click.option("--repeat", type=click.IntRange(1), help="Environment frames per policy step.  [default: the benchmark's]")
@click.option("--json", "as_json", is_flag=True)
def import_(form: str, files: Sequence[Path], out: Path, as_json: bool, **told: Any) -> None:
    """Other people's stored results (files or folders) into run directories: `dreamproof list importers`.

    Every row is kept and counted; all runs are written, or none. The same import again changes nothing.
    """
    from results import importers
    from results.importers._run import Told

    summary = importers.import_files(form, files, out, Told(**told))
    click.echo(json.dumps(summary.json(), indent=1) if as_json else summary.text(str(out)))


@cli.command()
@click.argument("form", metavar="FORMAT")
@click.argument("where", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def export(form: str, where: Sequence[Path], out: Path) -> None:
    """Stored runs in other people's formats: `dreamproof list exporters`."""
    from results import exporters

    click.echo(f"{exporters.export(form, where, out)} -> {out}")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FIGURES.yaml")
@click.option("--data", type=click.Path(path_type=Path), help="Where the runs of the list lie.  [default: beside the list]")
@click.option("--out", type=click.Path(path_type=Path), help="Where outputs go.  [default: beside the list]")
@click.option("--available", is_flag=True, help="Leave out, and list, entries whose runs are not there.")
@_reference_option
def reproduce(file: Path, data: Path | None, out: Path | None, available: bool, reference: Sequence[Path]) -> None:
    """Rebuild a list of tables and figures from stored runs: the same runs give the same bytes.

    Prints the hash of each one's data; 1, and nothing written, where it is not the one that the list holds.
    """
    from harness import strict_yaml
    from results import reproduce as lists

    entries = lists.parse(strict_yaml.read(file), str(file))
    folders = (data or file.parent, out or file.parent)
    for line in lists.rebuild(entries, *folders, available=available, reference=reference):
        click.echo(line)


@cli.command("verify-switches")
@click.argument("names", nargs=-1, metavar="[ABLATION]...")
@click.option("--json", "as_json", is_flag=True)
def verify_switches(names: Sequence[str], as_json: bool) -> int:
    """Prove every switch on this machine: one step of learning with each ablation beside the base. 1 if one is inert."""
    from harness import ablate, verify

    rows = []
    for name in names or [n for n in ablate.names() if n != "none"]:
        rows += verify.verify([name])
        if not as_json:
            click.echo(verify.text(rows[-1]))
    bad = [row["ablation"] for row in rows if not verify.ok(row)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        click.echo(f"{len(rows) - len(bad)} of {len(rows)} switches act as they say" + "".join(f"; not {n}" for n in bad))
    return int(bool(bad))


@cli.command()
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
@click.option("--compile", is_flag=True, default=None, help="Compile the model's inner steps (needs a C++ compiler).")
@click.option("--profile", is_flag=True, default=None, help="Name the ten dearest operators.")
@click.option("--json", "as_json", is_flag=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Rows as CSV; without SUBJECT, a page's tables.")
def bench(subject: str | None, as_json: bool, out: Path | None, **options: Any) -> None:
    """Measure a SUBJECT, beside what this machine could do at best. Without one: every case of every subject."""
    from harness import bench as benches

    given = {name: value for name, value in options.items() if value is not None}
    if subject is None and given:
        raise BadInput(f"--{next(iter(given))} goes with a subject: {', '.join(benches.names())}.")
    load = benches.run(subject, given, as_json, out, click.echo)
    if load > benches.BUSY:
        click.echo(f"warning: other work was running here (load average {load}): the figures are too slow", err=True)


@cli.command()
def schema() -> None:
    """The JSON schema of a study file, for editors."""
    from harness.study import Study

    click.echo(json.dumps(Study.model_json_schema(), indent=1))


def _drive(
    cells: Sequence[Any],
    root: Path,
    *,
    parallel: int | None,
    threads: int | None,
    device: str,
    env_workers: int | None,
    checkpoint_every: float,
    again: bool = False,
) -> None:
    from harness import build, pool, rundir
    from harness.stop import Stop

    build.check_device(device, compile=any(cell.compile for cell in cells))
    folders = [rundir.RunDir.create(root / cell.study / cell.run_id, cell.dump()) for cell in cells]
    done = [folder for folder in folders if folder.done]
    diverged = [folder for folder in folders if not folder.done and folder.state["state"] == "diverged"]
    todo = [folder for folder in folders if folder not in done and folder not in diverged]
    if done:
        click.echo(f"{len(done)} of {len(folders)} runs are done already.", err=True)
    parallel, threads = _split(parallel, threads, len(todo), device)
    with Stop() as stop:
        arguments = ["--device", device, "--threads", str(threads), "--checkpoint-every", str(checkpoint_every)]
        arguments += [] if env_workers is None else ["--env-workers", str(env_workers)]
        ended = pool.drive(todo, parallel=parallel, arguments=arguments, stop=stop, again=again)
    ended |= dict.fromkeys(diverged, "diverged")
    _summary(folders, ended, bool(stop.asked))


def _split(parallel: int | None, threads: int | None, runs: int, device: str) -> tuple[int, int]:
    """Runs at a time and threads each, so that the machine's cores are used once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parallel = parallel or min(cores, max(runs, 1))
    return parallel, threads or max(1, cores // parallel)


def _summary(folders: Sequence[Any], ended: dict[Any, str], stopped: bool) -> None:
    bad = {run: state for run, state in ended.items() if state in ("failed", "diverged", "busy")}
    root = os.path.commonpath([folder.path for folder in folders])
    if stopped:
        raise RunFailed("Stopped after a checkpoint. The same command continues where it was.")
    if bad:
        lines = "; ".join(f"{run.name} {state}: {run.state.get('message') or 'see log.txt'}" for run, state in bad.items())
        raise RunFailed(f"{len(bad)} of {len(folders)} runs did not finish. {lines}")
    click.echo(f"{len(folders)} of {len(folders)} runs done. Next: dreamproof table robustness {root}", err=True)


def _changes(pairs: Sequence[str]) -> dict[str, Any]:
    changes = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path:
            raise BadInput(f"--set {pair}: write PATH=VALUE, for instance --set agent.horizon=15.")
        changes[path.strip()] = _value(value)
    return changes


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _watched(make: Callable[[], Any], show: Callable[[Any], None], where: Sequence[Path], every: float | None) -> None:
    """Show what is made of the runs; with `every`, make it again when they have written something."""
    from results import changes

    watching.watch(watching.fresh(lambda: changes.signs(where), make) if every else make, show, every)


def _write(path: Path, content: bytes) -> None:
    from harness import rundir

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        rundir.write(path, content, sync=False)
    except OSError as error:
        raise BadInput(f"Cannot write {path}: {error.strerror}") from None
