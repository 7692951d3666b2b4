"""Keeps large blocks in the heap, on large pages, because a learner allocates the same shapes again and again."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# From glibc's malloc.h and Linux's mman.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MADV_HUGEPAGE = 14
PAGE_BYTES, BLOCK_BYTES, BLOCKS = 2 << 20, 512 << 20, 8  # a large page; a block of the heap, and how many are widened


@cache
def keep_freed_memory() -> None:
    """Ask glibc not to give freed memory back to the system, and Linux for large pages. Elsewhere it does nothing.

    By default every block above 32 MB is a fresh mapping, and each of its pages faults on first touch: a product of two such
    tensors takes forty times as long as one half their size, and a third of an update on images is spent so. Pages of
    4 kB then cost up to another 3 % in address translation.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # never
        if _addresses_are_unlimited():
            _widen_pages(libc)


def _addresses_are_unlimited() -> bool:
    """Under a limit (`ulimit -v`, SLURM's VSizeFactor) the widened heap would leave no addresses for anything else."""
    import resource  # not on every system, as glibc

    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return all(limit == resource.RLIM_INFINITY for limit in limits)


def _widen_pages(libc: ctypes.CDLL) -> None:
    """Let the heap grow once, untouched, and advise large pages for it: an advice holds only for addresses that exist."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    blocks = [block for block in (libc.malloc(BLOCK_BYTES) for _ in range(BLOCKS)) if block]
    for block in blocks:
        start = -(-block // PAGE_BYTES) * PAGE_BYTES
        libc.madvise(start, block + BLOCK_BYTES - start, MADV_HUGEPAGE)
    for block in blocks:
        libc.free(block)
