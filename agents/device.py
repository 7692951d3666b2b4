"""Devices and compilers of this machine: checks what a user asks for, and says why it is not there."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from agents.lazy import Lazy

torch = Lazy("torch")
COMPILER = os.environ.get("CXX") or "g++"


def resolve_device(device: str) -> str:
    """`auto` -> "cuda" where there is a GPU, else "cpu". ValueError where "cuda" is given and there is no GPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': torch finds no GPU here. Use --device cpu or auto, or install a torch with CUDA.")
    return device


def has_compiler() -> bool:
    """Whether torch finds what it compiles with on a CPU: a C++ compiler and Python's headers."""
    return shutil.which(COMPILER) is not None and Path(sysconfig.get_path("include"), "Python.h").is_file()


def check_compiler(device: str) -> None:
    """ValueError where steps are to be compiled on a CPU and there is no C++ compiler."""
    if device == "cpu" and not has_compiler():
        raise ValueError(
            f"compile: torch needs a C++ compiler ('{COMPILER}') and Python's headers, and they are not both here "
            "(apt-get install g++ python3-dev, or CXX)."
        )
