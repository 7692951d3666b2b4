"""The tables of docs/performance.md: every case of every subject, each in a process of its own, between two markers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import bench, plugins, provenance
from harness.bench import Row
from harness.errors import BadInput, RunFailed

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def rows(subject: str) -> Iterator[Row]:
    """What `dreamproof bench SUBJECT --json` prints for each of its cases."""
    for case in plugins.load("harness.bench", subject).CASES:
        yield from _alone(subject, case)


def _alone(subject: str, case: Mapping[str, Any]) -> list[Row]:
    """In a process of its own: its peak memory and the time since its start are those of the case."""
    command = [sys.executable, "-m", "harness", "bench", subject, *flags(case), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RunFailed(f"bench {' '.join([subject, *flags(case)])} ended with status {done.returncode}.")
    return json.loads(done.stdout)


def flags(case: Mapping[str, Any]) -> list[str]:
    """A case as it is typed: what is true or false is a flag."""
    words = {name: [f"--{name}"] if value else [f"--no-{name}"] for name, value in case.items() if isinstance(value, bool)}
    return [word for name, value in case.items() for word in words.get(name, [f"--{name}", str(value)])]


def page(measured: Mapping[str, Sequence[Row]], stem: str = "page") -> str:
    """The machine, then a table for every subject and its figure, `stem`-`subject`.png, in Markdown."""
    machine = provenance.collect(command=[])
    about = f"{machine['cpu']['model']}, {machine['cpu']['usable']} cores, torch {machine['versions']['torch']}"
    busy = [row["other_cores"] for each in measured.values() for row in each if row["other_cores"] > bench.BUSY]
    lines = [f"Measured with `make bench` on {about}, at commit {machine['git']['commit'][:8] if machine['git'] else '?'}."]
    if busy:
        lines.append(f"**Other work was running (up to {max(busy):.1f} cores): the figures are too slow by as much.**")
    for subject, found in measured.items():
        module = plugins.load("harness.bench", subject)
        lines += ["", f"**{subject}** — {plugins.caption(module)}", "", *table(module, found)]
        if hasattr(module, "FIGURE"):
            lines += ["", f"![{subject}]({stem}-{subject}.png)"]
    return "\n".join(lines) + "\n"


def table(module: ModuleType, found: Sequence[Row]) -> list[str]:
    """Lines of a Markdown table; a column that no row has a figure for is left out."""
    columns = {head: key for head, key in module.TABLE.items() if any(key in row for row in found)}
    body = [[bench.shown(row.get(key, "")) for key in columns.values()] for row in found]
    return [f"| {' | '.join(cells)} |" for cells in (list(columns), ["---"] * len(columns), *body)]


def write(path: Path, text: str) -> None:
    """Replace what stands between the marks; BadInput where the page has none."""
    before = path.read_text() if path.is_file() else f"{BEGIN}\n{END}\n"
    if BEGIN not in before or END not in before:
        raise BadInput(f"{path} has no place for the tables: it needs the lines {BEGIN} and {END}.")
    head, rest = before.split(BEGIN, 1)
    path.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{rest.split(END, 1)[1]}")
