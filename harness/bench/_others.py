"""Measures how busy other work keeps the machine; a measurement's own processes do not count."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

_BUSY = (0, 1, 2, 5, 6, 7)  # of /proc/stat's first line: all but waiting; with what other machines on this host took away


class Others:
    """From now on."""

    def __init__(self) -> None:
        self._last, self._told = _seconds(), 0.0

    def cores(self) -> float:
        """Processor cores that other work kept busy since the last call, on average; 0 where the system does not say.

        The system counts in hundredths of a second: before a second has passed, what was told last.
        """
        at, everyone, own = self._last
        now, all_now, own_now = seen = _seconds()
        if now - at >= 1:
            self._last, self._told = seen, round(max(0.0, (all_now - everyone - (own_now - own)) / (now - at)), 2)
        return self._told


def _seconds() -> tuple[float, float, float]:
    """The time, and processor seconds of the whole machine and of this process with all that it started."""
    try:
        ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return time.perf_counter(), 0.0, 0.0
    everyone = sum(ticks[place] for place in _BUSY if place < len(ticks)) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), everyone, _own()


def _own() -> float:
    """Of this process and its descendants, those that have ended included."""
    children, spent = defaultdict(list), {}
    for entry in os.scandir("/proc"):
        try:
            fields = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split() if entry.name.isdigit() else None
        except OSError:  # it has ended
            continue
        if fields:
            children[int(fields[1])].append(int(entry.name))
            spent[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        total += spent.get(process, 0.0)
        waiting += children[process]
    return total
