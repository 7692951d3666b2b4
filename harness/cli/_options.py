"""Options that several verbs have, and how their values are read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.errors import BadInput

F = TypeVar("F", bound=Callable[..., Any])
DEBUG = "DREAMPROOF_DEBUG"  # set by --debug, so that child processes know it

study = click.argument("study")
scale = click.option("--scale", help="Apply a study's named overrides, e.g. tiny.")
stored_runs = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUNS...")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
runs = click.option(
    "--runs", default="runs", type=click.Path(path_type=Path), show_default=True, help="Root of the run directories."
)
profile = click.option(
    "--profile",
    type=click.Path(path_type=Path),
    help="The cluster's settings.  [default: cluster.yaml here, or in ~/.config/dreamproof]",
)
changes = click.option("--set", "changes", multiple=True, metavar="PATH=VALUE", help="Dotted override, e.g. agent.horizon=15.")
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
    every = "Least seconds between checkpoints. Expensive checkpoints come less often."
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
        click.option("--seed", type=int, default=0, show_default=True, help="The same data give the same digits."),
        click.option("--confidence", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write."),
    ):
        function = option(function)
    return function


def parse_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """`PATH=VALUE` of --set -> dotted path and value. BadInput for anything else."""
    parsed = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path:
            raise BadInput(f"--set {pair}: write PATH=VALUE, for instance --set agent.horizon=15.")
        parsed[path.strip()] = _parse_value(value, f"--set {path.strip()}")
    return parsed


def _parse_value(text: str, where: str) -> Any:
    """A number where it is one, else YAML, else text."""
    from harness import strict_yaml

    if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if strict_yaml.NUMBER.fullmatch(text.strip()) and "_" not in text and math.isfinite(float(text)):
        return float(text)
    try:
        return strict_yaml.parse(text, where)
    except BadInput as error:
        if "not YAML" in str(error):
            return text
        raise
