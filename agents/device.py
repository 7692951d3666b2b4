"""Where to compute: a name that a user may give -> a device that is there."""

from __future__ import annotations

from agents.lazy import Lazy

torch = Lazy("torch")


def resolve(device: str) -> str:
    """`auto` is the GPU where there is one. ValueError where a GPU is asked for and there is none."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': torch finds no GPU here. Use --device cpu or auto, or install a torch with CUDA.")
    return device
