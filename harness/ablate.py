"""The changes an ablation declares, applied to a run.

Beside CHANGES a file may declare where it acts (ACTS, a key of `WHERE`; everywhere if it does not say) and what it leaves
alone to the last bit (KEEPS, patterns over the measures that `dreamproof verify-switches` compares).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from agents.protocol import Spec
from harness import config, plugins
from harness.errors import BadInput, unknown

# Where an ablation can act: what that means, and whether a task is of that sort.
WHERE: dict[str, tuple[str, Callable[[Spec], bool]]] = {
    "all": ("every task", lambda spec: True),
    "vectors": ("tasks with vector observations", lambda spec: any(not space.image for space in spec.obs.values())),
    "discrete": ("tasks with discrete actions", lambda spec: spec.action.discrete),
}


def names() -> list[str]:
    """`none` (the unchanged agent) and every file in `ablations/`."""
    return ["none", *plugins.names("ablations")]


def changes(name: str, arms: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Mapping[str, Any]:
    """Dotted paths an ablation, or one of a study's own `arms`, replaces; BadInput for an unknown name."""
    if name == "none" or name in arms:
        return arms.get(name, {})
    if name not in names():
        raise unknown("ablation", name, [*arms, *names()])
    return plugins.load("ablations", name, "ablation").CHANGES


def where(name: str) -> tuple[str, Callable[[Spec], bool]]:
    """Where an ablation acts: elsewhere it is the unchanged agent under another name."""
    return WHERE["all" if name == "none" else getattr(plugins.load("ablations", name, "ablation"), "ACTS", "all")]


def keeps(name: str) -> tuple[str, ...]:
    """Patterns of measures that an ablation must not touch."""
    return () if name == "none" else getattr(plugins.load("ablations", name, "ablation"), "KEEPS", ())


def caption(name: str) -> str:
    return "The unchanged agent." if name == "none" else plugins.caption(plugins.load("ablations", name, "ablation"))


def apply(
    run: config.RunConfig, name: str, where: str, arms: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> config.RunConfig:
    """The run with an ablation's changes. BadInput where the agent has no such part or the ablation changes nothing."""
    declared = changes(name, arms)
    changed = config.change(run, {**declared, "ablation": name}, f"{where}, ablation {name}")
    touched = set(config.diff(run, changed)) - {"ablation"}
    if declared and not touched:
        raise BadInput(f"{where}: ablation {name} changes nothing here: {', '.join(declared)} already have these values.")
    return changed
