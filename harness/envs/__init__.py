"""Simulator suites: one file per suite, a task is spelled `suite/task`. No simulator is imported before `make`."""

from __future__ import annotations

from harness import plugins
from harness.env import Env, Suite
from harness.errors import BadInput, unknown


def make(task: str, **options) -> Env:
    """The environment of `suite/task`. BadInput for an unknown suite, task or option."""
    module, name = _split(task)
    check(task)
    known = module.SUITE.options
    for option in options:
        if option not in known:
            raise unknown("option", option, known, where=f"suite '{task.split('/')[0]}'")
    return module.make(name, **options)


def suite(task: str) -> Suite:
    """What the suite of `suite/task` says of itself."""
    return _split(task)[0].SUITE


def check(task: str) -> None:
    """BadInput, with the nearest match, unless there is such a task."""
    module, name = _split(task)
    if hasattr(module, "check"):
        module.check(name)
    elif name not in module.TASKS:
        prefix = task.split("/")[0]
        raise unknown("task", task, [f"{prefix}/{known}" for known in module.TASKS])


def tasks() -> list[str]:
    """Every task that is known by name, as `suite/task`. `gym` takes any registered id and lists none."""
    names = plugins.names(__name__)
    return [f"{name}/{task}" for name in names for task in plugins.load(__name__, name).TASKS]


def modalities(task: str) -> tuple[bool, bool]:
    """(pixels, vectors): what the observations of a task hold. Cheap, except in `gym`, which makes the environment."""
    module, name = _split(task)
    known = module.SUITE
    if hasattr(module, "modalities"):
        return module.modalities(name)
    return bool(known.pixels), bool(known.vectors)


def _split(task: str):
    """(module of the suite, name of the task)."""
    if not isinstance(task, str):
        raise BadInput(f"A task is text such as 'dmc/cartpole_swingup', not {task!r}.")
    prefix, slash, name = task.partition("/")
    if not slash:
        near = [known for known in tasks() if known.split("/", 1)[1].lower() == task.lower()]
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        raise BadInput(
            f"A task is written suite/task, such as 'dmc/cartpole_swingup', not '{task}'. "
            f"Suites: {', '.join(plugins.names(__name__))}.{hint}"
        )
    return plugins.load(__name__, prefix, "suite"), name
