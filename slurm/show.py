"""The state of a study as text: counts, what needs attention, and the command that mends it."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import failures
from slurm.state import ORDER, Overview, Row

LISTED = 20  # runs that are shown one by one; all of them with --json


def text(study: Path, seen: Overview, name: str) -> str:
    """Counts, the runs that are at work or in trouble, and a summary that says what is wrong and what mends it."""
    lines = [f"{study}: " + (", ".join(f"{seen.count(s)} {s}" for s in ORDER if seen.count(s)) or "no runs")]
    shown = sorted((row for row in seen.rows if _interesting(row)), key=lambda row: (-ORDER.index(row.state), row.run))
    width = max((len(row.run) for row in shown[:LISTED]), default=0)
    for row in shown[:LISTED]:
        lines.append(f"  {row.state:<9} {row.run:<{width}}  {_progress(row)}".rstrip())
        if row.state in ("failed", "lost", "diverged"):
            log = failures.read_tail(study / row.run / "log.txt")
            lines += [f"            | {line[:160]}" for line in log.splitlines()]
    if len(shown) > LISTED:
        lines.append(f"  ... and {len(shown) - LISTED} more (--json lists all)")
    return "\n".join([*lines, *advice(seen, name)])


def advice(seen: Overview, name: str) -> list[str]:
    """One line per thing that is wrong, with the command that mends it; `all is well` where nothing is."""
    said, name = [f"warning: {seen.warning}"] if seen.warning else [], shlex.quote(name)
    kinds = Counter(row.kind for row in seen.rows if row.state == "failed")
    for kind, count in kinds.most_common():
        said.append(f"{count} failed ({kind}): {failures.remedy(kind or 'bug')}, then: dreamproof retry {name}")
    diverged = seen.count("diverged")
    if diverged:
        said.append(
            f"{diverged} diverged: a result of its own; to run again from scratch: dreamproof retry {name} --state diverged"
        )
    waiting = sum(row.sendable for row in seen.rows)
    if waiting:
        said.append(f"{waiting} not done and not in the queue: dreamproof submit {name}")
    if not said and seen.rows and seen.count("done") == len(seen.rows):
        said.append(f"all done. Next: dreamproof table robustness {name}")
    return said or ["nothing is wrong; nothing to do but wait"]


def rows(seen: Overview) -> list[dict[str, Any]]:
    return [asdict(row) for row in seen.rows]


def _interesting(row: Row) -> bool:
    return row.state not in ("done", "queued") or (row.sendable and bool(row.attempt))


def _progress(row: Row) -> str:
    step = f"step {row.step}" + (f" of {row.steps}" if row.steps else "")
    where = f" on {row.host}" if row.state == "running" and row.host else ""
    job = f" job {row.job}" if row.job else ""
    attempt = f" attempt {row.attempt}" if row.attempt > 1 else ""
    kind = f" [{row.kind}]" if row.kind else ""
    return f"{step}{where}{job}{attempt}{kind} {row.message}".rstrip()
