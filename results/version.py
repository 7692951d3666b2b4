"""The version of this program, as tables print it."""

from __future__ import annotations

from importlib import metadata


def program_version() -> str:
    """`dreamproof 0.1.0`; without a number where the package is not installed."""
    try:
        return f"dreamproof {metadata.version('dreamproof')}"
    except metadata.PackageNotFoundError:
        return "dreamproof (a copy that is not installed)"
