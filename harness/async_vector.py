"""Environments in processes of their own: a `VectorEnv` that steps while the agent goes on learning.

Observations, rewards, flags, uniform numbers and actions are in a buffer of shared memory, a row per environment. A pipe per
process carries commands, rows of finished episodes, and what a checkpoint stores. E environments.

The processes end with this one, however it ends, because their pipe is closed then. They have signals blocked: Ctrl-C and
schedulers signal whole groups, and the run needs its environments until its checkpoint is written. The memory has no name, so
nothing of it can be left behind.
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
from harness.child import python_command
from harness.errors import BadInput, RunFailed
from harness.stop import SIGNALS
from harness.vector import FLAGS, EnvSlot, EpisodeRow, SyncVector

ALIGNMENT = 64  # bytes: no two arrays share a cache line
CLOSE_TIMEOUT = 10.0  # seconds until a process that does not end is killed

BufferLayout = tuple[Spec, int, int]  # what fixes the arrays of the buffer: spec, uniform numbers per step, E


class AsyncVector:
    """A `VectorEnv` whose environments step in `processes` processes.

    `advance` only starts a step; every method that needs its outcome waits for it. An error in a process is raised here, by
    the method that waits: BadInput and RunFailed as they are, any other as RunFailed, the death of a process included.
    """

    def __init__(self, slot_makers: Sequence[Callable[[], EnvSlot]], spec: Spec, *, num_uniforms: int, processes: int):
        """`slot_makers`: a picklable function for each slot; `num_uniforms`: numbers that the agent needs per step."""
        self.spec, self._num_envs, self._num_uniforms = spec, len(slot_makers), num_uniforms
        layout = (spec, num_uniforms, len(slot_makers))
        descriptor = _open_memory()
        self._shared_buffer = _map_buffer(descriptor, *layout)
        shares = np.array_split(np.arange(len(slot_makers)), min(processes, len(slot_makers)))
        self._processes = [_EnvProcess(int(i[0]), [slot_makers[n] for n in i], descriptor, layout) for i in shares]
        os.close(descriptor)
        self._finished: list[EpisodeRow] = []
        self._stepping = True  # they start by publishing their first observations

    def __len__(self) -> int:
        return self._num_envs

    @property
    def has_episodes(self) -> bool:
        self._wait()
        return bool(self._shared_buffer["has_episode"].any())

    def current(self) -> Arrays:
        self._wait()
        # Copies: the environments write the next step while the loop still reads this one.
        return {key: self._shared_buffer[key].copy() for key in (*self.spec.entries, *FLAGS)}

    def uniforms(self, num_uniforms: int) -> np.ndarray:
        if num_uniforms != self._num_uniforms:
            raise ValueError(f"{num_uniforms} uniform numbers requested; this vector was made for {self._num_uniforms}")
        self._wait()
        return self._shared_buffer["uniforms"].copy()

    def finished_episodes(self) -> list[EpisodeRow]:
        self._wait()
        return list(self._finished)

    def advance(self, actions: np.ndarray) -> None:
        self._wait()
        np.copyto(self._shared_buffer["action"], actions)
        self._start_step("advance")

    def state(self) -> Arrays:
        self._wait()
        for process in self._processes:
            process.send("state")
        return {key: array for process in self._processes for key, array in process.receive().items()}

    def load(self, state: Arrays) -> None:
        self._wait()
        self._start_step("load", state)
        self._wait()

    def close(self) -> None:
        for process in self._processes:
            process.close()

    def _start_step(self, *command: object) -> None:
        for process in self._processes:
            process.send(*command)
        self._stepping = True

    def _wait(self) -> None:
        """Wait until every environment has finished the step that was started last."""
        if self._stepping:
            self._finished = [row for process in self._processes for row in process.receive()]
            self._stepping = False


class _EnvProcess:
    """This side of one process, which has the environments from number `first` on."""

    def __init__(self, first: int, slot_makers: Sequence[Callable[[], EnvSlot]], descriptor: int, layout: BufferLayout):
        self._name = f"the process of environments {first} to {first + len(slot_makers) - 1}"
        self._pipe, child_pipe = Pipe()
        command = python_command("-m", "harness.async_vector", str(child_pipe.fileno()))
        former_mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the process inherits the blocked signals
        try:
            descriptors = (child_pipe.fileno(), descriptor)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)
        child_pipe.close()
        self.send(first, slot_makers, descriptor, layout)

    def send(self, *command: object) -> None:
        try:
            self._pipe.send(command)
        except ConnectionError:
            raise RunFailed(self._death_message()) from None

    def receive(self) -> Any:
        """The answer to the oldest command that is still open. Raises what failed in the process."""
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise RunFailed(self._death_message()) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._pipe.close()
        try:
            self._process.wait(CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _death_message(self) -> str:
        self.close()
        status = self._process.returncode
        cause = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"{self._name} ended without a message ({cause}); the same command continues from the last checkpoint"


def _open_memory() -> int:
    """The descriptor of a file without a name, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("environments")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _map_buffer(descriptor: int, spec: Spec, num_uniforms: int, envs: int) -> Arrays:
    """The arrays (E, ...) in the file of a descriptor, which becomes as large as they need."""
    spaces = {**spec.entries, **FLAGS, "action": spec.action}
    spaces |= {"uniforms": Space((num_uniforms,), "float64"), "has_episode": Space((), "bool")}
    shapes = {key: (envs, *space.shape) for key, space in spaces.items()}
    sizes = [int(np.prod(shapes[key])) * np.dtype(space.dtype).itemsize for key, space in spaces.items()]
    ends = np.cumsum([-(-size // ALIGNMENT) * ALIGNMENT for size in sizes])
    os.truncate(descriptor, int(ends[-1]))
    memory = mmap.mmap(descriptor, int(ends[-1]))
    offsets = [0, *ends[:-1].tolist()]
    pairs = zip(spaces.items(), offsets, strict=True)
    return {key: np.ndarray(shapes[key], space.dtype, memory, offset) for (key, space), offset in pairs}


# ---- In the other process


def serve(pipe: Connection) -> None:
    """Make the slots, then carry out commands until the parent closes the pipe."""
    try:
        first, slot_makers, descriptor, layout = pipe.recv()
        vector, buffer = (
            SyncVector([make_slot() for make_slot in slot_makers], layout[0], first),
            _map_buffer(descriptor, *layout),
        )
        server = _SlotServer(vector, {key: array[first : first + len(vector)] for key, array in buffer.items()})
        pipe.send(server.publish())
        while True:
            name, *arguments = pipe.recv()
            pipe.send(getattr(server, name)(*arguments))
    except (EOFError, ConnectionError):
        pass
    except (BadInput, RunFailed) as error:
        pipe.send(error)
    except Exception as error:
        traceback.print_exc()
        pipe.send(RunFailed(f"{type(error).__name__} in an environment: {error} (log.txt has the traceback)"))


class _SlotServer:
    """The slots of one process and their rows of the shared buffer. Its public methods are the commands."""

    def __init__(self, vector: SyncVector, buffer: Arrays):
        self._vector, self._buffer = vector, buffer

    def publish(self) -> list[EpisodeRow]:
        """Copy the current step into the buffer -> rows of the episodes that end with it."""
        for key, array in self._vector.current().items():
            self._buffer[key][:] = array
        self._buffer["uniforms"][:] = self._vector.uniforms(self._buffer["uniforms"].shape[1])
        self._buffer["has_episode"][:] = [slot.has_episode for slot in self._vector.slots]
        return self._vector.finished_episodes()

    def advance(self) -> list[EpisodeRow]:
        self._vector.advance(self._buffer["action"])
        return self.publish()

    def state(self) -> Arrays:
        return self._vector.state()

    def load(self, state: Arrays) -> list[EpisodeRow]:
        self._vector.load(state)
        return self.publish()


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as parent:
        serve(parent)
