"""How this program starts Python processes of its own: the command, and the renderer that they use."""

from __future__ import annotations

import os
import sys


def python_command(*arguments: str) -> list[str]:
    """A command of this interpreter.

    `-P` keeps the current folder off the import path: a user's folder may hold a `harness.py` or an `agents/`.
    """
    return [sys.executable, "-P", *arguments]


def gl_environment() -> dict[str, str]:
    """`MUJOCO_GL` for a process that may render: what the user has set; else `egl` on Linux; else nothing.

    EGL needs no screen. macOS and Windows have no EGL, and mujoco finds their own renderers.
    """
    if "MUJOCO_GL" in os.environ:
        return {"MUJOCO_GL": os.environ["MUJOCO_GL"]}
    return {"MUJOCO_GL": "egl"} if sys.platform == "linux" else {}
