"""The state of a study as text: counts, what needs attention, and the command that repairs it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import failures
from harness import study as studies
from slurm.state import ORDER, Overview, RunStatus

LISTED = 20  # runs that are listed one by one; --json lists all


def format_overview(study: Path, overview: Overview, name: str, options: Sequence[str] = ()) -> str:
    """Counts, the runs that are at work or in trouble, and advice. `name`, `options`: how the user called the study."""
    counts = [f"{overview.count(state)} {state}" for state in ORDER if overview.count(state)]
    lines = [f"{study}: " + (", ".join(counts) or "no runs")]
    rows = sorted((row for row in overview.rows if _needs_attention(row)), key=lambda row: (-ORDER.index(row.state), row.run))
    width = max((len(row.run) for row in rows[:LISTED]), default=0)
    for row in rows[:LISTED]:
        lines.append(f"  {row.state:<9} {row.run:<{width}}  {_format_progress(row)}".rstrip())
        if row.state in ("failed", "lost", "diverged"):
            log = failures.read_tail(study / row.run / "log.txt")
            lines += [f"            | {line[:160]}" for line in log.splitlines()]
    if len(rows) > LISTED:
        lines.append(f"  ... and {len(rows) - LISTED} more (--json lists all)")
    return "\n".join([*lines, *advice(study, overview, name, options)])


def advice(study: Path, overview: Overview, name: str, options: Sequence[str] = ()) -> list[str]:
    """One line per problem, with the command that repairs it; without a problem, one line that says so.

    `name`, `options`: how the user called the study. Every command works as it is printed.
    """
    lines = [f"warning: {overview.warning}"] if overview.warning else []
    retry = shlex.join(["dreamproof", "retry", name, *options])
    kinds = Counter(row.kind for row in overview.rows if row.state == "failed")
    for kind, count in kinds.most_common():
        lines.append(f"{count} failed ({kind}): {failures.remedy(kind or 'bug')}, then: {retry}")
    diverged = overview.count("diverged")
    if diverged:
        lines.append(f"{diverged} diverged: a result of its own; to run again from scratch: {retry} --state diverged")
    elsewhere = "at work nowhere" if overview.submit_command is None else "not in the queue"
    fallback = continue_command(study, overview, name, options)
    sendable = Counter(row.command or fallback for row in overview.rows if row.sendable)
    for command, count in sendable.items():
        lines.append(f"{count} not done and {elsewhere if command == fallback else 'at work nowhere'}: {command}")
    if not lines and overview.rows and overview.count("done") == len(overview.rows):
        lines.append(f"all done. Next: dreamproof table robustness {shlex.quote(str(study))}")
    return lines or ["nothing is wrong; nothing to do but wait"]


def continue_command(study: Path, overview: Overview, name: str, options: Sequence[str]) -> str:
    """What goes on with the rest: the submission again; of a folder, whose study's file nobody named, as it was typed."""
    if overview.local_command is not None:
        return overview.local_command
    is_study = Path(name).is_file() or name in studies.names()
    has_overrides = re.search(r" --(set|steps|seeds)\b", overview.submit_command or "") is not None
    if overview.submit_command is not None and (has_overrides or not is_study):
        return overview.submit_command
    verb = "run" if overview.submit_command is None else "submit"
    return shlex.join(["dreamproof", verb, name if is_study else str(study), *options])


def overview_to_rows(overview: Overview) -> list[dict[str, Any]]:
    """A dictionary per run, for --json."""
    return [asdict(row) for row in overview.rows]


def _needs_attention(row: RunStatus) -> bool:
    return row.state not in ("done", "queued") or (row.sendable and bool(row.attempt))


def _format_progress(row: RunStatus) -> str:
    step = f"step {row.step}" + (f" of {row.steps}" if row.steps else "")
    where = f" on {row.host}" if row.state == "running" and row.host else ""
    job = f" job {row.job}" if row.job else ""
    attempt = f" attempt {row.attempt}" if row.attempt > 1 else ""
    kind = f" [{row.kind}]" if row.kind else ""
    return f"{step}{where}{job}{attempt}{kind} {row.message}".rstrip()
