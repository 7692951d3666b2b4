"""Why attempts at a run failed: the kind of failure, how often the same one came, and whether to try again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from harness.rundir import RunDir

MAX_REPEATS = 3  # after the same failure so often in a row the run is left `failed`
MAX_RECORDS = 10  # failures in state.json
TAIL_LINES = 3  # lines of the log that are shown for a failure

# Kind -> (pattern, remedy). The patterns are searched in the reason and in the log's last lines; the first match counts.
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
    "killed": (r"killed by SIG|process is gone", "nothing, unless it comes again: then ask the cluster's administrators"),
}
BUG = ("bug", "read its log")


def classify(reason: str, log: str = "") -> str:
    """`memory`, `disk`, `time`, `node`, `nan`, `simulator`, `killed` or `bug`, from a reason and the log's last lines."""
    for text in (reason, log):
        for kind, (pattern, _) in KINDS.items():
            if re.search(pattern, text):
                return kind
    return BUG[0]


def remedy(kind: str) -> str:
    """What the user can do against a kind of failure."""
    return KINDS[kind][1] if kind in KINDS else BUG[1]


def record_failure(run: RunDir, reason: str) -> bool:
    """Write a failed attempt into state.json -> whether to try again: not after `MAX_REPEATS` equal reasons in a row."""
    state = run.state
    kind = classify(reason, read_tail(run.path / "log.txt", 30))
    entry = {"kind": kind, "reason": reason, "attempt": state["attempt"], "host": state.get("host"), "job": state.get("job")}
    failures = [*state.get("failures", []), entry | {"at": round(time.time(), 3)}][-MAX_RECORDS:]
    repeats = len(failures) - next((i for i in range(len(failures), 0, -1) if failures[i - 1]["reason"] != reason), 0)
    retry = repeats < MAX_REPEATS
    message = reason if retry else f"{reason} ({repeats} times in a row)"
    run.set_state(state="queued" if retry else "failed", failures=failures, message=message)
    return retry


def reset_failures(run: RunDir, **changes: Any) -> None:
    """Queue a failed run again: its failures stay on record but no longer count."""
    state = run.state
    earlier = [*state.get("earlier_failures", []), *state.get("failures", [])][-MAX_RECORDS:]
    run.set_state(state="queued", message="", failures=[], earlier_failures=earlier, **changes)


def progress_phrase(run: RunDir) -> str:
    """The newest checkpoint by name. It is part of the reason of a kill: after more progress it is another failure."""
    steps = sorted(path.name for path in (run.path / "checkpoint").glob("step-*") if not path.name.endswith(".tmp"))
    return f"after {steps[-1]}" if steps else "before its first checkpoint"


def read_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last non-empty lines of a log; "" where there is no log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
