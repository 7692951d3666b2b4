"""Simulator suites: one file per suite. A task is written `suite/task`. No simulator is imported before `make`."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from harness import plugins, preview
from harness.env import Env, Suite
from harness.errors import BadInput, unknown


def make(task: str, **options: object) -> Env:
    """The environment of `suite/task`. BadInput for an unknown suite, task or option."""
    module, name = _split(task)
    check(task)
    check_options(task, options)
    return module.make(name, **options)


def suite(task: str) -> Suite:
    """The facts about the suite of `suite/task`."""
    return _split(task)[0].SUITE


def check(task: str) -> None:
    """BadInput, with the nearest match, unless there is such a task."""
    module, name = _split(task)
    if hasattr(module, "check"):
        module.check(name)
    elif name not in module.TASKS:
        prefix = task.split("/")[0]
        raise unknown("task", task, [f"{prefix}/{other}" for other in module.TASKS])


def check_options(task: str, options: Mapping[str, object]) -> None:
    """BadInput for an option that the suite of `suite/task` does not have, or a value that it does not take."""
    module, name = _split(task)
    allowed = [*module.SUITE.options, *module.SUITE.extras]
    for option in options:
        if option not in allowed:
            raise unknown("option", option, allowed or ["(none)"], f"env.options of {task}")
    if hasattr(module, "check_options"):
        module.check_options(name, options)


def tasks() -> list[str]:
    """Every task that a suite lists, as `suite/task`. `gym` takes any registered id and lists none."""
    names = plugins.names(__name__)
    return [f"{name}/{task}" for name in names for task in plugins.load(__name__, name).TASKS]


def modalities(task: str, options: Mapping[str, object] | None = None) -> tuple[bool, bool]:
    """(pixels, vectors): what the observations of a task hold. Cheap, except where only the environment itself says it."""
    module, name = _split(task)
    facts = module.SUITE
    if hasattr(module, "modalities"):
        return module.modalities(name)
    if facts.pixels is None or facts.vectors is None:
        view = preview.load_preview(task, options or {})
        return view.pixels, view.vectors
    return facts.pixels, facts.vectors


def view_lines(task: str, options: Mapping[str, object]) -> list[str]:
    """What the agent sees of a task, in words, where its suite does not say it: a line each."""
    facts = suite(task)
    return (
        preview.load_preview(task, options).lines if facts.pixels is None and not hasattr(_split(task)[0], "modalities") else []
    )


def _split(task: str) -> tuple[ModuleType, str]:
    """(module of the suite, name of the task)."""
    if not isinstance(task, str):
        raise BadInput(f"A task is text such as 'dmc/cartpole_swingup', not {task!r}.")
    prefix, slash, name = task.partition("/")
    if not slash:
        matches = [other for other in tasks() if other.split("/", 1)[1].lower() == task.lower()]
        hint = f" Did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""
        raise BadInput(
            f"A task is written suite/task, such as 'dmc/cartpole_swingup', not '{task}'. "
            f"Suites: {', '.join(plugins.names(__name__))}.{hint}"
        )
    return plugins.load(__name__, prefix, "suite"), name
