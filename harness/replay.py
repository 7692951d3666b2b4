"""The replay: one append-only stream of steps per environment; a sample is any `length` consecutive steps of a stream.

E environments, B batch, L length of a window (context + T). All environments add one step per tick,
so a step is (tick, env), and its number `tick * E + env` (from 0) is also the number of the *item*: the window that
starts there. Items come into being and are evicted in the order of their numbers. The live items are therefore an interval
of numbers, and no table of them is needed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space
from harness import arrays as array_files
from harness.arrays import Checksum
from harness.chunks import Chunks
from harness.errors import BadInput

STEPS_PER_CHUNK = 1024


class Replay:
    """Uniform over items, freshest windows first, with the semantics of danijar/dreamerv3 (`embodied/core/replay.py`).

    * An item is a start step with its L - 1 followers in the same environment; it exists once the last of them is
      added. Windows cross episode boundaries.
    * `capacity` counts items of all environments together; beyond it the oldest is evicted first.
    * Online queue: of each environment the item that is completed at a tick divisible by L (ticks from 0) is queued, so
      starts 1, 66, 131, ... for L = 65: windows side by side that cover every step but the first. A queued item is
      served once, oldest first, before the uniform samples (and may be sampled again later, like any other).
      Here a queued item that is evicted leaves the queue; the original serves it as long as its chunk happens to exist.
    * In a sampled window the first step has `is_first`, and the step before any other `is_first` has `is_last`: an
      episode that was abandoned (a resume, a reset from outside) ends there.

    Not for use from several threads at once.
    """

    def __init__(
        self,
        spaces: Mapping[str, Space],
        *,
        latents: Sequence[str] = (),
        envs: int,
        capacity: int,
        length: int,
        online: bool = True,
        chunk: int | None = None,
    ):
        """`spaces`: every key of a step, also stored latents, `is_first`, `is_last`; `latents`: those that can be
        refreshed. `chunk`: ticks per chunk (default: as many as make about 1024 steps)."""
        if missing := [key for key in ("is_first", "is_last", *latents) if key not in spaces]:
            raise ValueError(f"replay without {missing}: its steps hold {list(spaces)}")
        if min(envs, capacity, length) < 1:
            raise ValueError(f"envs {envs}, capacity {capacity}, length {length}: each needs at least 1")
        self._spaces, self._latents = dict(spaces), tuple(latents)
        self._envs, self._capacity, self._length, self._online = envs, capacity, length, online
        self._ticks_per_chunk = chunk or max(1, STEPS_PER_CHUNK // envs)
        self._chunks = Chunks(spaces, latents, envs=envs, ticks_per_chunk=self._ticks_per_chunk)
        self._queue: deque[int] = deque()

    # Items

    def __len__(self) -> int:
        """Items that can be sampled."""
        return min(self._items, self._capacity)

    @property
    def spaces(self) -> dict[str, Space]:
        """Every key of a step."""
        return dict(self._spaces)

    @property
    def nbytes(self) -> int:
        """Bytes of memory reserved for steps; the last chunk's unused part is reserved but not yet occupied."""
        return self._chunks.nbytes

    def max_bytes(self, steps: int) -> int:
        """Bytes of memory that it holds at most after `steps` steps of all environments together."""
        per_step = sum(np.dtype(space.dtype).itemsize * int(np.prod(space.shape)) for space in self._spaces.values())
        chunk = self._ticks_per_chunk * self._envs
        live_steps = min(steps, self._capacity + self._envs * self._length + chunk)
        return per_step * chunk * -(-live_steps // chunk)

    @property
    def _ticks(self) -> int:
        return self._chunks.ticks

    @property
    def _items(self) -> int:
        """Items that ever existed; the number of the next one."""
        return self._envs * max(0, self._ticks - self._length + 1)

    @property
    def _oldest(self) -> int:
        """Number of the oldest live item, before which no step is needed."""
        return self._items - len(self)

    # Adding

    def add(self, step: Arrays) -> None:
        """Copy one tick: an array (E, ...) for each key. ValueError, TypeError where the step is not as declared."""
        self._chunks.add(step)
        tick = self._ticks - 1
        if self._online and tick >= self._length - 1 and tick % self._length == 0:
            self._queue.extend(range(self._items_at(tick), self._items_at(tick) + self._envs))
        self._evict()

    def _items_at(self, tick: int) -> int:
        """Number of the first item that is completed at `tick`."""
        return self._envs * (tick - self._length + 1)

    def _evict(self) -> None:
        oldest = self._oldest
        while self._queue and self._queue[0] < oldest:
            self._queue.popleft()
        self._chunks.forget(oldest // self._envs)

    # Sampling

    def sample(self, batch: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        """`batch` windows -> (arrays (B, L, ...), items (B,) int64 for `refresh`); all copies.

        Queued items first, the rest uniformly with replacement. ValueError while there is no item.
        """
        if not len(self):
            raise ValueError(f"replay has no item yet: {self._ticks} ticks, an item needs {self._length}")
        queued = [self._queue.popleft() for _ in range(min(batch, len(self._queue)))]
        uniform = rng.integers(self._oldest, self._items, batch - len(queued))
        items = np.concatenate([np.array(queued, np.int64), uniform])
        lead = (batch, self._length)
        out = {key: np.empty(lead + space.shape, space.dtype) for key, space in self._spaces.items()}
        for i, item in enumerate(items.tolist()):
            tick, env = divmod(item, self._envs)
            self._chunks.read(tick, env, {key: array[i] for key, array in out.items()}, self._length)
        out["is_first"][:, 0] = True
        out["is_last"][:, :-1] |= out["is_first"][:, 1:]
        return out, items

    def refresh(self, items: np.ndarray, arrays: Arrays) -> None:
        """Write latents (B, T, ...) over the last T steps of the windows `items` (B,); the L - T before are untouched.

        Steps that no item needs any more are skipped; where windows overlap, the later row of the batch stays.
        """
        if unknown := set(arrays) - set(self._latents):
            raise ValueError(f"replay cannot refresh {sorted(unknown)}: its latents are {list(self._latents)}")
        for i, item in enumerate(np.asarray(items).tolist()):
            tick, env = divmod(item, self._envs)
            for key, values in arrays.items():
                first_tick = tick + self._length - values.shape[1]
                oldest_tick = -(-(self._oldest - env) // self._envs)  # of this environment, rounded up
                evicted = max(0, oldest_tick - first_tick)
                self._chunks.overwrite(first_tick + evicted, env, key, values[i, evicted:])

    # Saving and loading

    def save(self, folder: Path, shared: Path) -> dict[Path, Checksum]:
        """Write everything, so that `load` restores it bit for bit -> every file that belongs to it, with its checksum.

        What is new since the last save goes into `shared`, under names that are never used again; the last chunk and the
        queue go into `folder`. Raises OSError; no checkpoint refers to the new files in `shared` then.
        """
        checksums, chunks_state = self._chunks.save(folder / "replay.safetensors", shared)
        path = folder / "replay.json"
        state = {"declared": self._declaration(), "queue": list(self._queue), **chunks_state}
        return checksums | {path: array_files.write_bytes(path, json.dumps(state, indent=1).encode())}

    def pending_bytes(self, shared: Path) -> int:
        """Bytes of arrays that `save` would write now."""
        return self._chunks.pending_bytes(shared)

    def load(self, folder: Path, shared: Path) -> None:
        """Inverse of `save`, into a replay of the same declaration. BadInput, which names what differs; OSError."""
        state = json.loads((folder / "replay.json").read_text())
        self._check_declaration(state["declared"], folder)
        self._queue = deque(state["queue"])
        self._chunks.load(folder / "replay.safetensors", shared, state)

    def _declaration(self) -> dict[str, Any]:
        """What two replays must share for one to continue the other."""
        spaces = {key: [list(space.shape), space.dtype] for key, space in self._spaces.items()}
        sizes = {"envs": self._envs, "capacity": self._capacity, "length": self._length, "online": self._online}
        return sizes | {"chunk": self._ticks_per_chunk, "latents": list(self._latents), "spaces": spaces}

    def _check_declaration(self, stored: Mapping[str, Any], folder: Path) -> None:
        for name, value in self._declaration().items():
            if stored.get(name) != value:
                raise BadInput(f"The replay stored in {folder} has {name} {stored.get(name)}; this run has {value}.")
