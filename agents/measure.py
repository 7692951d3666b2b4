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

BURST = 0.2  # seconds; the best of several is the rate, because what else runs here only ever takes away from it
BURSTS = 4
COPIED = 1 << 28  # bytes: more than any cache holds


def matrix_rate(device: str, dtype: str) -> float:
    """Operations per second of large matrix products, a multiplication and an addition counted as two."""
    n = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device).to(getattr(torch, dtype)) for _ in range(2))
    return 2 * n**3 * _best_rate(lambda: torch.mm(a, b), device)


def matrix_rate_of_one(dtype: str) -> float:
    """`matrix_rate` of one of the processor's threads.

    Cores of a virtual machine may be two halves of one, by turns: a second one then adds less than itself.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return matrix_rate("cpu", dtype)
    finally:
        torch.set_num_threads(threads)


def copy_rate(device: str) -> float:
    """Bytes per second copied from memory to memory, read and written ones counted once."""
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return COPIED * _best_rate(lambda: target.copy_(source), device)


def _best_rate(work: Callable[[], Any], device: str) -> float:
    """Calls per second in the best burst."""
    work()
    best = 0.0
    for _ in range(BURSTS):
        wait(device)
        begun, calls = time.perf_counter(), 0
        while (spent := time.perf_counter() - begun) < BURST or not calls:
            work()
            calls += 1
            wait(device)
        best = max(best, calls / spent)
    return best


def wait(device: str) -> None:
    """Until the device has done what it was asked."""
    if device == "cuda":
        torch.cuda.synchronize()


def flops(work: Callable[[], Any]) -> int:
    """Operations of the matrix products and convolutions that `work` runs, forward and backward, counted as they run."""
    uncounted = {torch.ops.mkldnn._linear_pointwise: _linear_flops} if ONEDNN else {}
    with FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
        work()
    return counter.get_total_flops()


def _linear_flops(x: list[int], weight: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
    """(..., I) times (O, I)."""
    return 2 * prod(x) * weight[0]


def dearest(work: Callable[[], Any], device: str, count: int = 10) -> list[dict[str, Any]]:
    """The operators that take most of the time inside `work`, without those they call: name, calls, seconds, share."""
    on_gpu = device == "cuda"
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu) as profiler:
        work()
        wait(device)
    spent = [(e.self_device_time_total if on_gpu else e.self_cpu_time_total, e) for e in profiler.key_averages()]
    total = sum(us for us, _ in spent) or 1
    spent.sort(key=lambda pair: -pair[0])
    return [{"operator": e.key, "calls": e.count, "seconds": us * 1e-6, "share": us / total} for us, e in spent[:count]]


def peak_memory(device: str) -> int:
    """Bytes: the most that this process ever held in memory, or, on a GPU, that its tensors took there."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # not getrusage, which remembers the parent's size before the program was started
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def versions() -> dict[str, Any]:
    """What the figures were measured with."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"torch": torch.__version__, "cpu_capability": torch.backends.cpu.get_cpu_capability(), "gpu": gpu}
