"""Large blocks stay in the heap: a learner allocates the same shapes again and again."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_blocks() -> None:
    """Ask glibc not to give freed memory back to the system, where there is a glibc.

    By default every block above 32 MB is a fresh mapping, whose pages fault one by one on first touch: a product of two
    such tensors takes forty times as long as one half their size, and a third of an update on images is spent so.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
