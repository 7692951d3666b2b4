"""Why attempts at a run failed: what kind of failure, how often the same, and whether another attempt makes sense."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from harness.rundir import RunDir

TIMES = 3  # the same failure so often in a row, and the run is left `failed`
KEPT = 10  # failures in state.json
LAST = 3  # lines of the log that are shown for a failure

# What is looked for in the reason and the log's last lines, the first match counts; and what mends it.
KINDS: dict[str, tuple[str, str]] = {
    "memory": (
        r"MemoryError|OutOfMemory|out of memory|OUT_OF_MEMORY|can't allocate memory|Cannot allocate memory|oom.kill",
        "raise resources.memory (or a smaller batch, replay or size)",
    ),
    "disk": (r"No space left|ENOSPC|EDQUOT|quota|could not be written", "free space where the runs are"),
    "time": (r"time limit|TIMEOUT", "raise resources.hours"),
    "node": (r"NODE_FAIL|BOOT_FAIL|node failure|host is gone|Stale file handle", "nothing: another node takes it"),
    "nan": (r"not finite|diverged|mean loss of the last log interval", "look at its metrics: the same seed diverges again"),
    "simulator": (
        r"site-packages/(mujoco|dm_control|ale_py|gymnasium)|PhysicsError|FatalError|EGL|OpenGL|GLError|MUJOCO_GL",
        "check the simulator with `dreamproof doctor`",
    ),
    "killed": (r"killed by SIG", "nothing, unless it comes again: then ask the cluster's administrators"),
}
BUG = ("bug", "read its log")


def classify(reason: str, log: str = "") -> str:
    """`memory`, `disk`, `time`, `node`, `nan`, `simulator`, `killed` or `bug`, from a reason and the log's last lines."""
    for text in (reason, log):
        for kind, (pattern, _) in KINDS.items():
            if re.search(pattern, text):
                return kind
    return BUG[0]


def cure(kind: str) -> str:
    return KINDS[kind][1] if kind in KINDS else BUG[1]


def note(run: RunDir, reason: str) -> bool:
    """Write a failed attempt into state.json -> whether to try again: not after the same reason `TIMES` times in a row."""
    state = run.state
    kind = classify(reason, tail(run.path / "log.txt", 30))
    entry = {"kind": kind, "reason": reason, "attempt": state["attempt"], "host": state.get("host"), "job": state.get("job")}
    failures = [*state.get("failures", []), entry | {"at": round(time.time(), 3)}][-KEPT:]
    same = len(failures) - next((i for i in range(len(failures), 0, -1) if failures[i - 1]["reason"] != reason), 0)
    again = same < TIMES
    message = reason if again else f"{reason} ({same} times in a row)"
    run.set_state(state="queued" if again else "failed", failures=failures, message=message)
    return again


def forget(run: RunDir, **changes: Any) -> None:
    """A fresh start for a run that was left: its failures stay on record but count no more."""
    state = run.state
    earlier = [*state.get("earlier_failures", []), *state.get("failures", [])][-KEPT:]
    run.set_state(state="queued", message="", failures=[], earlier_failures=earlier, **changes)


def where(run: RunDir) -> str:
    """The newest checkpoint by name, part of the reason of a kill: with progress in between it is not the same failure."""
    steps = sorted(path.name for path in (run.path / "checkpoint").glob("step-*") if not path.name.endswith(".tmp"))
    return f"after {steps[-1]}" if steps else "before its first checkpoint"


def tail(path: Path, lines: int = LAST) -> str:
    """The last lines of a log; nothing where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
