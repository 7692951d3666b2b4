"""Runs a computation on arrays on its device: directly on a CPU, as one recorded CUDA graph on a GPU.

An update of a small model is thousands of kernels, each shorter than its launch. A CUDA graph launches them all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from agents.protocol import Arrays

TensorFn = Callable[[dict[str, Tensor]], dict[str, Tensor]]
EAGER_CALLS = 2  # before a recording: libraries choose their kernels and allocate what they keep


class Launch(Protocol):
    def __call__(self, name: str, function: TensorFn, arrays: Arrays) -> Arrays:
        """`function` of the arrays, on the device. Calls of one `name` are calls of one function."""
        ...


class DirectLaunch:
    """On the host: arrays are tensors of the same memory, and back."""

    def __call__(self, name: str, function: TensorFn, arrays: Arrays) -> Arrays:
        return {key: to_numpy(x) for key, x in function(to_tensors(arrays)).items()}


class GraphLaunch:
    """On a GPU: the first calls of a `name` with certain shapes run as they are, the next is recorded, then replayed.

    The function may change tensors in place and draw from `generator`. What it reads beside its argument must keep its
    memory, and it must not wait for the device. Arrays travel through pinned memory; a call waits once, for its results.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self._device, self._generator = device, generator
        self._stream = torch.cuda.Stream(device)
        self._recordings: dict[tuple[object, ...], _Recording] = {}

    def __call__(self, name: str, function: TensorFn, arrays: Arrays) -> Arrays:
        key = (name, *((k, x.shape, x.dtype) for k, x in sorted(arrays.items())))
        recording = self._recordings.setdefault(key, _Recording())
        # The default stream may still write what the function reads, such as weights that were just loaded.
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            recording.upload(arrays, self._device)
            if recording.calls >= EAGER_CALLS and recording.graph is None:
                recording.record(function, self._generator, self._stream)
            recording.run(function)
            recording.download()
        self._stream.synchronize()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return {k: to_numpy(x).copy() for k, x in recording.host_outputs.items()}


class _Recording:
    """One function on one set of shapes: its inputs and outputs at fixed places, and the graph once there is one."""

    def __init__(self) -> None:
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.host_outputs: dict[str, Tensor] = {}
        self._host_inputs: dict[str, Tensor] = {}
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def upload(self, arrays: Arrays, device: torch.device) -> None:
        for key, array in arrays.items():
            x = to_tensor(array)
            if key not in self._host_inputs:
                self._host_inputs[key] = torch.empty_like(x, pin_memory=True)
                self._inputs[key] = torch.empty_like(x, device=device)
            self._host_inputs[key].copy_(x)
            self._inputs[key].copy_(self._host_inputs[key], non_blocking=True)

    def record(self, function: TensorFn, generator: torch.Generator, stream: torch.cuda.Stream) -> None:
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(generator)
        with torch.cuda.graph(self.graph, stream=stream):
            self._outputs = function(self._inputs)

    def run(self, function: TensorFn) -> None:
        self.calls += 1
        if self.graph is None:
            self._outputs = function(self._inputs)
        else:
            self.graph.replay()

    def download(self) -> None:
        for key, x in self._outputs.items():
            if key not in self.host_outputs:
                self.host_outputs[key] = torch.empty_like(x, device="cpu", pin_memory=True)
            self.host_outputs[key].copy_(x, non_blocking=True)


def to_tensor(array: np.ndarray) -> Tensor:
    """The tensor of an array's memory. torch has no arithmetic on uint16: the bits of a bfloat16 travel as int16."""
    array = array.view(np.int16) if array.dtype == np.uint16 else array
    return torch.from_numpy(np.ascontiguousarray(array))


def to_tensors(arrays: Arrays, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    return {key: to_tensor(x).to(device) for key, x in arrays.items()}


def to_numpy(x: Tensor) -> np.ndarray:
    """Inverse of `to_tensor`, of a tensor on the host: int16 becomes uint16 again."""
    array = x.numpy()
    return array.view(np.uint16) if array.dtype == np.int16 else array


def stack_scalars(values: Mapping[str, Tensor], device: torch.device) -> Tensor:
    """0-d tensors as one float32 vector on the device. Constants of the host become constants there."""
    on_device = (x if x.device == device else torch.full((), float(x), device=device) for x in values.values())
    return torch.stack([x.float() for x in on_device])
