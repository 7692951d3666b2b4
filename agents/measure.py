"""Measures the machine (matrix and copy rates) and a computation (operations, memory, most expensive operators)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from agents.nn.functional import ONEDNN

BURST_SECONDS = 0.2
BURSTS = 4  # the best is the rate: other load on the machine only ever lowers it
COPY_BYTES = 1 << 28  # more than any cache holds


def matrix_rate(device: str, dtype: str) -> float:
    """Operations per second of large matrix products. A multiplication and an addition count as two."""
    n = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device).to(getattr(torch, dtype)) for _ in range(2))
    return 2 * n**3 * _best_rate(lambda: torch.mm(a, b), device)


def matrix_rate_one_thread(dtype: str) -> float:
    """`matrix_rate` of one CPU thread.

    Two cores of a virtual machine may share one physical core. The second then adds less than the first.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return matrix_rate("cpu", dtype)
    finally:
        torch.set_num_threads(threads)


def copy_rate(device: str) -> float:
    """Bytes per second copied from memory to memory. A byte that is read and written counts once."""
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return COPY_BYTES * _best_rate(lambda: target.copy_(source), device)


def _best_rate(work: Callable[[], object], device: str) -> float:
    """Calls per second in the best burst."""
    work()
    best = 0.0
    for _ in range(BURSTS):
        synchronize(device)
        start, calls = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < BURST_SECONDS or not calls:
            work()
            calls += 1
            synchronize(device)
        best = max(best, calls / elapsed)
    return best


def synchronize(device: str) -> None:
    """Wait until the device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def count_flops(work: Callable[[], object]) -> int:
    """Operations of the matrix products and convolutions that `work` runs, forward and backward."""
    custom = {torch.ops.mkldnn._linear_pointwise: _linear_flops} if ONEDNN else {}
    with FlopCounterMode(display=False, custom_mapping=custom) as counter:
        work()
    return counter.get_total_flops()


def _linear_flops(x: list[int], weight: list[int], *_: object, out_shape: list[int], **__: object) -> int:
    """Shapes (..., I) and (O, I)."""
    return 2 * prod(x) * weight[0]


def slowest_operators(work: Callable[[], object], device: str, count: int = 10) -> list[dict[str, Any]]:
    """The operators that take most of the time inside `work`: name, calls, seconds, share.

    An operator's time is without that of the operators it calls.
    """
    on_gpu = device == "cuda"
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu) as profiler:
        work()
        synchronize(device)
    times = [(e.self_device_time_total if on_gpu else e.self_cpu_time_total, e) for e in profiler.key_averages()]
    total = sum(us for us, _ in times) or 1
    times.sort(key=lambda pair: -pair[0])
    return [{"operator": e.key, "calls": e.count, "seconds": us * 1e-6, "share": us / total} for us, e in times[:count]]


def peak_memory(device: str) -> int:
    """Bytes: the most that this process ever held in memory; on a GPU, the most that its tensors ever took there."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would report the parent's size before the program started
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def versions() -> dict[str, Any]:
    """Of torch, the CPU's instruction set and the GPU: measurements are compared only between equal ones."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"torch": torch.__version__, "cpu_capability": torch.backends.cpu.get_cpu_capability(), "gpu": gpu}
