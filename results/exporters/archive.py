"""What runs have written down, without their checkpoints (TAR.GZ): every verb reads it, and `tar xzf` gives the runs back."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.reading.load import Results

KEPT = ("config.json", "state.json", "provenance.json", "episodes.jsonl", "metrics.jsonl", "done")


def write(results: Results, out: Path) -> str:
    """STUDY/RUN/file of every run. The same runs give the same bytes.

    BadInput for a name without .tar.gz and for two runs of one name. Of a run that is writing, a torn last line may be in it,
    which readers drop.
    """
    from harness.errors import BadInput
    from results.importers import _archive

    if not _archive.is_one(out):
        raise BadInput(f"{out}: an archive's name ends in {_archive.ENDING}, by which tables and figures know it.")
    runs = results.runs.sort_values(["study", "run"])
    places = [f"{study.replace('/', '-')}/{run}" for study, run in zip(runs.study, runs.run, strict=True)]
    if twice := sorted({place for place in places if places.count(place) > 1}):
        raise BadInput(f"{out}: an archive holds one run of a name; {twice[0]} is there twice, from different roots.")
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
    for name in KEPT:
        if (run / name).exists():
            yield name, (run / name).read_bytes()
