"""The changes an ablation declares, applied to a run.

A file of `ablations/` declares CHANGES, or COMPONENTS: the names of the other files that it combines. It may also declare
SCOPE, the tasks on which it acts (a key of `SCOPES`; every task by default), and INVARIANT: patterns over the measures that
`dreamproof verify-switches` compares and that the ablation must leave alone to the last bit.

Wherever an ablation is named, files can be combined: `huber+no_unimix` applies both, and `without_all-huber` is without_all
with its component huber removed. `parse` reads such an expression once, into an `Ablation`; its `str` is the one canonical
spelling, with sorted names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from types import MappingProxyType, ModuleType
from typing import Any

from agents.protocol import Spec
from harness import config, plugins
from harness.errors import BadInput, unknown

NONE = "none"
Changes = Mapping[str, Any]  # dotted path -> value
Arms = Mapping[str, Changes]  # a study's own ablations: name -> changes
NO_ARMS: Arms = MappingProxyType({})
EVERYWHERE = "all"


@dataclass(frozen=True)
class Scope:
    """The tasks on which an ablation can act. Elsewhere the ablated agent is the unchanged agent."""

    description: str
    covers: Callable[[Spec], bool]


SCOPES: dict[str, Scope] = {
    EVERYWHERE: Scope("every task", lambda spec: True),
    "vectors": Scope("tasks with vector observations", lambda spec: any(not space.image for space in spec.obs.values())),
    "discrete": Scope("tasks with discrete actions", lambda spec: any(head.discrete for head in spec.heads.values())),
}


@dataclass(frozen=True)
class Ablation:
    """A checked ablation expression such as `a+b-c`.

    terms: what it combines, sorted; `none` alone is the unchanged agent. removed: the components that it removes, sorted.
    components: name -> changes of every file and arm that it applies, in order; `without_all-huber` has three, `none` has
    none. Two expressions are equal where their canonical spellings are.
    """

    terms: tuple[str, ...]
    removed: tuple[str, ...]
    components: Mapping[str, Changes] = field(compare=False)

    def __str__(self) -> str:
        return "-".join(["+".join(self.terms), *self.removed])

    @property
    def changes(self) -> dict[str, Any]:
        """Dotted paths that the ablation replaces."""
        return {path: value for changes in self.components.values() for path, value in changes.items()}

    @property
    def file(self) -> str | None:
        """The name of the file in `ablations/` where the ablation is that file alone."""
        alone = len(self.terms) == 1 and not self.removed
        return self.terms[0] if alone and self.terms[0] in plugins.names("ablations") else None

    def restorations(self) -> list[Ablation]:
        """The ablation with one of its components restored, for each component in turn."""
        return [self._without(component) for component in self.components]

    def _without(self, component: str) -> Ablation:
        terms, removed = self.terms, self.removed
        if component in terms:
            terms = tuple(term for term in terms if term != component)
        else:
            removed = tuple(sorted([*removed, component]))
        return Ablation(terms, removed, {name: c for name, c in self.components.items() if name != component})


UNCHANGED = Ablation((NONE,), (), {})


def names() -> list[str]:
    """`none` (the unchanged agent) and every file in `ablations/`."""
    return [NONE, *plugins.names("ablations")]


def composites() -> list[str]:
    """The files that combine others."""
    return [name for name in plugins.names("ablations") if _declared_components(name)]


def parse(text: str | Ablation, arms: Arms = NO_ARMS) -> Ablation:
    """`huber+no_unimix`, `without_all-huber` -> an Ablation; an Ablation is returned as it is.

    BadInput for an unknown name, and for names that do not go together.
    """
    if isinstance(text, Ablation):
        return text
    terms, removed = _split_terms(text)
    if NONE in terms and len(terms) + len(removed) > 1:
        raise BadInput(f"ablation '{text}': none is the unchanged agent and cannot be combined with anything.")
    components = [component for term in terms for component in _components_of(term, text, arms)]
    if duplicate := _first_duplicate(components) or _first_duplicate(removed):
        raise BadInput(f"ablation '{text}': {duplicate} is in it twice.")
    removable = [component for term in terms if term not in arms for component in _declared_components(term)]
    for component in removed:
        if component not in removable:
            raise unknown("component", component, removable or ["(no name here is a composite)"], f"ablation '{text}'")
    remaining = [component for component in components if component not in removed]
    if removed and not remaining:
        raise BadInput(f"ablation '{text}': nothing is left of it; that is '{NONE}'.")
    ablation = Ablation(tuple(terms), tuple(removed), {name: _declared_changes(name, arms) for name in remaining})
    _check_disjoint(ablation, text)
    return ablation


def scope(ablation: Ablation) -> Scope:
    """The tasks on which an ablation acts: those of its components together."""
    keys = list(dict.fromkeys(getattr(_load(name), "SCOPE", EVERYWHERE) for name in ablation.components)) or [EVERYWHERE]
    scopes = [SCOPES[key] for key in ([EVERYWHERE] if EVERYWHERE in keys else keys)]
    return Scope(", ".join(s.description for s in scopes), lambda spec: any(s.covers(spec) for s in scopes))


def invariant(ablation: Ablation) -> tuple[str, ...]:
    """Patterns of measures that an ablation must not change; a combination declares none."""
    return getattr(_load(ablation.file), "INVARIANT", ()) if ablation.file else ()


def caption(ablation: Ablation) -> str:
    """The first line of a file; for a combination, what it combines and removes."""
    if ablation == UNCHANGED:
        return "The unchanged agent."
    if ablation.file:
        return plugins.caption(_load(ablation.file))
    without = f" without {' and '.join(ablation.removed)}" if ablation.removed else ""
    return f"{' and '.join(ablation.terms)}{' together' if len(ablation.terms) > 1 else ''}{without}."


def documentation(ablation: Ablation) -> str:
    """The docstring of a file; the caption of anything else."""
    return (_load(ablation.file).__doc__ or "") if ablation.file else caption(ablation)


def apply(run: config.RunConfig, ablation: Ablation, where: str) -> config.RunConfig:
    """The run with an ablation's changes.

    BadInput where the agent has no such setting, or where one of the components changes nothing.
    """
    place = f"{where}, ablation {ablation}"
    ablated = config.apply_changes(run, {"ablation": str(ablation)}, place)
    config.refuse_labels(ablation.changes, place)
    for _, level in groupby(sorted(ablation.changes.items(), key=_depth), key=_depth):  # a part before what is inside it
        ablated = config.apply_changes(ablated, dict(level), place)
    touched = config.diff(run, ablated)
    for name, changes in ablation.components.items():
        if not any(path == changed or path.startswith(f"{changed}.") for path in touched for changed in changes):
            raise BadInput(f"{place}: {name} changes nothing here: {', '.join(changes)} already have these values.")
    return ablated


def _load(name: str) -> ModuleType:
    return plugins.load("ablations", name, "ablation")


def _declared_changes(name: str, arms: Arms) -> Changes:
    return arms[name] if name in arms else _load(name).CHANGES


def _declared_components(name: str) -> tuple[str, ...]:
    """What a composite file combines; empty for `none` and for a file with CHANGES of its own."""
    return getattr(_load(name), "COMPONENTS", ()) if name != NONE else ()


def _components_of(term: str, text: str, arms: Arms) -> Sequence[str]:
    """The files and arms that a term applies. `text` is the whole expression, for the error."""
    if term == NONE:
        return ()
    if term in arms:
        return (term,)
    if term not in names():
        raise unknown("ablation", text if "-" in text else term, [*arms, *names()])
    return _declared_components(term) or (term,)


def _check_disjoint(ablation: Ablation, text: str) -> None:
    """BadInput where two components set the same path."""
    paths = {name: set(_leaf_paths("", changes)) for name, changes in ablation.components.items()}
    for one, other in combinations(paths, 2):
        shared = sorted(paths[one] & paths[other])
        if shared:
            raise BadInput(f"ablation '{text}': {one} and {other} both set {', '.join(shared)}; they do not go together.")


def _split_terms(text: str) -> tuple[list[str], list[str]]:
    """(terms, removed components) of `a+b-c`, each sorted."""
    pairs = [(sign, term.strip()) for sign, term in re.findall(r"([+-])([^+-]*)", f"+{text}")]
    if not all(term for _, term in pairs):
        raise BadInput(f"ablation '{text}': write NAME, NAME+NAME or COMPOSITE-COMPONENT.")
    return sorted(term for sign, term in pairs if sign == "+"), sorted(term for sign, term in pairs if sign == "-")


def _first_duplicate(values: Sequence[str]) -> str | None:
    return next((value for value in values if values.count(value) > 1), None)


def _depth(change: tuple[str, Any]) -> int:
    return change[0].count(".")


def _leaf_paths(prefix: str, node: Any) -> Iterator[str]:
    """Dotted paths of the single settings that are set; those of a part one by one."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaf_paths(f"{prefix}.{name}" if prefix else name, value)
    else:
        yield prefix
