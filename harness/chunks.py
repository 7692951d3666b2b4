"""Steps of several environments in chunks of fixed size: held in memory, written to disk once, refreshed in between.

E environments, C ticks of a chunk. What never changes of a full chunk is one file, written once. Learning refreshes latents
anywhere in the table: a save writes the latents that changed since the save before as one more file. When these files
together would exceed twice the size of all latents, a save writes all latents as the first file of a new list.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space
from harness import arrays as array_files
from harness.arrays import Checksum

File = tuple[str, Checksum]  # name in the shared folder, what the file must still be when it is read
ROWS = "rows"  # entry of a file of latents: which steps of the chunk, flat in (tick, env); without it: all steps


class LatentLog:
    """The files of latents of full chunks, one per save, and which latents changed since the last save."""

    def __init__(self, keys: Sequence[str]):
        self.keys = tuple(keys)
        self.delta_files: list[File] = []  # each overwrites what the files before it hold
        self.delta_steps = 0  # steps in these files; a step that is in several files counts several times
        self._changed: dict[int, np.ndarray] = {}  # chunk number -> (C, E) bool: latents that differ from the files
        self._saved_chunks: set[int] = set()  # chunks whose latents are in the files

    def add_chunk(self, number: int, shape: tuple[int, int]) -> None:
        """Start to track a chunk of `shape` (C, E)."""
        self._changed[number] = np.zeros(shape, bool)

    def forget_chunk(self, number: int) -> None:
        self._changed.pop(number, None)

    def mark_changed(self, number: int, rows: slice, env: int) -> None:
        """Remember that latents of these rows of a chunk changed."""
        self._changed[number][rows, env] = True

    def save(self, chunks: Mapping[int, Arrays], shared: Path, stem: str) -> None:
        """Write the changed latents of the full `chunks` into a new file of `shared`. Raises OSError."""
        rewrite = self._needs_rewrite(chunks, shared)
        arrays = self._unsaved_arrays(chunks, rewrite)
        new_files = [_write_file(shared, stem, arrays)] if arrays else []
        self.delta_files = new_files if rewrite else self.delta_files + new_files
        self.delta_steps = self._total_steps(chunks) if rewrite else self.delta_steps + self._changed_steps(chunks)
        self._saved_chunks = set(chunks)
        for number in chunks:
            self._changed[number][:] = False

    def pending_arrays(self, chunks: Mapping[int, Arrays], shared: Path) -> Arrays:
        """What `save` would write now."""
        return self._unsaved_arrays(chunks, self._needs_rewrite(chunks, shared))

    def restore(self, state: Mapping[str, Any], chunks: Mapping[int, Arrays]) -> None:
        """Continue from a stored state whose files hold the latents of the full `chunks`."""
        self.delta_files = [(name, Checksum(*checksum)) for name, checksum in state.get("latents", ())]
        self.delta_steps = state.get("latent_steps", 0)
        self._saved_chunks = set(chunks) if self.delta_files else set()
        self._changed = {}

    def _needs_rewrite(self, chunks: Mapping[int, Arrays], shared: Path) -> bool:
        """Whether to write all latents: a file is missing (its save failed), or all files would outgrow twice the whole."""
        is_missing = not all(_exists(file, shared) for file in self.delta_files)
        return is_missing or self.delta_steps + self._changed_steps(chunks) > 2 * self._total_steps(chunks)

    def _total_steps(self, chunks: Mapping[int, Arrays]) -> int:
        return sum(self._changed[number].size for number in chunks)

    def _changed_steps(self, chunks: Mapping[int, Arrays]) -> int:
        """Steps that the next save writes, unless it writes all."""
        return sum(self._changed[n].size if rows is None else len(rows) for n, rows in self._changed_rows(chunks))

    def _changed_rows(self, chunks: Mapping[int, Arrays]) -> Iterator[tuple[int, np.ndarray | None]]:
        """Each chunk's number and the flat numbers of its changed steps; None where the whole chunk is to be written."""
        for number in chunks:
            rows = np.flatnonzero(self._changed[number])
            whole = number not in self._saved_chunks or 2 * len(rows) > self._changed[number].size
            yield number, None if whole else rows

    def _unsaved_arrays(self, chunks: Mapping[int, Arrays], rewrite: bool) -> Arrays:
        """Latents that no file holds as they are now, or all with `rewrite`; whole chunks as views."""
        unsaved: Arrays = {}
        for number, rows in self._changed_rows(chunks):
            arrays = {key: chunks[number][key] for key in self.keys}
            if rewrite or rows is None:
                unsaved |= {f"{number}/{key}": array for key, array in arrays.items()}
            elif len(rows):
                unsaved |= {f"{number}/{key}": array.reshape(-1, *array.shape[2:])[rows] for key, array in arrays.items()}
                unsaved[f"{number}/{ROWS}"] = rows.astype(np.int32)
        return unsaved


class Chunks:
    """An append-only table of ticks (E, ...). Its oldest part can be forgotten, and its `latents` can be overwritten."""

    def __init__(self, spaces: Mapping[str, Space], latents: Sequence[str], *, envs: int, ticks_per_chunk: int):
        self._spaces = dict(spaces)
        self._fixed_keys = tuple(key for key in spaces if key not in latents)
        self._latent_log = LatentLog(latents)
        self._envs, self._ticks_per_chunk = envs, ticks_per_chunk
        self.ticks = 0  # added so far, forgotten ones included
        self._chunks: dict[int, Arrays] = {}  # chunk number -> arrays (C, E, ...), oldest first
        self._files: dict[int, File] = {}  # chunk number -> file of what never changes

    @property
    def nbytes(self) -> int:
        """Bytes of memory reserved for steps; the last chunk's unused part is reserved but not yet occupied."""
        return sum(array.nbytes for chunk in self._chunks.values() for array in chunk.values())

    def add(self, step: Arrays) -> None:
        """Copy one tick: an array (E, ...) for each key. ValueError, TypeError where the step is not as declared."""
        if step.keys() != self._spaces.keys():
            raise ValueError(f"replay step has {sorted(step)}, declared are {sorted(self._spaces)}")
        number, row = divmod(self.ticks, self._ticks_per_chunk)
        chunk = self._chunks.get(number) or self._allocate(number)
        for key, value in step.items():
            target = chunk[key][row]
            if np.shape(value) != target.shape:
                raise ValueError(f"replay step '{key}' has shape {np.shape(value)}, declared is {target.shape}")
            np.copyto(target, value)
        self.ticks += 1

    def _allocate(self, number: int) -> Arrays:
        lead = (self._ticks_per_chunk, self._envs)
        self._chunks[number] = {key: np.empty(lead + space.shape, space.dtype) for key, space in self._spaces.items()}
        self._latent_log.add_chunk(number, lead)
        return self._chunks[number]

    def forget(self, tick: int) -> None:
        """Drop the chunks that lie wholly before `tick`."""
        while (number := next(iter(self._chunks))) < tick // self._ticks_per_chunk:
            self._chunks.pop(number)
            self._files.pop(number, None)
            self._latent_log.forget_chunk(number)

    def read(self, tick: int, env: int, out: Arrays, length: int) -> None:
        """Copy `length` ticks of one environment from `tick` on into arrays (length, ...)."""
        for number, rows, window in self._spans(tick, length):
            for key, array in self._chunks[number].items():
                out[key][window] = array[rows, env]

    def overwrite(self, tick: int, env: int, key: str, values: np.ndarray) -> None:
        """Replace one latent (n, ...) of one environment from `tick` on."""
        for number, rows, window in self._spans(tick, len(values)):
            self._chunks[number][key][rows, env] = values[window]
            self._latent_log.mark_changed(number, rows, env)

    def _spans(self, tick: int, length: int) -> Iterator[tuple[int, slice, slice]]:
        """Where `length` ticks from `tick` on lie: (chunk number, rows in the chunk, part of the window)."""
        position = 0
        while position < length:
            number, row = divmod(tick + position, self._ticks_per_chunk)
            count = min(length - position, self._ticks_per_chunk - row)
            yield number, slice(row, row + count), slice(position, position + count)
            position += count

    # Saving and loading

    def save(self, path: Path, shared: Path) -> tuple[dict[Path, Checksum], dict[str, Any]]:
        """Write everything, so that `load` restores it bit for bit -> all files that belong to it, the state for `load`.

        The last, unfinished chunk goes to `path`. What is new since the last save goes into the folder `shared`, under names
        that are never used again. Raises OSError; no checkpoint refers to the new files in `shared` then.
        """
        full_chunks = self._full_chunks()
        for number, chunk in full_chunks.items():
            if not _exists(self._files.get(number), shared):
                fixed = {key: chunk[key] for key in self._fixed_keys}
                self._files[number] = _write_file(shared, f"chunk-{number:06d}", fixed)
        self._latent_log.save(full_chunks, shared, f"latents-{self.ticks:09d}")
        latent_files = self._latent_log.delta_files
        checksums = {shared / name: checksum for name, checksum in [*self._files.values(), *latent_files]}
        checksums[path] = array_files.write(path, self._unfinished_chunk())
        state = {"ticks": self.ticks, "files": self._files}
        return checksums, state | {"latents": latent_files, "latent_steps": self._latent_log.delta_steps}

    def pending_bytes(self, shared: Path) -> int:
        """Bytes of arrays that `save` would write now."""
        full_chunks = self._full_chunks()
        unsaved = [chunk for number, chunk in full_chunks.items() if not _exists(self._files.get(number), shared)]
        fixed = [chunk[key] for chunk in unsaved for key in self._fixed_keys]
        latents = self._latent_log.pending_arrays(full_chunks, shared)
        return sum(array.nbytes for array in [*fixed, *latents.values(), *self._unfinished_chunk().values()])

    def load(self, path: Path, shared: Path, state: Mapping[str, Any]) -> None:
        """Inverse of `save`. Raises OSError."""
        self.ticks = state["ticks"]
        self._files = {int(number): (name, Checksum(*checksum)) for number, (name, checksum) in state["files"].items()}
        self._chunks = {number: array_files.read(shared / name) for number, (name, _) in self._files.items()}
        self._latent_log.restore(state, self._full_chunks())
        for name, _ in self._latent_log.delta_files:
            self._apply(array_files.read(shared / name))
        self._apply(array_files.read(path))
        self._chunks = {n: {key: self._chunks[n][key] for key in self._spaces} for n in sorted(self._chunks)}
        for number in self._chunks:
            self._latent_log.add_chunk(number, (self._ticks_per_chunk, self._envs))

    def _apply(self, file_arrays: Arrays) -> None:
        """Copy the content of a file into the chunks; entries of chunks that have been forgotten since are skipped."""
        for name, array in file_arrays.items():
            number, key = int(name.split("/")[0]), name.split("/", 1)[1]
            rows = file_arrays.get(f"{number}/{ROWS}")
            if key == ROWS or (number not in self._files and number != self.ticks // self._ticks_per_chunk):
                continue
            chunk = self._chunks.setdefault(number, {})
            if rows is not None:
                chunk[key].reshape(-1, *array.shape[1:])[rows] = array
            else:
                chunk[key] = array if len(array) == self._ticks_per_chunk else self._padded(array)

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Rows of an unfinished chunk (n, E, ...) in an array with room for all (C, E, ...)."""
        padded = np.empty((self._ticks_per_chunk, *rows.shape[1:]), rows.dtype)
        padded[: len(rows)] = rows
        return padded

    def _full_chunks(self) -> dict[int, Arrays]:
        """The chunks that take no more steps."""
        return {number: chunk for number, chunk in self._chunks.items() if number < self.ticks // self._ticks_per_chunk}

    def _unfinished_chunk(self) -> Arrays:
        """The chunk that takes the next step, as far as it is filled."""
        number, rows = divmod(self.ticks, self._ticks_per_chunk)
        return {f"{number}/{key}": array[:rows] for key, array in self._chunks.get(number, {}).items()}


def _write_file(shared: Path, stem: str, arrays: Arrays) -> File:
    name = f"{stem}-{uuid.uuid4().hex[:8]}.safetensors"
    return name, array_files.write(shared / name, arrays)


def _exists(file: File | None, shared: Path) -> bool:
    """Whether `shared` still holds a file: the files of a save that failed half-way may have been removed."""
    if file is None:
        return False
    name, checksum = file
    path = shared / name
    return path.is_file() and path.stat().st_size == checksum.size
