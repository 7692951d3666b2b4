"""Shows something again whenever it changes: what --watch of status, table and plot share."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from harness.errors import NothingToShow

T = TypeVar("T")

option = click.option(
    "--watch",
    is_flag=False,
    flag_value=10.0,
    type=click.FloatRange(0.5),
    metavar="[SECONDS]",
    help="Look again every SECONDS (default 10) and show the changes, until Ctrl-C.",
)


def watch(
    look: Callable[[], T], show: Callable[[T], None], interval: float | None, is_over: Callable[[T], bool] = lambda _: False
) -> T | None:
    """Show what `look` returns. With an `interval` in seconds, look again and again, and show it where it has changed.

    Returns what was shown last: when `is_over` holds of it, or at Ctrl-C or SIGTERM; at once without an interval. Where
    there is nothing to show yet, a watch says so once and goes on.
    """
    if interval is None:
        current = look()
        show(current)
        return current
    latest: T | None = None
    message = ""
    try:
        with sigterm_interrupts():
            while True:
                try:
                    current = look()
                except NothingToShow as nothing:
                    if str(nothing) != message:
                        message = str(nothing)
                        click.echo(f"{message} Waiting for it.", err=True)
                else:
                    if latest is None or current != latest:
                        show(current)
                    latest, message = current, ""
                    if is_over(current):
                        break
                time.sleep(interval)
    except KeyboardInterrupt:
        pass
    return latest


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that what was begun is cleaned up, also where SIGINT is ignored (`nohup ... &`)."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can have handlers
        yield
        return
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if former is None else former)


def remake_when_changed(signs: Callable[[], object], make: Callable[[], T]) -> Callable[[], T]:
    """`make`, but called again only where `signs` have changed since the last call; otherwise its last result."""
    latest: list[tuple[object, T]] = []

    def look() -> T:
        current = signs()  # before anything is read: what is written meanwhile shows at the next look
        if not latest or latest[0][0] != current:
            latest[:] = [(current, make())]
        return latest[0][1]

    return look
