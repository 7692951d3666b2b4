"""A plan as a page of text, at most about 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from harness.plan import Cost, PlanCell, StudyPlan


def plan_to_text(plan: StudyPlan) -> str:
    """The whole page: a head, per task its arms with what each changes, and the cost that remains."""
    seeds = ", ".join(map(str, plan.seeds)) if len(plan.seeds) < 10 else f"{plan.seeds[0]} to {plan.seeds[-1]}"
    lines = [
        *textwrap.wrap(f"{plan.name}: {plan.description}".removesuffix(": "), 90, subsequent_indent="  "),
        f"{_count(sum(plan.states.values()), 'run')} in {_count(len(plan.cells), 'cell')} ({plan.design}; seeds {seeds}): "
        + _states(plan.states),
    ]
    width = max(len(cell.train_noise) for cell in plan.cells)
    printed_changes: dict[tuple[str, str], list[str]] = {}
    for task, task_cells in groupby(plan.cells, key=lambda cell: cell.task):
        lines += ["", f"{task} (base: {plan.bases[task]})", *(f"  {line}" for line in plan.views.get(task, ()))]
        lines += _arms(task_cells, width, printed_changes)
    return "\n".join([*lines, "", *_cost_lines(plan)])


def _arms(cells: Iterable[PlanCell], width: int, printed_changes: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    """The arms of one task. What an arm changes is printed once where it is the same in several tasks."""
    for arm, arm_cells in groupby(cells, key=lambda cell: (cell.agent, cell.ablation)):
        rows = list(arm_cells)
        changes = list(_change_lines(rows[0].changes))
        repeated = bool(changes) and printed_changes.get(arm) == changes
        printed_changes[arm] = changes
        yield f"  {arm[0] if 'agent.kind' in rows[0].changes else arm[1]}" + " (as above)" * repeated
        yield from () if repeated else (f"      {line}" for line in changes)
        yield from (f"    {cell.train_noise:<{width}}  {_states(cell.states)}" for cell in rows)


def _change_lines(changes: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """A line per change, without the training noise and without settings that vanish with a part that is replaced."""
    replaced = tuple(path.removesuffix("kind") for path in changes if path.endswith(".kind"))
    for path, (old, new) in changes.items():
        if path != "train_noise" and not (new is None and path.startswith(replaced)):
            yield f"{path}: {_value(old)} -> {_value(new)}"


def _cost_lines(plan: StudyPlan) -> Iterator[str]:
    yield from (f"notice: {notice}." for notice in plan.notices)
    if plan.past_cost.runs:
        yield f"spent: {_hours(plan.past_cost)} on {_count(plan.past_cost.runs, 'run')}"
    if not plan.remaining_cost.runs:
        yield "left: nothing"
        return
    bound = "at most " if plan.remaining_cost.bounded else ""
    yield f"left: {bound}{_hours(plan.remaining_cost)} for {_count(plan.remaining_cost.runs, 'run')}"
    for estimate in plan.estimates:
        measured = f"measured on {_count(estimate.measured, 'finished run')}"
        hours = f"{estimate.hours:.3g} h" if estimate.hours >= 1 else f"{estimate.hours * 60:.2g} min"
        source = measured if estimate.measured else "at most (resources.hours)"
        yield f"  {estimate.task}, {estimate.agent}: {hours} a run, {source}"
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _value(value: object) -> str:
    return "absent" if value is None else str(value)
