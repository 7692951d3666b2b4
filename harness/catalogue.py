"""What exists and what it means: the rows of `list`, the pages of `explain`. Read from the plugs themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from harness import ablate, config, envs, noise, plugins, study
from harness.errors import unknown

Row = dict[str, str]
EXAMPLE = "dmc/cartpole_swingup"  # the task that diffs are shown for
_SINGULAR = {"studies": "study"}


def rows(kind: str) -> list[Row]:
    """`{kind, name, caption}` of everything of a kind."""
    return [{"kind": kind, "name": name, "caption": caption} for name, caption in _LISTS[kind]()]


def explain(name: str, task: str | None = None) -> dict[str, Any]:
    """Everything known about a name, as plain data. BadInput with the nearest match where nothing has it."""
    for kind, describe in _PAGES.items():
        try:
            known = name in {row["name"] for row in rows(kind)} or _spelled(kind, name)
        except Exception:
            known = False
        if known:
            return {"kind": _SINGULAR.get(kind, kind.rstrip("s")), "name": name, **describe(name, task)}
    raise unknown("thing to explain", name, [row["name"] for kind in _PAGES for row in rows(kind)])


def text(described: dict[str, Any]) -> str:
    """An explanation as a page of text."""
    head = f"{described['name']} ({described['kind']})\n{described.get('text', '').strip()}"
    blocks = [head]
    for key, value in described.items():
        if key in ("kind", "name", "text"):
            continue
        if isinstance(value, dict):
            width = max((len(str(k)) for k in value), default=0)
            lines = [f"  {k!s:<{width}}  {v}" for k, v in value.items()] or ["  (none)"]
            blocks.append("\n".join([f"{key}:", *lines]))
        else:
            blocks.append(f"{key}: {value}")
    return "\n\n".join(blocks)


def _suites() -> Iterable[tuple[str, str]]:
    return ((name, plugins.caption(plugins.load("harness.envs", name))) for name in plugins.names("harness.envs"))


def _noises() -> Iterable[tuple[str, str]]:
    yield from ((name, plugins.caption(plugins.load("harness.noise", name))) for name in noise.noise_types())
    yield from ((name, f"= {described}") for name, described in noise.aliases().items())


def _agents() -> Iterable[tuple[str, str]]:
    return ((name, plugins.caption(config.agent_module(name))) for name in config.agents())


def _changes(attribute: str) -> Callable[[], Iterable[tuple[str, str]]]:
    def listing() -> Iterable[tuple[str, str]]:
        for agent in config.agents():
            if agent == "dreamer":
                for name, changes in getattr(config.agent_module(agent), attribute).items():
                    yield name, ", ".join(f"{path}={value}" for path, value in changes.items()) or "the base"

    return listing


def _plots(package: str) -> Callable[[], Iterable[tuple[str, str]]]:
    return lambda: ((name, plugins.caption(plugins.load(package, name))) for name in plugins.names(package))


def _importers() -> Iterable[tuple[str, str]]:
    return ((name.replace("_", "-"), caption) for name, caption in _plots("results.importers")())


def _study_rows() -> Iterable[tuple[str, str]]:
    return ((name, study.load(name).description) for name in study.names())


_LISTS: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
    "suites": _suites,
    "tasks": lambda: ((name, "") for name in envs.tasks()),
    "noises": _noises,
    "ablations": lambda: ((name, ablate.caption(name)) for name in ablate.names()),
    "agents": _agents,
    "presets": _changes("PRESETS"),
    "sizes": _changes("SIZES"),
    "studies": _study_rows,
    "tables": _plots("results.tables"),
    "plots": _plots("results.plots"),
    "importers": _importers,
    "exporters": _plots("results.exporters"),
}


def _base(task: str | None, **options: Any) -> config.RunConfig:
    return study.single(task or EXAMPLE, **options)


def _diff(base: config.RunConfig, other: config.RunConfig) -> dict[str, str]:
    return {path: f"{old} -> {new}" for path, (old, new) in config.diff(base, other).items()}


def _ablation(name: str, task: str | None) -> dict[str, Any]:
    changed = _diff(_base(task), _base(task, ablation=name))
    changed.pop("ablation", None)
    several = {part: ablate.caption(part) for part in ablate.parts(name) if part != name}
    spelled = ablate.canonical(name)
    said = ({"canonical spelling": spelled} if spelled != name else {}) | ({"is together": several} if several else {})
    said |= {
        "acts on": ablate.where(name)[0],
        "leaves alone, to the last bit": ", ".join(ablate.keeps(name)) or "(says nothing)",
    }
    return {"text": ablate.text(name), **said, "changes to the base": changed}


def _noise(name: str, _: str | None) -> dict[str, Any]:
    parsed = noise.aliases().get(name) or (noise.parse(name) if name not in noise.noise_types() else None)
    kinds = [type(part) for part in parsed.parts] if parsed else [noise.noise_types()[name]]
    described: dict[str, Any] = {"text": "\n\n".join(plugins.load("harness.noise", k.kind).__doc__ for k in kinds)}
    if parsed:
        described["canonical spelling"] = str(parsed)
    for kind in kinds:
        described[f"parameters of {kind.kind}"] = {n: noise.describe_parameter(kind, n) for n in noise.parameter_names(kind)}
        if kind.SEVERITY:
            described[f"severities of {kind.kind} (64-pixel frames or vectors)"] = _severities(kind.SEVERITY)
        if kind.NATIVE_SEVERITY:
            described[f"severities of {kind.kind} (native frames)"] = _severities(kind.NATIVE_SEVERITY)
    return described


def _severities(table: dict[int, dict[str, Any]]) -> dict[str, str]:
    return {f"@{level}": ", ".join(f"{k}={v:.6g}" for k, v in values.items()) for level, values in table.items()}


def _preset(name: str, task: str | None) -> dict[str, Any]:
    changed = _diff(_base(task), _base(task, preset=name))
    changed.pop("preset", None)
    note = getattr(config.agent_module("dreamer"), "NOTES", {}).get(name, "A named base configuration.")
    return {"text": note, "changes to the base (v3)": changed}


def _size(name: str, task: str | None) -> dict[str, Any]:
    return {"text": "A size of the agent.", "sets": config.agent_module("dreamer").SIZES[name]}


def _suite(name: str, _: str | None) -> dict[str, Any]:
    module = plugins.load("harness.envs", name)
    data = {key: value for key, value in vars(module.SUITE).items() if key != "modules"}
    return {"text": module.__doc__, "protocol": data, "tasks": ", ".join(module.TASKS) or "any id its library knows"}


def _task(name: str, _: str | None) -> dict[str, Any]:
    envs.check(name)
    data = {key: value for key, value in vars(envs.suite(name)).items() if key != "modules"}
    return {"text": "A task.", "protocol": data}


def _study(name: str, _: str | None) -> dict[str, Any]:
    loaded = study.load(name)
    cells = study.runs(loaded, name)
    grid = {"runs": len(cells), "noise cells": sum(len(cell.evaluate.noise) for cell in cells)}
    content = yaml.safe_load((study.STUDIES / f"{name}.yaml").read_text())
    return {"text": loaded.description, "grid": grid, "file": content}


def _agent(name: str, _: str | None) -> dict[str, Any]:
    module = config.agent_module(name)
    base = config.flat(_base(None, agent=name))
    return {"text": module.__doc__, "settings": {k: v for k, v in base.items() if k.startswith("agent.")}}


_PAGES: dict[str, Callable[[str, str | None], dict[str, Any]]] = {
    "ablations": _ablation,
    "noises": _noise,
    "presets": _preset,
    "suites": _suite,
    "tasks": _task,
    "agents": _agent,
    "sizes": _size,
    "studies": _study,
}


def _spelled(kind: str, name: str) -> bool:
    """Whether a name that is not listed is still one: ablations put together, a noise with parameters, a gym task."""
    if kind == "ablations":
        return bool(set(re.split("[+-]", name)) & set(ablate.names()))
    if kind == "noises":
        return noise.parse(name) is not None
    if kind == "tasks" and "/" in name:
        envs.check(name)
        return True
    return False
