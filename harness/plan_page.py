"""A plan as a page of text, at most about 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from harness.plan import Cost, Plan


def text(plan: Plan) -> str:
    """The whole page: a head, per task its arms with what each changes, and what is left to pay."""
    wide = max(len(cell.train_noise) for cell in plan.cells)
    seeds = ", ".join(map(str, plan.seeds)) if len(plan.seeds) < 10 else f"{plan.seeds[0]} to {plan.seeds[-1]}"
    lines = [
        *textwrap.wrap(f"{plan.name}: {plan.description}".removesuffix(": "), 90, subsequent_indent="  "),
        f"{_count(sum(plan.states.values()), 'run')} in {_count(len(plan.cells), 'cell')} ({plan.design}; seeds {seeds}): "
        + _states(plan.states),
    ]
    said: dict[tuple[str, str], list[str]] = {}
    for task, of_task in groupby(plan.cells, key=lambda cell: cell.task):
        lines += ["", f"{task} (base: {plan.bases[task]})"]
        for arm, cells in groupby(of_task, key=lambda cell: (cell.agent, cell.ablation)):
            listed = list(cells)
            changes = list(_differences(listed[0].changes))
            above = changes and said.get(arm) == changes
            said[arm] = changes
            lines.append(f"  {arm[0] if 'agent.kind' in listed[0].changes else arm[1]}" + " (as above)" * bool(above))
            lines += [] if above else [f"      {line}" for line in changes]
            lines += [f"    {cell.train_noise:<{wide}}  {_states(cell.states)}" for cell in listed]
    return "\n".join([*lines, "", *_money(plan)])


def _differences(changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """A line per change but the training noise, and but what vanishes with a part that is replaced."""
    replaced = tuple(path.removesuffix("kind") for path in changes if path.endswith(".kind"))
    for path, (old, new) in changes.items():
        if path != "train_noise" and not (new is None and path.startswith(replaced)):
            yield f"{path}: {_value(old)} -> {_value(new)}"


def _money(plan: Plan) -> Iterator[str]:
    if plan.spent.runs:
        yield f"spent: {_hours(plan.spent)} on {_count(plan.spent.runs, 'run')}"
    if not plan.left.runs:
        yield "left: nothing"
        return
    bound = "at most " if plan.left.bounded else ""
    yield f"left: {bound}{_hours(plan.left)} for {_count(plan.left.runs, 'run')}"
    for e in plan.estimates:
        source = f"measured on {_count(e.measured, 'finished run')}" if e.measured else "at most (resources.hours)"
        hours = f"{e.hours:.3g} h" if e.hours >= 1 else f"{e.hours * 60:.2g} min"
        yield f"  {e.task}, {e.agent}: {hours} a run, {source}"
    yield from (f"array: {array.text}" for array in plan.arrays)
    if plan.held_back:
        yield f"held back by the submit limit: {_count(plan.held_back, 'task')}"
    if plan.warning:
        yield f"warning: {plan.warning}"


def _hours(cost: Cost) -> str:
    cores, gpus = (f"{x:.0f}" if x >= 100 else f"{x:.2g}" for x in (cost.core_hours, cost.gpu_hours))
    return f"{cores} core-hours, {gpus} GPU-hours"


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _value(value: Any) -> str:
    return "absent" if value is None else str(value)
