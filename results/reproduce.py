"""A list of tables and figures, rebuilt from stored runs. The same runs give the same bytes; a hash identifies the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import plugins, rundir
from harness.errors import BadInput, RunFailed, unknown
from harness.names import below

if TYPE_CHECKING:
    from results.reading.load import Results

VERBS = {"table": ("md", "csv", "tex", "html", "json"), "plot": ("png", "pdf", "svg")}
NEEDED = ("verb", "name", "runs", "out")
KEYS = (*NEEDED, "options", "data")
OPTIONS = {"reps": int, "seed": int, "confidence": float, "final": str, "interval": str, "reference": list}
OPTIONS |= {"baseline": str, "margin": float}


@dataclass(frozen=True)
class Entry:
    """One table or figure. runs: paths or patterns; data: the expected hash, '' for any; where: for errors."""

    where: str
    verb: str
    name: str
    runs: tuple[str, ...]
    out: str
    options: dict[str, Any] = field(default_factory=dict)
    data: str = ""

    @property
    def outputs(self) -> list[str]:
        """The output and, of a figure, the CSV beside it."""
        return [self.out] + ([str(Path(self.out).with_suffix(".csv"))] if self.verb == "plot" else [])


def parse(content: Any, file: str) -> list[Entry]:
    """The entries of a list that was read from YAML. BadInput names the entry and what it may hold."""
    if not isinstance(content, list) or not content:
        raise BadInput(f"{file}: a list of entries {{{', '.join(KEYS)}}}, not {type(content).__name__}.")
    entries = [_entry(item, f"{file}, entry {number}") for number, item in enumerate(content, 1)]
    written: dict[str, Entry] = {}
    for entry in entries:
        for path in entry.outputs:
            if path in written:
                raise BadInput(f"{entry.where}: {path} is written by {written[path].where} already.")
            written[path] = entry
    return entries


def rebuild(
    entries: Sequence[Entry], data: Path, out: Path, available: bool = False, reference: Sequence[Path] = ()
) -> Iterator[str]:
    """Build and write one entry after the other; a line about each: its output, whether that changed, its data's hash.

    `available`: leave out entries whose runs are not below `data`. `reference` is added to entries named `curves` that have
    a task of it.
    RunFailed at the end if the data of an entry are not those of its hash: that entry is not written.
    """
    from results.reading import load

    for entry in entries:
        for path in entry.outputs:
            below(out, path, "out", entry.where)
    wrong: list[Entry] = []
    loaded_runs: list[Path] = []
    results: Results | None = None
    runs_of_entries = [_find_runs(entry, data, available) for entry in entries]
    for entry, runs in zip(entries, runs_of_entries, strict=True):
        if not runs:
            yield f"{entry.out}: left out, nothing at {', '.join(entry.runs)}"
            continue
        if results is None or loaded_runs != runs:  # entries of the same runs follow each other
            loaded_runs, results = runs, load.load(runs)
        digest, files = _build(entry, results, data, reference)
        if entry.data and digest != entry.data:
            wrong.append(entry)
            yield f"{entry.out}: not written, its data are {digest}"
            continue
        changed = [_write(out / path, content) for path, content in zip(entry.outputs, files, strict=True)]
        yield f"{entry.out}: {'written' if any(changed) else 'unchanged'}, data {digest}" + (
            "" if entry.data else " (unchecked)"
        )
    if wrong:
        raise RunFailed(
            "The data are not those that the list was made from: " + "; ".join(f"{e.where} expects {e.data}" for e in wrong)
        )


def _entry(item: Any, where: str) -> Entry:
    if not isinstance(item, dict):
        raise BadInput(f"{where}: an entry holds {', '.join(KEYS)}; got {str(item)[:40]!r}.")
    for key in item:
        if key not in KEYS:
            raise unknown("key", key, KEYS, where)
    if lacking := [key for key in NEEDED if key not in item]:
        raise BadInput(f"{where}: lacks {', '.join(lacking)}.")
    verb, runs = item["verb"], item["runs"]
    runs = [runs] if isinstance(runs, str) else runs
    texts = {"name": item["name"], "out": item["out"], "data": item.get("data", "")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise BadInput(f"{where}: {key} = {text!r}; allowed is text.")
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS, where)
    if texts["name"] not in plugins.names(f"results.{verb}s"):
        raise unknown(verb, texts["name"], plugins.names(f"results.{verb}s"), where)
    if not isinstance(runs, list) or not runs or not all(isinstance(run, str) for run in runs):
        raise BadInput(f"{where}: runs = {runs!r}; allowed is a path or pattern, or a list of them.")
    if Path(texts["out"]).suffix[1:] not in VERBS[verb]:
        raise BadInput(f"{where}: out = {texts['out']}; a {verb} ends in {', '.join('.' + form for form in VERBS[verb])}.")
    return Entry(where, verb, runs=tuple(runs), options=_options(item.get("options", {}), where), **texts)


def _options(options: Any, where: str) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise BadInput(f"{where}: options = {options!r}; allowed is a mapping of {', '.join(OPTIONS)}.")
    for name, value in options.items():
        if name not in OPTIONS:
            raise unknown("option", name, OPTIONS, where)
        kinds = (int, float) if OPTIONS[name] is float else OPTIONS[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise BadInput(f"{where}: option {name} = {value!r}; allowed is a {OPTIONS[name].__name__}.")
    return dict(options)


def _find_runs(entry: Entry, data: Path, available: bool) -> list[Path]:
    """The paths of an entry's runs in order, patterns resolved; [] if some are missing and `available` allows it."""
    paths: list[Path] = []
    for pattern in entry.runs:
        whole = Path(pattern)
        base, pattern = (Path(whole.anchor), str(whole.relative_to(whole.anchor))) if whole.anchor else (data, pattern)
        matches = sorted(base.glob(pattern)) if "*" in pattern else [base / pattern] * (base / pattern).exists()
        if not matches and not available:
            raise BadInput(f"{entry.where}: nothing at {base / pattern}. --data names the folder of the runs.")
        if not matches:
            return []
        paths += matches
    return paths


def data_hash(entry: Entry, results: Results) -> str:
    """sha256 of the rows that the entry's table or figure is made from, and of the metrics that it names."""
    from results.exporters import _tidy

    return _tidy.digest(results, getattr(plugins.load(f"results.{entry.verb}s", entry.name), "METRICS", ()))


def _build(entry: Entry, results: Results, data: Path, reference: Sequence[Path]) -> tuple[str, list[bytes]]:
    """The hash of the runs' data, and the bytes of the output and, for a figure, of the CSV beside it."""
    from results import plots, tables
    from results.analyses import curves

    options = dict(entry.options)
    curve_references = [path for path in reference if entry.name == "curves" and curves.has_task(path, results.runs.task)]
    if references := [*(data / path for path in options.pop("reference", [])), *curve_references]:
        options["reference"] = references
    digest = data_hash(entry, results)
    form = Path(entry.out).suffix[1:]
    if entry.verb == "table":
        return digest, [tables.build(entry.name, results, **options).render(form).encode()]
    return digest, list(plots.files(*plots.build(entry.name, results, **options), form))


def _write(path: Path, content: bytes) -> bool:
    """Write a file. Returns whether its content has changed."""
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        rundir.write_file(path, content, sync=False)
        return True
    except OSError as error:
        raise BadInput(f"Cannot write {path}: {error.strerror}") from None
