"""Live tensors <-> arrays, bit for bit, with an error that names what does not fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def snapshot(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Copies on the host."""
    return {name: x.detach().cpu().numpy().copy() for name, x in tensors.items()}


def check(state: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """ValueError naming the first entry that is missing, unknown or of another shape or type."""
    for name, want in expected.items():
        if name not in state:
            raise ValueError(f"the stored state has no '{name}' (wanted: shape {want.shape})")
        have = np.asarray(state[name])
        if have.shape != want.shape or have.dtype != want.dtype:
            raise ValueError(f"'{name}' is stored as {have.dtype} {have.shape}, wanted {want.dtype} {want.shape}")
    if extra := sorted(state.keys() - expected.keys()):
        raise ValueError(f"the stored state has an unknown '{extra[0]}'")


@torch.no_grad()
def restore(tensors: Mapping[str, Tensor], state: Mapping[str, np.ndarray]) -> None:
    """Copy into the live tensors, in place, so that whatever shares their memory sees it."""
    for name, x in tensors.items():
        x.copy_(torch.from_numpy(np.array(state[name])))
