"""The verbs that show stored runs, import other people's and export ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness import watch as watching
from harness.cli import _completion, _options, _values
from harness.errors import BadInput

T = TypeVar("T")


@click.command()
@click.argument("name", shell_complete=_completion.names_of("tables"))
@_options.stored_runs
@click.option(
    "--format", "requested", type=click.Choice(["md", "csv", "tex", "html", "json"]), help="[default: from --out, else md]"
)
@click.option("--interval", type=click.Choice(["t", "normal"]), help="Half widths from t (default) or 1.96 standard errors.")
@click.option("--baseline", help="Ablation that others are compared with (ablations, measures).  [default: none]")
@click.option(
    "--margin",
    type=click.FloatRange(0, min_open=True),
    help="Smallest difference that matters, as a share of the baseline's mean (ablations).",
)
@_options.reference
@_options.statistics_options
@watching.option
def table(
    name: str, paths: Sequence[Path], requested: str | None, out: Path | None, watch: float | None, **options: Any
) -> None:
    """A comparison table from stored runs (`dreamproof list tables`). csv and json are the long form."""
    from results import tables

    file_format = _values.output_format(out, requested, tables.FORMATS, "md")
    settings = {option: value for option, value in options.items() if value not in (None, ())}

    def show(text: str) -> None:
        if out is not None:
            _write(out, text.encode())
            click.echo(f"{name} -> {out}", err=True)
            return
        if watch:
            click.clear()
        click.echo(text, nl=False)

    _watch_runs(lambda: tables.build(name, paths, **settings).render(file_format), show, paths, watch)


@click.command()
@click.argument("name", shell_complete=_completion.names_of("plots"))
@_options.stored_runs
@click.option("--format", "requested", type=click.Choice(["png", "pdf", "svg"]), help="[default: from --out, else png]")
@_options.reference
@_options.statistics_options
@watching.option
def plot(
    name: str,
    paths: Sequence[Path],
    requested: str | None,
    out: Path | None,
    reference: Sequence[Path],
    watch: float | None,
    **options: Any,
) -> None:
    """A figure from stored runs (`dreamproof list plots`), and beside it the CSV of exactly what is drawn."""
    from results import plots

    file_format = _values.output_format(out, requested, plots.FORMATS, "png")
    out = out or Path("figures") / f"{name}.{file_format}"
    references = {"reference": reference} if reference else {}
    data = out.with_suffix(".csv")

    def show(files: tuple[bytes, bytes]) -> None:
        for path, content in zip((out, data), files, strict=True):
            _write(path, content)
        click.echo(f"{name} -> {out} and {data}")

    _watch_runs(lambda: plots.files(*plots.build(name, paths, **options, **references), file_format), show, paths, watch)


@click.command()
@_options.stored_runs
@click.option("--baseline", help="Ablation that others are compared with.  [default: none]")
@_options.statistics_options
def report(paths: Sequence[Path], out: Path | None, **options: Any) -> None:
    """One self-contained page of stored runs: summary, warnings, figures, tables, designs and provenance."""
    from results import report as pages

    _values.output_format(out, None, ["html"], "html")
    out = out or Path("report.html")
    _write(out, f"{pages.build(paths, **options).rstrip()}\n".encode())
    click.echo(f"report -> {out}")


@click.command()
@_options.stored_runs
@_options.as_json
def check(paths: Sequence[Path], as_json: bool) -> int:
    """Sanity checks on results (run directories, stored tables, score files, tables of means).

    Exit status 1 where there is a problem.
    """
    from results import check as checks

    findings = checks.check(paths)
    click.echo(json.dumps(checks.findings_to_rows(findings), indent=1) if as_json else checks.findings_to_text(findings, paths))
    return int(any(finding.level == checks.PROBLEM for finding in findings))


@click.command("import")
@click.argument("file_format", metavar="FORMAT", shell_complete=_completion.names_of("importers"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Root of the run directories.")
@click.option("--benchmark", help="Protocol, e.g. atari100k: the study of the runs.  [default: the file's, else imported]")
@click.option("--task", help="For files that name no task.")
@click.option("--method", help="For files that name no method.")
@click.option("--seed", help="For files that name no seed.")
@click.option("--layout", help="What the end of the path says, e.g. {method}/{task}_{seed}/*.")
@click.option("--repeat", type=click.IntRange(1), help="Environment frames per policy step.  [default: the benchmark's]")
@_options.as_json
def import_(file_format: str, files: Sequence[Path], out: Path, as_json: bool, **options: Any) -> None:
    """Other people's stored results (files or folders) into run directories: `dreamproof list importers`.

    Every row is stored and counted. All runs are written, or none. The same import again changes nothing.
    """
    from results import importers
    from results.importers._run import ImportOptions

    summary = importers.import_files(file_format, files, out, ImportOptions(**options))
    click.echo(json.dumps(summary.to_json(), indent=1) if as_json else summary.to_text(str(out)))


@click.command()
@click.argument("file_format", metavar="FORMAT", shell_complete=_completion.names_of("exporters"))
@_options.stored_runs
@click.option("--out", type=click.Path(path_type=Path), required=True)
def export(file_format: str, paths: Sequence[Path], out: Path) -> None:
    """Stored runs in other people's formats: `dreamproof list exporters`."""
    from results import exporters

    click.echo(f"{exporters.export(file_format, paths, out)} -> {out}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FIGURES.yaml")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the runs in the list.  [default: beside the list]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for outputs.  [default: beside the list]")
@click.option("--available", is_flag=True, help="Leave out entries whose runs are missing, and list them.")
@_options.reference
def reproduce(file: Path, data: Path | None, out: Path | None, available: bool, reference: Sequence[Path]) -> None:
    """Rebuild a list of tables and figures from stored runs: the same runs give the same bytes.

    Prints the hash of each one's data. Where a hash is not that of the list, nothing is written and the exit status is 1.
    """
    from harness import strict_yaml
    from results import reproduce as lists

    entries = lists.parse(strict_yaml.read(file), str(file))
    folders = (data or file.parent, out or file.parent)
    for line in lists.rebuild(entries, *folders, available=available, reference=reference):
        click.echo(line)


COMMANDS = (table, plot, report, check, import_, export, reproduce)


def _watch_runs(make: Callable[[], T], show: Callable[[T], None], paths: Sequence[Path], interval: float | None) -> None:
    """Show what `make` makes of the runs. With an interval, make it again when they have written something."""
    from results.reading import changes

    watching.watch(watching.remake_when_changed(lambda: changes.file_keys(paths), make) if interval else make, show, interval)


def _write(path: Path, content: bytes) -> None:
    from harness import rundir

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        rundir.write_file(path, content, sync=False)
    except OSError as error:
        raise BadInput(f"Cannot write {path}: {error.strerror}") from None
