"""Run directories without their checkpoints (TAR.GZ). Every verb reads the archive, and `tar xzf` unpacks the runs."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.reading.load import Results

FILES = ("config.json", "state.json", "provenance.json", "episodes.jsonl", "metrics.jsonl", "done")


def write(results: Results, out: Path) -> str:
    """STUDY/RUN/file of every run. The same runs give the same bytes.

    BadInput for a name without .tar.gz, and for two runs of one name. If a run is still writing, a file may end in a torn
    line, which readers drop.
    """
    from harness.errors import BadInput
    from harness.names import check_name
    from results.importers import _archive

    if not _archive.is_archive(out):
        raise BadInput(f"{out}: the name of an archive ends in {_archive.ENDING}. Tables and figures recognise it by that.")
    runs = results.runs.sort_values(["study", "run"])
    places = [
        f"{check_name(study.replace('/', '-'), 'the study', path)}/{check_name(run, 'the run', path)}"
        for study, run, path in zip(runs.study, runs.run, runs.path, strict=True)
    ]
    if repeated := sorted({place for place in places if places.count(place) > 1}):
        raise BadInput(f"{out}: an archive holds one run of a name; {repeated[0]} is there twice, from different roots.")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for place, path in zip(places, runs.path, strict=True):
            for name, content in _files(Path(path)):
                member = tarfile.TarInfo(f"{place}/{name}")  # no owner, no time: those are of the machine
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    return f"{len(runs)} runs, {len(plain.getvalue())} bytes before compression"


def _files(run: Path) -> Iterator[tuple[str, bytes]]:
    for name in FILES:
        if (run / name).exists():
            yield name, (run / name).read_bytes()
