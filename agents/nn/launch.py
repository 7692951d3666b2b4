"""How a computation on arrays gets to its device: at once on a CPU, as one recorded launch on a GPU.

A small model's update is thousands of kernels, each shorter than the launch that asks for it. A CUDA graph asks once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from agents.protocol import Arrays

Work = Callable[[dict[str, Tensor]], dict[str, Tensor]]
EAGER = 2  # calls before a recording: libraries choose their kernels and allocate what they keep


class Direct:
    """On the host: arrays are tensors of the same memory, and back."""

    def __call__(self, name: str, work: Work, arrays: Arrays) -> Arrays:
        return {key: to_numpy(x) for key, x in work({key: to_tensor(x) for key, x in arrays.items()}).items()}


class Recorded:
    """On a GPU: the first calls of a `name` with certain shapes run as they are, the next is recorded, then replayed.

    `work` may change tensors in place and draw from `generator`; what it reads beside its argument must keep its memory,
    and it must not wait for the device. Arrays travel through pinned memory; the one wait of a call is for its results.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self._device, self._generator = device, generator
        self._stream = torch.cuda.Stream(device)
        self._plans: dict[tuple, _Plan] = {}

    def __call__(self, name: str, work: Work, arrays: Arrays) -> Arrays:
        key = (name, *((k, x.shape, x.dtype) for k, x in sorted(arrays.items())))
        plan = self._plans.setdefault(key, _Plan())
        # The stream of everything else may still be writing what the work reads (weights that were loaded).
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            plan.upload(arrays, self._device)
            if plan.calls >= EAGER and plan.graph is None:
                plan.record(work, self._generator, self._stream)
            plan.run(work)
            plan.download()
        self._stream.synchronize()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return {k: to_numpy(x).copy() for k, x in plan.arrived.items()}


class _Plan:
    """One work on one set of shapes: its inputs and outputs at fixed places, and the recording once there is one."""

    def __init__(self) -> None:
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.arrived: dict[str, Tensor] = {}
        self._staged: dict[str, Tensor] = {}
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def upload(self, arrays: Arrays, device: torch.device) -> None:
        for key, array in arrays.items():
            x = to_tensor(array)
            if key not in self._staged:
                self._staged[key] = torch.empty_like(x, pin_memory=True)
                self._inputs[key] = torch.empty_like(x, device=device)
            self._staged[key].copy_(x)
            self._inputs[key].copy_(self._staged[key], non_blocking=True)

    def record(self, work: Work, generator: torch.Generator, stream: torch.cuda.Stream) -> None:
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(generator)
        with torch.cuda.graph(self.graph, stream=stream):
            self._outputs = work(self._inputs)

    def run(self, work: Work) -> None:
        self.calls += 1
        if self.graph is None:
            self._outputs = work(self._inputs)
        else:
            self.graph.replay()

    def download(self) -> None:
        for key, x in self._outputs.items():
            if key not in self.arrived:
                self.arrived[key] = torch.empty_like(x, device="cpu", pin_memory=True)
            self.arrived[key].copy_(x, non_blocking=True)


def to_tensor(array: np.ndarray) -> Tensor:
    """The tensor of an array's memory. torch has no arithmetic on uint16: the bits of a bfloat16 travel as int16."""
    array = array.view(np.int16) if array.dtype == np.uint16 else array
    return torch.from_numpy(np.ascontiguousarray(array))


def to_numpy(x: Tensor) -> np.ndarray:
    """Inverse of `to_tensor`, of a tensor on the host: int16 becomes uint16 again."""
    array = x.numpy()
    return array.view(np.uint16) if array.dtype == np.int16 else array


def vector(values: Mapping[str, Tensor], device: torch.device) -> Tensor:
    """0-d tensors as one float32 vector on the device; constants that were made on the host become constants there."""
    on_device = (x if x.device == device else torch.full((), float(x), device=device) for x in values.values())
    return torch.stack([x.float() for x in on_device])
