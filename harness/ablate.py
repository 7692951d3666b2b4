"""The changes an ablation declares, applied to a run.

A file of `ablations/` declares CHANGES, or COMPONENTS: the names of other files that it is together. It may also say where
it acts (ACTS, a key of `WHERE`; everywhere if it does not say) and what it leaves alone to the last bit (KEEPS, patterns
over the measures that `dreamproof verify-switches` compares).

Everywhere an ablation is named, files can be put together: `huber+no_unimix` is both, `without_all-huber` is without_all
with one of its components taken back. Both sorts of names have one canonical spelling: sorted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, groupby
from types import MappingProxyType, ModuleType
from typing import Any

from agents.protocol import Spec
from harness import config, plugins
from harness.errors import BadInput, unknown

NONE = "none"
Arms = Mapping[str, Mapping[str, Any]]  # a study's own ablations: name -> changes
NO_ARMS: Arms = MappingProxyType({})
# Where an ablation can act: what that means, and whether a task is of that sort.
WHERE: dict[str, tuple[str, Callable[[Spec], bool]]] = {
    "all": ("every task", lambda spec: True),
    "vectors": ("tasks with vector observations", lambda spec: any(not space.image for space in spec.obs.values())),
    "discrete": ("tasks with discrete actions", lambda spec: spec.action.discrete),
}


def names() -> list[str]:
    """`none` (the unchanged agent) and every file in `ablations/`."""
    return [NONE, *plugins.names("ablations")]


def canonical(name: str, arms: Arms = NO_ARMS) -> str:
    """The one spelling of an ablation. BadInput for a name that nothing has, and for what does not go together."""
    changes(name, arms)
    return _spelled(*_terms(name))


def changes(name: str, arms: Arms = NO_ARMS) -> dict[str, Any]:
    """Dotted paths that an ablation replaces. BadInput as for `canonical`."""
    declared = {part: _declared(part, arms) for part in parts(name, arms)}
    for (one, left), (other, right) in combinations(declared.items(), 2):
        both = sorted({*_leaves("", left)} & {*_leaves("", right)})
        if both:
            raise BadInput(f"ablation '{name}': {one} and {other} both set {', '.join(both)}; they do not go together.")
    return {path: value for part in declared.values() for path, value in part.items()}


def parts(name: str, arms: Arms = NO_ARMS) -> tuple[str, ...]:
    """The files and arms whose changes an ablation comes to: `without_all-huber` is three, `none` is none."""
    added, taken = _terms(name)
    if NONE in added and len([*added, *taken]) > 1:
        raise BadInput(f"ablation '{name}': none is the unchanged agent and goes with nothing else.")
    whole = [part for term in added if term != NONE for part in _components(term, name, arms) or (term,)]
    if twice := _twice(whole) or _twice(taken):
        raise BadInput(f"ablation '{name}': {twice} is in it twice.")
    for term in taken:
        removable = [part for each in added for part in _components(each, name, arms)]
        if term not in removable:
            raise unknown("component", term, removable or ["(nothing here is made of others)"], f"ablation '{name}'")
    left = tuple(part for part in whole if part not in taken)
    if taken and not left:
        raise BadInput(f"ablation '{name}': nothing is left of it; that is '{NONE}'.")
    return left


def composites() -> list[str]:
    """The files that are made of others."""
    return [name for name in names() if _components(name, name)]


def each_restored(name: str, arms: Arms = NO_ARMS) -> list[str]:
    """An ablation of several parts with one of them taken back, for each in turn."""
    added, taken = _terms(name)
    return [
        _spelled([term for term in added if term != part], taken) if part in added else _spelled(added, [*taken, part])
        for part in parts(name, arms)
    ]


def where(name: str) -> tuple[str, Callable[[Spec], bool]]:
    """Where an ablation acts: elsewhere it is the unchanged agent under another name."""
    places = list(dict.fromkeys(getattr(_file(part), "ACTS", "all") for part in parts(name))) or ["all"]
    chosen = [WHERE[place] for place in (["all"] if "all" in places else places)]
    return ", ".join(text for text, _ in chosen), lambda spec: any(acts(spec) for _, acts in chosen)


def keeps(name: str) -> tuple[str, ...]:
    """Patterns of measures that an ablation must not touch; ablations that are put together say nothing."""
    return getattr(_file(name), "KEEPS", ()) if name in plugins.names("ablations") else ()


def caption(name: str) -> str:
    """The first line of a file; of several put together, what was done with which."""
    if name == NONE:
        return "The unchanged agent."
    if name in plugins.names("ablations"):
        return plugins.caption(_file(name))
    added, taken = _terms(name)
    without = f" without {' and '.join(taken)}" if taken else ""
    return f"{' and '.join(added)} together{without}." if len(added) > 1 else f"{added[0]}{without}."


def text(name: str) -> str:
    """Everything that the files say of themselves."""
    return caption(name) if name not in plugins.names("ablations") else (_file(name).__doc__ or "")


def apply(run: config.RunConfig, name: str, where: str, arms: Arms = NO_ARMS) -> config.RunConfig:
    """The run with an ablation's changes. BadInput where the agent has no such part or one of its parts changes nothing."""
    name, place = canonical(name, arms), f"{where}, ablation {name}"
    changed = config.change(run, {"ablation": name}, place)
    for _, level in groupby(sorted(changes(name, arms).items(), key=_depth), key=_depth):  # a part before what is inside it
        changed = config.change(changed, dict(level), place)
    touched = config.diff(run, changed)
    for part in parts(name, arms):
        declared = _declared(part, arms)
        if not any(path == each or path.startswith(f"{each}.") for path in touched for each in declared):
            raise BadInput(f"{place}: {part} changes nothing here: {', '.join(declared)} already have these values.")
    return changed


def _file(name: str) -> ModuleType:
    return plugins.load("ablations", name, "ablation")


def _declared(part: str, arms: Arms) -> Mapping[str, Any]:
    return arms[part] if part in arms else _file(part).CHANGES


def _components(name: str, whole: str, arms: Arms = NO_ARMS) -> tuple[str, ...]:
    """What a file is made of; empty for one with CHANGES of its own. `whole` is what was given, for the error."""
    if name == NONE or name in arms:
        return ()
    if name not in names():
        raise unknown("ablation", whole if "-" in whole else name, [*arms, *names()])
    return getattr(_file(name), "COMPONENTS", ())


def _terms(name: str) -> tuple[list[str], list[str]]:
    """(what is put together, what is taken back) of `a+b-c`."""
    terms = [(sign, term.strip()) for sign, term in re.findall(r"([+-])([^+-]*)", f"+{name}")]
    if not all(term for _, term in terms):
        raise BadInput(f"ablation '{name}': write NAME, NAME+NAME or NAME-COMPONENT.")
    return [term for sign, term in terms if sign == "+"], [term for sign, term in terms if sign == "-"]


def _spelled(added: list[str], taken: list[str]) -> str:
    return "-".join(["+".join(sorted(added)), *sorted(taken)])


def _twice(values: list[str]) -> str | None:
    return next((value for value in values if values.count(value) > 1), None)


def _depth(change: tuple[str, Any]) -> int:
    return change[0].count(".")


def _leaves(prefix: str, node: Any) -> Iterator[str]:
    """The single settings that are set: a part's, one by one."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else name, value)
    else:
        yield prefix
