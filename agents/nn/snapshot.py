"""Copies tensors to arrays and back, bit for bit; an error names the entry that does not fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def snapshot(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Copies on the host."""
    return {name: x.detach().cpu().numpy().copy() for name, x in tensors.items()}


def check_entries(state: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """ValueError naming the first entry that is missing, unknown or of another shape or type."""
    for name, array in expected.items():
        if name not in state:
            raise ValueError(f"the stored state has no '{name}' (wanted: shape {array.shape})")
        stored = np.asarray(state[name])
        if stored.shape != array.shape or stored.dtype != array.dtype:
            raise ValueError(f"'{name}' is stored as {stored.dtype} {stored.shape}, wanted {array.dtype} {array.shape}")
    if unknown := sorted(state.keys() - expected.keys()):
        raise ValueError(f"the stored state has an unknown '{unknown[0]}'")


@torch.no_grad()
def restore(tensors: Mapping[str, Tensor], state: Mapping[str, np.ndarray]) -> None:
    """Copy into the live tensors, in place, so that everything that shares their memory sees it."""
    for name, x in tensors.items():
        x.copy_(torch.from_numpy(np.array(state[name])))
