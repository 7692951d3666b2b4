"""The changes an ablation declares, applied to a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import config, plugins
from harness.errors import BadInput, unknown


def names() -> list[str]:
    """`none` (the unchanged agent) and every file in `ablations/`."""
    return ["none", *plugins.names("ablations")]


def changes(name: str) -> Mapping[str, Any]:
    """Dotted paths an ablation replaces; BadInput for an unknown name."""
    if name == "none":
        return {}
    if name not in names():
        raise unknown("ablation", name, names())
    return plugins.load("ablations", name, "ablation").CHANGES


def caption(name: str) -> str:
    return "The unchanged agent." if name == "none" else plugins.caption(plugins.load("ablations", name, "ablation"))


def apply(run: config.RunConfig, name: str, where: str) -> config.RunConfig:
    """The run with an ablation's changes. BadInput where the agent has no such part or the ablation changes nothing."""
    declared = changes(name)
    changed = config.change(run, {**declared, "ablation": name}, f"{where}, ablation {name}")
    touched = set(config.diff(run, changed)) - {"ablation"}
    if declared and not touched:
        raise BadInput(f"{where}: ablation {name} changes nothing here: {', '.join(declared)} already have these values.")
    return changed
