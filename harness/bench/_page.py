"""The tables of docs/performance.md: every case of every subject, each in a process of its own, between two markers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import bench, plugins, provenance
from harness.bench import Row
from harness.child import python_command
from harness.errors import BadInput, RunFailed

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def measure_cases(subject: str) -> Iterator[Row]:
    """What `dreamproof bench SUBJECT --json` prints for each case of the subject."""
    for case in plugins.load("harness.bench", subject).CASES:
        yield from _measure_alone(subject, case)


def _measure_alone(subject: str, case: Mapping[str, Any]) -> list[Row]:
    """Measure in a new process, so that its peak memory and the time since its start belong to this case."""
    command = python_command("-m", "harness", "bench", subject, *case_to_flags(case), "--json")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:
        process.terminate()  # it removes its temporary folder
        process.wait(30)
        raise
    if process.returncode:
        raise RunFailed(f"bench {' '.join([subject, *case_to_flags(case)])} ended with status {process.returncode}.")
    return json.loads(output)


def case_to_flags(case: Mapping[str, Any]) -> list[str]:
    """A case as command-line options; true and false become `--name` and `--no-name`."""
    words = {name: [f"--{name}"] if value else [f"--no-{name}"] for name, value in case.items() if isinstance(value, bool)}
    return [word for name, value in case.items() for word in words.get(name, [f"--{name}", str(value)])]


def tables_to_markdown(rows_by_subject: Mapping[str, Sequence[Row]], stem: str = "page") -> str:
    """The machine, then for every subject its table and, where it has one, its figure `stem`-`subject`.png."""
    machine = provenance.collect(command=[])
    about = f"{machine['cpu']['model']}, {machine['cpu']['usable']} cores, torch {machine['versions']['torch']}"
    busy = [
        row["other_cores"] for rows in rows_by_subject.values() for row in rows if row["other_cores"] > bench.MAX_OTHER_WORK
    ]
    lines = [f"Measured with `make bench` on {about}, at commit {machine['git']['commit'][:8] if machine['git'] else '?'}."]
    if busy:
        lines.append(f"**Other work was running (up to {max(busy):.1f} cores): the figures are too slow by as much.**")
    for subject, rows in rows_by_subject.items():
        module = plugins.load("harness.bench", subject)
        lines += ["", f"**{subject}** — {plugins.caption(module)}", "", *table_lines(module, rows)]
        if hasattr(module, "FIGURE"):
            lines += ["", f"![{subject}]({stem}-{subject}.png)"]
    return "\n".join(lines) + "\n"


def table_lines(module: ModuleType, rows: Sequence[Row]) -> list[str]:
    """Lines of a Markdown table; a column without any figure is left out."""
    columns = {head: key for head, key in module.COLUMNS.items() if any(key in row for row in rows)}
    body = [[bench.format_value(row.get(key, "")) for key in columns.values()] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in (list(columns), ["---"] * len(columns), *body)]


def write_tables(path: Path, text: str) -> None:
    """Replace the text between the marks of a page; BadInput where it has no marks."""
    page = path.read_text() if path.is_file() else f"{BEGIN}\n{END}\n"
    if BEGIN not in page or END not in page:
        raise BadInput(f"{path} has no place for the tables: it needs the lines {BEGIN} and {END}.")
    head, tail = page.split(BEGIN, 1)
    path.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail.split(END, 1)[1]}")
