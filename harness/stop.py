"""Being asked to stop: a signal, or the death of the process that started this one, becomes a flag to poll."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGUSR2")  # Ctrl-C; kill and most schedulers; the warning that submitit asks SLURM for


class Stop:
    """While entered, SIGINT, SIGTERM and SIGUSR2 (where it exists) set `asked` instead of acting.

    A second SIGINT raises KeyboardInterrupt at once: whoever presses Ctrl-C twice does not want to wait for a
    checkpoint. The handlers found on entry come back on exit. Outside the main thread, which alone can have handlers,
    only `parent` is watched. `parent`: id of the process whose death counts as being asked (see `parent_gone`).
    """

    def __init__(self, parent: int | None = None):
        self._parent, self._asked, self._interrupts = parent, None, 0
        self._before: dict[int, object] = {}

    @property
    def asked(self) -> str | None:
        """Who asked: a signal's name, "parent gone", or None. Once asked, it stays."""
        if self._asked is None and self._parent is not None and parent_gone(self._parent):
            self._asked = "parent gone"
        return self._asked

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that was not installed from Python and that Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def ignore(self) -> None:
        """From now on, and after exit: a late signal must not turn an orderly end into a kill."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)
        self._before.clear()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._asked = self._asked or signal.Signals(number).name
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            raise KeyboardInterrupt


def parent_gone(parent: int) -> bool:
    """Whether this process outlived the one with id `parent` that started it: it then has another parent.

    `parent` must come from the parent itself (its `os.getpid()` before it starts the child): a child that looks only
    after it has started may be too late to see its real parent.
    """
    return os.getppid() != parent
