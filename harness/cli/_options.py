"""Options that several verbs have, and how their values are read."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from harness.cli import _completion, _values

if TYPE_CHECKING:
    from harness.study import StudyOverrides

F = TypeVar("F", bound=Callable[..., Any])
DEBUG = "DREAMPROOF_DEBUG"  # set by --debug, so that child processes know it

study = click.argument("study", shell_complete=_completion.studies)
scale = click.option("--scale", help="Apply a study's named overrides, e.g. tiny.")
_stored_paths = click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUNS...",
    shell_complete=_completion.stored_runs,
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
runs = click.option(
    "--runs", default="runs", type=click.Path(path_type=Path), show_default=True, help="Root of the run directories."
)


def stored_runs(function: F) -> F:
    """RUNS, which are run directories, folders or files of them, or studies; their `paths`, and --runs where studies are.

    The verb receives the paths of run directories and files alone.
    """

    @functools.wraps(function)
    def with_stored_paths(*, paths: Sequence[Path], runs: Path, **options: Any) -> Any:
        from harness.cli import _studies

        return function(paths=_studies.stored_paths(paths, runs), **options)

    return cast(F, _stored_paths(runs(with_stored_paths)))


profile = click.option(
    "--profile",
    type=click.Path(path_type=Path),
    help="The cluster's settings.  [default: cluster.yaml here, or in ~/.config/dreamproof]",
)
changes_option = click.option(
    "--set", "changes", multiple=True, metavar="PATH=VALUE", help="Dotted override, e.g. agent.horizon=15."
)
steps_option = click.option(
    "--steps", type=_values.StepCount(), help="Policy steps: 100000, 1e5, 100k.  [default: the study's or the suite's]"
)
seeds_option = click.option("--seeds", metavar="N|LIST", help="A number of seeds, or a list: 0,3,7.  [default: the study's]")
reference = click.option(
    "--reference",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="DreamerV3 score file BENCHMARK-METHOD.json.gz to show beside learning curves; repeat for more.",
)


def _set_debug(_context: click.Context, _option: click.Parameter, debug: bool) -> None:
    if debug:
        os.environ[DEBUG] = "1"


debug = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Print the traceback of an error.",
)


def pool_options(function: F) -> F:
    """Where runs run, and how many at a time."""
    for option in (
        click.option("--parallel", type=click.IntRange(1), help="Runs at a time.  [default: the study's, else one per core]"),
        click.option("--threads", type=click.IntRange(1), help="CPU threads per run.  [default: cores / parallel]"),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
    ):
        function = option(function)
    return function


def training_options(function: F) -> F:
    """What only training has beside `pool_options`."""
    every = "Shortest time between checkpoints, in seconds. Expensive checkpoints come less often."
    workers = "Processes in which training environments step while the agent learns.  [default: 1 on a GPU, else 0]"
    for option in (
        click.option("--env-workers", type=click.IntRange(0), help=workers),
        click.option("--checkpoint-every", type=float, default=5, show_default=True, help=every),
    ):
        function = option(function)
    return function


def statistics_options(function: F) -> F:
    """What tables, figures and reports share: how scores and intervals are computed, and the file to write."""
    for option in (
        click.option("--final", help="Final-score rule.  [default: last checkpoint]"),
        click.option("--reps", type=click.IntRange(100), default=50_000, show_default=True, help="Bootstrap replicates."),
        click.option(
            "--seed",
            type=int,
            default=0,
            show_default=True,
            help="Seed of the bootstrap: the same seed and data give the same digits.",
        ),
        click.option("--confidence", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write."),
    ):
        function = option(function)
    return function


def study_overrides(function: F) -> F:
    """What the command line sets in every cell of a study; the verb receives the `overrides`."""

    @functools.wraps(function)
    def with_overrides(*, steps: int | None, seeds: str | None, changes: Sequence[str], **options: Any) -> Any:
        return function(overrides=parse_overrides(steps, seeds, changes), **options)

    return cast(F, steps_option(seeds_option(changes_option(with_overrides))))


def parse_overrides(steps: int | None, seeds: str | None, pairs: Sequence[str]) -> StudyOverrides:
    from harness.study import StudyOverrides

    return StudyOverrides(steps, _values.parse_seeds(seeds) if seeds is not None else None, _values.parse_changes(pairs))
