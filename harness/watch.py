"""Showing something again while it changes: what --watch of status, table and plot share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from harness.errors import Nothing

Seen = TypeVar("Seen")

option = click.option(
    "--watch",
    is_flag=False,
    flag_value=10.0,
    type=click.FloatRange(0.5),
    metavar="[SECONDS]",
    help="Look again every so many seconds (10) and show what has changed, until Ctrl-C.",
)


def watch(
    look: Callable[[], Seen], show: Callable[[Seen], None], every: float | None, until: Callable[[Seen], bool] = lambda _: False
) -> Seen | None:
    """Show what `look` finds; with `every`, look again after so many seconds and show it where it is another.

    Returns what was seen last: once `until` holds of it, or at Ctrl-C; at once without `every`. Where there is Nothing to
    show yet, a watch says so and goes on.
    """
    if every is None:
        show(seen := look())
        return seen
    seen, said = None, ""
    try:
        while True:
            try:
                now = look()
            except Nothing as nothing:
                if said != (said := str(nothing)):
                    click.echo(f"{said} Waiting for it.", err=True)
            else:
                if seen is None or now != seen:
                    show(now)
                seen, said = now, ""
                if until(seen):
                    return seen
            time.sleep(every)
    except KeyboardInterrupt:
        return seen


def fresh(signs: Callable[[], Any], make: Callable[[], Seen]) -> Callable[[], Seen]:
    """`make`, called only where `signs` are others than at the last call; else what it gave then."""
    made: list[tuple[Any, Seen]] = []

    def look() -> Seen:
        now = signs()  # before anything is read: what is written meanwhile shows at the next look
        if not made or made[0][0] != now:
            made[:] = [(now, make())]
        return made[0][1]

    return look
