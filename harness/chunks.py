"""Steps of several environments in chunks of fixed size: held in memory, written to disk once, refreshed in between.

E environments, C ticks of a chunk. What never changes of a full chunk is one file, written once. Latents are refreshed
wherever learning looks, which is everywhere: a save writes those that changed since the save before as one more file, and
starts anew with all of them when the files together are twice as large as all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space
from harness import arrays as files

File = tuple[str, files.Sum]  # name in the shared folder, what it must still be
ROWS = "rows"  # entry of a file of latents: which steps of the chunk, flat in (tick, env); without it: all


class Chunks:
    """An append-only table of ticks (E, ...) whose oldest part can be forgotten and whose `latents` can be overwritten."""

    def __init__(self, spaces: Mapping[str, Space], latents: Sequence[str], *, envs: int, ticks_per_chunk: int):
        self._spaces, self._latents = dict(spaces), tuple(latents)
        self._fixed = tuple(key for key in spaces if key not in latents)
        self._envs, self._size = envs, ticks_per_chunk
        self.ticks = 0  # added so far, forgotten ones included
        self._chunks: dict[int, Arrays] = {}  # chunk number -> arrays (C, E, ...), oldest first
        self._changed: dict[int, np.ndarray] = {}  # chunk number -> (C, E) bool: latents that differ from the saved ones
        self._files: dict[int, File] = {}  # chunk number -> file of what never changes
        self._news: list[File] = []  # files of latents, each overwriting those before
        self._news_steps = 0  # steps in these files, those that are in several counted several times
        self._saved: set[int] = set()  # chunks whose latents are in them

    @property
    def nbytes(self) -> int:
        """Bytes of memory reserved for steps; the last chunk's unused part is reserved but not yet occupied."""
        return sum(array.nbytes for chunk in self._chunks.values() for array in chunk.values())

    def add(self, step: Arrays) -> None:
        """One tick: an array (E, ...) for each key, copied. ValueError, TypeError where the step is not as declared."""
        if step.keys() != self._spaces.keys():
            raise ValueError(f"replay step has {sorted(step)}, declared are {sorted(self._spaces)}")
        number, row = divmod(self.ticks, self._size)
        chunk = self._chunks.get(number) or self._allocate(number)
        for key, value in step.items():
            target = chunk[key][row]
            if np.shape(value) != target.shape:
                raise ValueError(f"replay step '{key}' has shape {np.shape(value)}, declared is {target.shape}")
            np.copyto(target, value)
        self.ticks += 1

    def _allocate(self, number: int) -> Arrays:
        lead = (self._size, self._envs)
        self._chunks[number] = {key: np.empty(lead + space.shape, space.dtype) for key, space in self._spaces.items()}
        self._changed[number] = np.zeros(lead, bool)
        return self._chunks[number]

    def forget(self, tick: int) -> None:
        """Drop the chunks that lie wholly before `tick`."""
        while (number := next(iter(self._chunks))) < tick // self._size:
            for kept in (self._chunks, self._changed, self._files):
                kept.pop(number, None)

    def read(self, tick: int, env: int, out: Arrays, length: int) -> None:
        """Copy `length` ticks of one environment from `tick` on into arrays (length, ...)."""
        for number, rows, window in self._spans(tick, length):
            for key, array in self._chunks[number].items():
                out[key][window] = array[rows, env]

    def overwrite(self, tick: int, env: int, key: str, values: np.ndarray) -> None:
        """Replace one latent (n, ...) of one environment from `tick` on."""
        for number, rows, window in self._spans(tick, len(values)):
            self._chunks[number][key][rows, env] = values[window]
            self._changed[number][rows, env] = True

    def _spans(self, tick: int, length: int) -> Iterator[tuple[int, slice, slice]]:
        """Where `length` ticks from `tick` on lie: (chunk number, rows in the chunk, part of the window)."""
        done = 0
        while done < length:
            number, row = divmod(tick + done, self._size)
            count = min(length - done, self._size - row)
            yield number, slice(row, row + count), slice(done, done + count)
            done += count

    # Keeping

    def save(self, path: Path, shared: Path) -> tuple[dict[Path, files.Sum], dict[str, Any]]:
        """Write everything so that `load` restores it bit for bit -> every file that this needs, what `load` needs to know.

        `path` gets the last, unfinished chunk; `shared` what is new since the last save, under names that are never used
        again. Raises OSError; new files in `shared` are then referenced by nobody.
        """
        for number in self._full():
            if not _is_there(self._files.get(number), shared):
                part = {key: self._chunks[number][key] for key in self._fixed}
                self._files[number] = _write(shared, f"chunk-{number:06d}", part)
        self._save_latents(shared)
        needed = {shared / name: total for name, total in [*self._files.values(), *self._news]}
        needed[path] = files.write(path, self._last())
        return needed, {"ticks": self.ticks, "files": self._files, "latents": self._news, "latent_steps": self._news_steps}

    def _save_latents(self, shared: Path) -> None:
        anew = self._anew(shared)
        part = self._latest(anew)
        new = [_write(shared, f"latents-{self.ticks:09d}", part)] if part else []
        self._news = new if anew else self._news + new
        self._news_steps = self._steps() if anew else self._news_steps + self._steps_changed()
        self._saved = set(self._full())
        for number in self._saved:
            self._changed[number][:] = False

    def _anew(self, shared: Path) -> bool:
        """Whether to write all latents: where files are missing (of a save that failed), or would outgrow twice the whole."""
        missing = not all(_is_there(file, shared) for file in self._news)
        return missing or self._news_steps + self._steps_changed() > 2 * self._steps()

    def _steps(self) -> int:
        """Steps of all full chunks."""
        return self._size * self._envs * len(self._full())

    def _steps_changed(self) -> int:
        """Those of them that the next save writes, if it does not write all."""
        return sum(len(rows) if rows is not None else self._changed[n].size for n, rows in self._rows_changed())

    def _rows_changed(self) -> Iterator[tuple[int, np.ndarray | None]]:
        """Full chunks, each with the flat numbers of the steps whose latents changed; None where all are to be written."""
        for number in self._full():
            rows = np.flatnonzero(self._changed[number])
            most = number not in self._saved or 2 * len(rows) > self._changed[number].size
            yield number, None if most else rows

    def _latest(self, anew: bool) -> Arrays:
        """Latents of full chunks that no file holds as they are now; whole chunks as views."""
        part: Arrays = {}
        for number, rows in self._rows_changed():
            arrays = {key: self._chunks[number][key] for key in self._latents}
            if anew or rows is None:
                part |= {f"{number}/{key}": array for key, array in arrays.items()}
            elif len(rows):
                part |= {f"{number}/{key}": array.reshape(-1, *array.shape[2:])[rows] for key, array in arrays.items()}
                part[f"{number}/{ROWS}"] = rows.astype(np.int32)
        return part

    def _last(self) -> Arrays:
        """The chunk that takes the next step, as far as it is filled."""
        number, rows = divmod(self.ticks, self._size)
        return {f"{number}/{key}": array[:rows] for key, array in self._chunks.get(number, {}).items()}

    def pending(self, shared: Path) -> int:
        """Bytes that `save` would write now."""
        unsaved = [n for n in self._full() if not _is_there(self._files.get(n), shared)]
        fixed = [self._chunks[n][key] for n in unsaved for key in self._fixed]
        arrays = [*fixed, *self._latest(self._anew(shared)).values(), *self._last().values()]
        return sum(array.nbytes for array in arrays)

    def load(self, path: Path, shared: Path, state: Mapping[str, Any]) -> None:
        """Inverse of `save`. Raises OSError."""
        self.ticks = state["ticks"]
        self._files = {int(n): (name, files.Sum(*total)) for n, (name, total) in state["files"].items()}
        self._news = [(name, files.Sum(*total)) for name, total in state.get("latents", ())]
        self._news_steps = state.get("latent_steps", 0)
        self._chunks = {number: files.read(shared / name) for number, (name, _) in self._files.items()}
        for name, _ in self._news:
            self._apply(files.read(shared / name))
        self._saved = set(self._full()) if self._news else set()
        self._apply(files.read(path))
        self._chunks = {n: {key: self._chunks[n][key] for key in self._spaces} for n in sorted(self._chunks)}
        self._changed = {number: np.zeros((self._size, self._envs), bool) for number in self._chunks}

    def _apply(self, part: Arrays) -> None:
        """Put what a file holds in its place; what belongs to chunks that have been forgotten since is skipped."""
        for name, array in part.items():
            number, key = int(name.split("/")[0]), name.split("/", 1)[1]
            rows = part.get(f"{number}/{ROWS}")
            if key == ROWS or (number not in self._files and number != self.ticks // self._size):
                continue
            chunk = self._chunks.setdefault(number, {})
            if rows is not None:
                chunk[key].reshape(-1, *array.shape[1:])[rows] = array
            else:
                chunk[key] = array if len(array) == self._size else self._padded(array)

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        whole = np.empty((self._size, *rows.shape[1:]), rows.dtype)
        whole[: len(rows)] = rows
        return whole

    def _full(self) -> list[int]:
        """Numbers of the chunks that take no more steps."""
        return [number for number in self._chunks if number < self.ticks // self._size]


def _write(shared: Path, stem: str, part: Arrays) -> File:
    name = f"{stem}-{uuid.uuid4().hex[:8]}.safetensors"
    return name, files.write(shared / name, part)


def _is_there(file: File | None, shared: Path) -> bool:
    """Whether `shared` holds a file: a checkpoint that failed half-way may have been cleaned up since."""
    if file is None:
        return False
    name, total = file
    path = shared / name
    return path.is_file() and path.stat().st_size == total.size
