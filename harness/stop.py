"""A request to stop: a signal, or the death of the process that started this one, becomes a flag that a loop reads."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

# Ctrl-C; kill and most schedulers; the warning that submitit asks SLURM for. SIGUSR2 does not exist everywhere.
SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR2") if name in signal.Signals.__members__]

Handler = Callable[[int, FrameType | None], object] | int | None


class Stop:
    """While entered, SIGINT, SIGTERM and SIGUSR2 set `reason` instead of acting, also where they were ignored before.

    A second SIGINT raises KeyboardInterrupt at once: whoever presses Ctrl-C twice does not want to wait for a checkpoint.
    On exit the former handlers come back. Only the main thread can have handlers; in any other thread only `parent` is
    watched. `parent`: id of the process whose death also is a request to stop (see `parent_gone`).
    """

    def __init__(self, parent: int | None = None):
        self._parent, self._interrupts = parent, 0
        self._reason: str | None = None
        self._former_handlers: dict[int, Handler] = {}

    @property
    def reason(self) -> str | None:
        """Why to stop: a signal's name, "parent gone", or None while nobody asked. Once set, it stays."""
        if self._reason is None and self._parent is not None and parent_gone(self._parent):
            self._reason = "parent gone"
        return self._reason

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._former_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former_handlers.items():
            # None stands for a handler that was not installed from Python and that Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former_handlers.clear()

    def ignore(self) -> None:
        """Ignore the signals from now on, also after exit: a late signal must not turn an orderly end into a kill."""
        for number in self._former_handlers:
            signal.signal(number, signal.SIG_IGN)
        self._former_handlers.clear()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._reason = self._reason or signal.Signals(number).name
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            raise KeyboardInterrupt


def parent_gone(parent: int) -> bool:
    """Whether this process outlived the process with id `parent` that started it: it then has another parent.

    `parent` must come from the parent itself (its `os.getpid()` before it starts the child): a child that looks only
    after it has started may be too late to see its real parent.
    """
    return os.getppid() != parent
