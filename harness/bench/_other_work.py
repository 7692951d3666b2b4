"""Measures how busy other work keeps the machine; a measurement's own processes do not count."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # of /proc/stat's first line: all but waiting; includes time that the host took away


class _Sample(NamedTuple):
    """Seconds on the clock, and processor seconds of the whole machine and of this process with all its descendants."""

    clock: float
    machine: float
    ours: float


class OtherWork:
    """Counts other work from the moment it is made."""

    def __init__(self) -> None:
        self._last_sample, self._last_result = _sample(), 0.0

    def busy_cores(self) -> float:
        """Processor cores that other work kept busy since the last call, on average; 0 where the system does not count it.

        The system counts in hundredths of a second: within a second of the last call the result is the same again.
        """
        former, current = self._last_sample, _sample()
        seconds = current.clock - former.clock
        if seconds >= 1:
            other_seconds = current.machine - former.machine - (current.ours - former.ours)
            self._last_sample, self._last_result = current, round(max(0.0, other_seconds / seconds), 2)
        return self._last_result


def _sample() -> _Sample:
    try:
        ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return _Sample(time.perf_counter(), 0.0, 0.0)
    machine = sum(ticks[field] for field in _BUSY_FIELDS if field < len(ticks)) / os.sysconf("SC_CLK_TCK")
    return _Sample(time.perf_counter(), machine, _own_seconds())


def _own_seconds() -> float:
    """Processor seconds of this process and its descendants, those that have ended included."""
    children: dict[int, list[int]] = defaultdict(list)
    seconds: dict[int, float] = {}
    for entry in os.scandir("/proc"):
        try:
            fields = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split() if entry.name.isdigit() else None
        except OSError:  # it has ended
            continue
        if fields:
            children[int(fields[1])].append(int(entry.name))
            seconds[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    total, pending = 0.0, [os.getpid()]
    while pending:
        process = pending.pop()
        total += seconds.get(process, 0.0)
        pending += children[process]
    return total
