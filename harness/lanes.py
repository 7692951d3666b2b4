"""Lanes in processes of their own: what `Vector` is, except that the environments step while the agent goes on learning.

Observations, rewards, flags, uniform numbers and actions stand on a board in shared memory, a row per environment; a pipe per
process carries commands, rows of finished episodes, and what a checkpoint keeps. E environments.

The processes end with this one, however it ends: their pipe is then closed. They have signals blocked, since Ctrl-C and
schedulers signal whole groups and the run wants its lanes until its checkpoint is written. The memory has no name and needs
no tidying up.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness.errors import BadInput, RunFailed
from harness.stop import SIGNALS
from harness.vector import FLAGS, Lane, Vector

ALIGNED = 64  # bytes: no two arrays share a cache line
SECONDS_TO_CLOSE = 10.0


class LaneProcesses:
    """Lanes side by side in `processes` processes; arrays are (E, ...).

    `advance` only begins a step; whatever looks at its outcome waits for it. What fails in a process is raised here, by
    the call that waits: BadInput and RunFailed as they are, anything else, the death of a process included, as RunFailed.
    """

    def __init__(self, makes: Sequence[Callable[[], Lane]], spec: Spec, *, num_uniforms: int, processes: int):
        """`makes`: what makes each lane, to be pickled; `num_uniforms`: uniform numbers that the agent needs per step."""
        self.spec, self._envs, self._num_uniforms = spec, len(makes), num_uniforms
        file = _memory()
        self._board = _board(file, spec, num_uniforms, len(makes))
        parts = np.array_split(np.arange(len(makes)), min(processes, len(makes)))
        self._processes = [
            _Process(int(part[0]), [makes[i] for i in part], (file, spec, num_uniforms, len(makes))) for part in parts
        ]
        os.close(file)
        self._stepping = True  # they begin by showing their first observations

    def __len__(self) -> int:
        return self._envs

    @property
    def alive(self) -> bool:
        self._wait()
        return bool(self._board["alive"].any())

    def seen(self) -> Arrays:
        self._wait()  # and copy: the next step is written while the loop still reads this one
        return {key: self._board[key].copy() for key in (*self.spec.obs, *FLAGS)}

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        if num_uniforms != self._num_uniforms:
            raise ValueError(f"{num_uniforms} uniform numbers asked for, {self._num_uniforms} announced")
        self._wait()
        return self._board["uniforms"].copy()

    def ended(self) -> list[dict[str, Any]]:
        """Rows of the episodes whose last step stands now, in lane order."""
        self._wait()
        return list(self._ended)

    def advance(self, actions: np.ndarray) -> None:
        self._wait()
        np.copyto(self._board["action"], actions)
        self._begin("advance")

    def state(self) -> Arrays:
        self._wait()
        for process in self._processes:
            process.ask("state")
        return {key: array for process in self._processes for key, array in process.answer().items()}

    def load(self, state: Arrays) -> None:
        self._wait()
        self._begin("load", state)
        self._wait()

    def close(self) -> None:
        for process in self._processes:
            process.close()

    def _begin(self, *command: Any) -> None:
        for process in self._processes:
            process.ask(*command)
        self._stepping = True

    def _wait(self) -> None:
        """Until every lane stands."""
        if self._stepping:
            self._ended = [row for process in self._processes for row in process.answer()]
            self._stepping = False


class _Process:
    """The near end of one process, which has the lanes from number `first` on."""

    def __init__(self, first: int, makes: Sequence[Callable[[], Lane]], board: tuple[int, Spec, int, int]):
        self._name = f"the process of environments {first} to {first + len(makes) - 1}"
        self._pipe, theirs = Pipe()
        files = (theirs.fileno(), board[0])
        command = [sys.executable, "-m", "harness.lanes", str(theirs.fileno())]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # it inherits that
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=files)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.ask(first, makes, board)

    def ask(self, *command: Any) -> None:
        try:
            self._pipe.send(command)
        except ConnectionError:
            raise RunFailed(self._death()) from None

    def answer(self) -> Any:
        """What it says to the oldest question that is still open."""
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise RunFailed(self._death()) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._pipe.close()
        try:
            self._process.wait(SECONDS_TO_CLOSE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _death(self) -> str:
        self.close()
        code = self._process.returncode
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"{self._name} ended without a word ({why}); the same command continues from the last checkpoint"


def _memory() -> int:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lanes")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _board(file: int, spec: Spec, num_uniforms: int, envs: int) -> Arrays:
    """The arrays (E, ...) that lie in `file`, which is made as large as they need."""
    spaces = {**spec.obs, **FLAGS, "action": spec.action}
    spaces |= {"uniforms": Space((num_uniforms,), "float64"), "alive": Space((), "bool")}
    shapes = {key: (envs, *space.shape) for key, space in spaces.items()}
    sizes = [int(np.prod(shapes[key])) * np.dtype(space.dtype).itemsize for key, space in spaces.items()]
    ends = np.cumsum([-(-size // ALIGNED) * ALIGNED for size in sizes])
    os.truncate(file, int(ends[-1]))
    memory = mmap.mmap(file, int(ends[-1]))
    starts = [0, *ends[:-1].tolist()]
    return {k: np.ndarray(shapes[k], s.dtype, memory, at) for (k, s), at in zip(spaces.items(), starts, strict=True)}


# In the other process


def serve(pipe: Connection) -> None:
    """Make the lanes, then do what is asked until the other side is gone."""
    try:
        first, makes, (file, *declared) = pipe.recv()
        vector, board = Vector([make() for make in makes], declared[0], first), _board(file, *declared)
        here = _Here(vector, {key: array[first : first + len(vector)] for key, array in board.items()})
        pipe.send(here.show())
        while True:
            name, *arguments = pipe.recv()
            pipe.send(getattr(here, name)(*arguments))
    except (EOFError, ConnectionError):
        pass
    except (BadInput, RunFailed) as error:
        pipe.send(error)
    except Exception as error:
        traceback.print_exc()
        pipe.send(RunFailed(f"{type(error).__name__} in an environment: {error} (log.txt has the traceback)"))


class _Here:
    """Some of the lanes and their rows of the board."""

    def __init__(self, vector: Vector, board: Arrays):
        self._vector, self._board = vector, board

    def show(self) -> list[dict[str, Any]]:
        """Put what stands now on the board -> rows of the episodes that end with it."""
        for key, array in self._vector.seen().items():
            self._board[key][:] = array
        self._board["uniforms"][:] = self._vector.uniforms(self._board["uniforms"].shape[1])
        self._board["alive"][:] = [lane.alive for lane in self._vector.lanes]
        return self._vector.ended()

    def advance(self) -> list[dict[str, Any]]:
        self._vector.advance(self._board["action"])
        return self.show()

    def state(self) -> Arrays:
        return self._vector.state()

    def load(self, state: Arrays) -> list[dict[str, Any]]:
        self._vector.load(state)
        return self.show()


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as parent:
        serve(parent)
