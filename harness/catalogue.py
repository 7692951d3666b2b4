"""What exists and what it means: the rows of `list`, the pages of `explain`. Read from the plugins themselves."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness import ablate, config, envs, noise, plugins, study
from harness.ablate import Ablation
from harness.errors import BadInput, unknown
from harness.noise import Noise
from harness.rundir import RunDir

Captions = Iterable[tuple[str, str]]  # name, caption
Page = dict[str, Any]  # title -> text, number or mapping
EXAMPLE = "dmc/cartpole_swingup"  # the task that diffs are shown for
_SINGULAR = {"studies": "study"}


def list_rows(kind: str) -> list[dict[str, str]]:
    """`{kind, name, caption}` of everything of a kind."""
    return [{"kind": kind, "name": name, "caption": caption} for name, caption in _LISTS[kind]()]


def explain(name: str, task: str | None = None) -> Page:
    """Everything that is declared of a name, as plain data. BadInput with the nearest match where nothing has the name."""
    kind = _kind_of(name)
    if kind is None:
        raise unknown("thing to explain", name, [row["name"] for kind in _PAGES for row in list_rows(kind)])
    return {"kind": _SINGULAR.get(kind, kind.rstrip("s")), "name": name, **_PAGES[kind](name, task)}


def page_to_text(page: Page) -> str:
    """An explanation as a page of text."""
    blocks = [f"{page['name']} ({page['kind']})\n{page.get('text', '').strip()}"]
    for title, value in page.items():
        if title in ("kind", "name", "text"):
            continue
        if isinstance(value, dict):
            width = max((len(str(k)) for k in value), default=0)
            lines = [f"  {k!s:<{width}}  {v}" for k, v in value.items()] or ["  (none)"]
            blocks.append("\n".join([f"{title}:", *lines]))
        else:
            blocks.append(f"{title}: {value}")
    return "\n\n".join(blocks)


# ---- Lists


def _noises() -> Captions:
    yield from ((name, plugins.caption(plugins.load("harness.noise", name))) for name in noise.noise_types())
    yield from ((alias, f"= {aliased}") for alias, aliased in noise.aliases().items())


def _agents() -> Captions:
    return ((name, plugins.caption(config.agent_module(name))) for name in sorted(config.agent_names()))


def _named_changes(attribute: str) -> Callable[[], Captions]:
    """A listing of the presets or sizes of all agents. A name that several agents have is listed once, for the first."""

    def listing() -> Captions:
        for name, agent in _owners(attribute).items():
            changes = getattr(config.agent_module(agent), attribute)[name]
            yield name, ", ".join(f"{path}={value}" for path, value in changes.items()) or "the base"

    return listing


def _owners(attribute: str) -> dict[str, str]:
    """Name of a preset or size -> the first agent that has it; the default agent comes first."""
    owners: dict[str, str] = {}
    for agent in config.agent_names():
        for name in getattr(config.agent_module(agent), attribute):
            owners.setdefault(name, agent)
    return owners


def _modules(package: str) -> Callable[[], Captions]:
    return lambda: ((name, plugins.caption(plugins.load(package, name))) for name in plugins.names(package))


def _importers() -> Captions:
    return ((name.replace("_", "-"), caption) for name, caption in _modules("results.importers")())


_LISTS: dict[str, Callable[[], Captions]] = {
    "suites": _modules("harness.envs"),
    "tasks": lambda: ((name, "") for name in envs.tasks()),
    "noises": _noises,
    "ablations": lambda: ((name, ablate.caption(ablate.parse(name))) for name in ablate.names()),
    "agents": _agents,
    "presets": _named_changes("PRESETS"),
    "sizes": _named_changes("SIZES"),
    "studies": lambda: ((name, study.load(name).description) for name in study.names()),
    "tables": _modules("results.tables"),
    "plots": _modules("results.plots"),
    "importers": _importers,
    "exporters": _modules("results.exporters"),
}
KINDS = tuple(_LISTS)


# ---- Pages


def _diff(base: config.RunConfig, other: config.RunConfig) -> dict[str, str]:
    return {path: f"{old} -> {new}" for path, (old, new) in config.diff(base, other).items()}


def _ablation_page(name: str, task: str | None) -> Page:
    ablation = ablate.parse(name)
    base, ablated = _base_and_ablated(ablation, task or EXAMPLE)
    changes = _diff(base, ablated)
    changes.pop("ablation", None)
    components = {part: ablate.caption(ablate.parse(part)) for part in ablation.components if part != name}
    spelling = {"canonical spelling": str(ablation)} if str(ablation) != name else {}
    return {
        "text": ablate.documentation(ablation),
        **spelling,
        **({"is together": components} if components else {}),
        "acts on": ablate.scope(ablation).description,
        "leaves alone, to the last bit": ", ".join(ablate.invariant(ablation)) or "(says nothing)",
        "changes to the base": changes,
    }


def _base_and_ablated(ablation: Ablation, task: str) -> tuple[config.RunConfig, config.RunConfig]:
    """A run and the same run ablated, of the first agent that has the settings which the ablation changes."""
    errors = []
    for agent in config.agent_names():
        base = study.single(task, agent=agent)
        try:
            return base, study.single(task, agent=agent, ablation=ablation)
        except BadInput as error:
            errors.append(error)
    raise errors[0]


def _noise_page(name: str, _: str | None) -> Page:
    types = noise.noise_types()
    parsed = None if name in types else noise.parse(name)
    described = [types[name]] if parsed is None else [type(part) for part in parsed.parts]
    documentation = [plugins.load("harness.noise", noise_type.kind).__doc__ or "" for noise_type in described]
    page: Page = {"text": "\n\n".join(documentation)}
    if parsed is not None:
        page["canonical spelling"] = str(parsed)
    for noise_type in described:
        page |= _noise_type_blocks(noise_type)
    return page


def _noise_type_blocks(noise_type: type[Noise]) -> Iterator[tuple[str, dict[str, str]]]:
    parameters = noise.parameter_names(noise_type)
    yield f"parameters of {noise_type.kind}", {n: noise.describe_parameter(noise_type, n) for n in parameters}
    if noise_type.SEVERITY:
        yield f"severities of {noise_type.kind} (64-pixel frames or vectors)", _severities(noise_type.SEVERITY)
    if noise_type.NATIVE_SEVERITY:
        yield f"severities of {noise_type.kind} (native frames)", _severities(noise_type.NATIVE_SEVERITY)


def _severities(table: Mapping[int, Mapping[str, Any]]) -> dict[str, str]:
    return {f"@{level}": ", ".join(f"{k}={v:.6g}" for k, v in values.items()) for level, values in table.items()}


def _preset_page(name: str, task: str | None) -> Page:
    agent = _owners("PRESETS")[name]
    base = config.base_preset(agent)
    changes = _diff(*(study.single(task or EXAMPLE, agent=agent, preset=preset) for preset in (base, name)))
    changes.pop("preset", None)
    note = getattr(config.agent_module(agent), "NOTES", {}).get(name, "A named base configuration.")
    return {"text": note, f"changes to the base ({base})": changes}


def _size_page(name: str, _: str | None) -> Page:
    return {"text": "A size of the agent.", "sets": config.agent_module(_owners("SIZES")[name]).SIZES[name]}


def _suite_page(name: str, _: str | None) -> Page:
    module = plugins.load("harness.envs", name)
    protocol = {key: value for key, value in vars(module.SUITE).items() if key != "modules"}
    return {"text": module.__doc__, "protocol": protocol, "tasks": ", ".join(module.TASKS) or "any id its library knows"}


def _task_page(name: str, _: str | None) -> Page:
    envs.check(name)
    protocol = {key: value for key, value in vars(envs.suite(name)).items() if key != "modules"}
    return {"text": "A task.", "protocol": protocol}


def _study_page(name: str, _: str | None) -> Page:
    loaded, runs = study.load_runs(name)
    grid = {"runs": len(runs), "noise cells": sum(len(run.evaluate.noise) for run in runs)}
    content = yaml.safe_load((study.STUDIES / f"{name}.yaml").read_text())
    return {"text": loaded.description, "grid": grid, "file": content}


def _result_page(package: str, function: str) -> Callable[[str, str | None], Page]:
    """The page of a table or figure: what it shows, and the options that it reads."""

    def page(name: str, _: str | None) -> Page:
        module = plugins.load(package, name)
        parameters = inspect.signature(getattr(module, function)).parameters
        options = [f"--{option.replace('_', '-')}" for option in parameters if option not in ("results", "rng")]
        verb = package.rsplit(".", 1)[1].rstrip("s")
        return {
            "text": module.__doc__,
            "options that it reads": ", ".join(options) or "(none)",
            "command": f"dreamproof {verb} {name} RUNS",
        }

    return page


def _format_page(package: str, command: str) -> Callable[[str, str | None], Page]:
    def page(name: str, _: str | None) -> Page:
        module = plugins.load(package, name.replace("-", "_"))
        files = {"files": ", ".join(module.FILES)} if hasattr(module, "FILES") else {}
        return {"text": module.__doc__, **files, "command": command.format(name=name)}

    return page


def explain_run(folder: Path) -> Page:
    """A run's settings in words: what it is, how far it is, and how it differs from the base on its task."""
    run = RunDir(folder)
    content, state, provenance = run.config, run.state, run.provenance
    origin = {"made with": provenance["versions"]} if provenance.get("versions") else {}
    progress = f"{'done' if run.done else state['state']}, step {state['step']} of {content.get('steps', '?')}"
    page: Page = {"kind": "run", "name": str(folder)}
    try:
        parsed = config.parse(content, str(folder))
    except BadInput:  # results of others hold only what their files say
        return page | {"text": "Imported results.", "progress": progress, "settings": content}
    base = study.single(parsed.task, agent=parsed.agent.kind, size=parsed.size)
    changes = _diff(base, parsed)
    for label in ("study", "seed", "ablation", "preset", "size", "steps", "train_noise"):
        changes.pop(label, None)
    changes = {path: change for path, change in changes.items() if not path.startswith("evaluate.")}
    learner = f"{parsed.agent.kind} (preset {parsed.preset}, size {parsed.size}, ablation {parsed.ablation})"
    grid = parsed.evaluate
    return page | {
        "text": f"{learner} on {parsed.task}, trained under {parsed.train_noise} for {parsed.steps} policy steps, seed "
        f"{parsed.seed}; then {grid.episodes} episodes under each of {', '.join(map(str, grid.noise))}, policy {grid.policy}.",
        "progress": progress,
        **({"message": state["message"]} if state.get("message") else {}),
        f"changes to the base of this size on {parsed.task}": changes,
        **origin,
    }


def _agent_page(name: str, _: str | None) -> Page:
    settings = config.flatten(study.single(EXAMPLE, agent=name))
    return {
        "text": config.agent_module(name).__doc__,
        "settings": {path: value for path, value in settings.items() if path.startswith("agent.")},
    }


_PAGES: dict[str, Callable[[str, str | None], Page]] = {
    "ablations": _ablation_page,
    "noises": _noise_page,
    "presets": _preset_page,
    "suites": _suite_page,
    "tasks": _task_page,
    "agents": _agent_page,
    "sizes": _size_page,
    "studies": _study_page,
    "tables": _result_page("results.tables", "make"),
    "plots": _result_page("results.plots", "compute"),
    "importers": _format_page("results.importers", "dreamproof import {name} FILE... --out DIR"),
    "exporters": _format_page("results.exporters", "dreamproof export {name} RUNS --out FILE"),
}


def _kind_of(name: str) -> str | None:
    """The kind of thing that has this name. A listed name (`repo-faithful`) comes before a combination (`a-b`)."""
    for has_name in (_is_listed, _is_unlisted):
        for kind in _PAGES:
            with contextlib.suppress(BadInput, ImportError):
                if has_name(kind, name):
                    return kind
    return None


def _is_listed(kind: str, name: str) -> bool:
    return name in {row["name"] for row in list_rows(kind)}


def _is_unlisted(kind: str, name: str) -> bool:
    """Whether a kind of thing has a name that no list shows: a combination, a noise with parameters, a gym task."""
    if kind == "ablations":
        return bool(set(re.split("[+-]", name)) & set(ablate.names()))
    if kind == "noises":
        return bool(noise.parse(name).kind)
    if kind == "tasks" and "/" in name:
        envs.check(name)
        return True
    return False
