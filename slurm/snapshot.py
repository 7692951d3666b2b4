"""A copy of the code for queued jobs: editing the checkout does not change what they will run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from harness import provenance

PACKAGES = ("agents", "harness", "ablations", "results", "slurm")
SUFFIXES = {".py", ".yaml", ".json"}


def copy_code(folder: Path) -> Path:
    """Copy the packages as they are now to `folder/<hash>`, which is returned. The same code is copied once."""
    files = sorted(path for package in PACKAGES for path in (provenance.ROOT / package).rglob("*") if path.suffix in SUFFIXES)
    content = [(path.relative_to(provenance.ROOT), path.read_bytes()) for path in files]
    digest = hashlib.blake2b(digest_size=8)
    for name, data in content:
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    place = folder / digest.hexdigest()
    if not place.exists():
        _write(place, content)
    return place


def read_provenance(place: Path) -> dict[str, Any]:
    """Of a copy: its commit, the difference to that commit and its hash."""
    return json.loads((place / provenance.SNAPSHOT).read_text())


def _write(place: Path, content: list[tuple[Path, bytes]]) -> None:
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    for name, data in content:
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).write_bytes(data)
    commit = provenance.git_state(provenance.ROOT) or {"commit": None, "dirty": None}
    (temporary / provenance.SNAPSHOT).write_text(json.dumps(commit | {"snapshot": place.name}))
    try:
        os.rename(temporary, place)
    except OSError:  # another submission wrote the same copy meanwhile
        shutil.rmtree(temporary)
        if not place.exists():
            raise
