"""Proof that every switch acts: each ablation's one step of learning beside the base's, on the same weights and batch.

For each file in `ablations/`: does anything differ where it says it acts, is nothing different where it says it does not,
and is everything bit-identical that it says it keeps?
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness import ablate, build, plugins, study

TASKS = {
    "images, discrete": Spec({"image": Space((16, 16, 3), "uint8")}, Space((), "int32", 5)),
    "vectors, continuous": Spec({"state": Space((3,), "float32"), "mode": Space((), "int32", 3)}, Space((2,), "float32")),
}
Measured = dict[str, tuple[Arrays, dict[str, float]]]  # {occasion: (arrays, metrics)}


def verify(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """One row per ablation: verdict, what differs from the base on each task and occasion, probes of both."""
    chosen = [name for name in ablate.names() if name != "none"] if names is None else list(names)
    return [_row(name) for name in chosen]


def _row(name: str) -> dict[str, Any]:
    acts_on, acts = ablate.where(name)
    tasks = {task: contrast(base(task), measure(name, task)) for task in TASKS}
    different = {task: any(not c["same"] for _, c in _contrasts(found)) for task, found in tasks.items()}
    touched = {m for found in tasks.values() for m, c in _contrasts(found) if not c["same"]}
    return {
        "ablation": name,
        "caption": ablate.caption(name),
        "changes": dict(ablate.changes(name)),
        "acts_on": acts_on,
        "inert": [task for task, spec in TASKS.items() if acts(spec) and not different[task]],
        "leaks": [task for task, spec in TASKS.items() if not acts(spec) and different[task]],
        "touched": sorted(m for m in touched if any(fnmatchcase(m, pattern) for pattern in ablate.keeps(name))),
        "tasks": tasks,
    }


def ok(row: Mapping[str, Any]) -> bool:
    return not (row["inert"] or row["leaks"] or row["touched"])


def measure(name: str, task: str) -> Measured:
    """What one step of the ablated agent is like."""
    run, spec = _run(name), TASKS[task]
    agent = build.agent(run, spec, device="cpu", threads=1)
    measured = plugins.load(f"agents.{run.agent.kind}", "probe").measure(agent, spec)
    drawn = {"replay": _drawn(build.replay(run, spec, agent))}
    return {occasion: (arrays | drawn, metrics) for occasion, (arrays, metrics) in measured.items()}


def _run(name: str) -> Any:
    """A small agent with an ablation; the task only lends its defaults."""
    return study.single("counter/vector", size="nano", ablation=name, changes={"env.envs": 1})


@cache
def base(task: str) -> Measured:
    return measure("none", task)


def _drawn(replay: Any) -> np.ndarray:
    """The items that a replay hands out after 200 steps."""
    for _ in range(200):
        replay.add({key: np.zeros((1, *space.shape), space.dtype) for key, space in replay.spaces.items()})
    return replay.sample(8, np.random.default_rng(0))[1]


def contrast(one: Measured, other: Measured) -> dict[str, Any]:
    """Sizes (root mean square) and probes side by side; None where absent.

    {occasion: {"measures": {name: {base, ablated, difference, same}}, "probes": {metric: [base, ablated]}}}
    """
    return {occasion: _side_by_side(*one[occasion], *other[occasion]) for occasion in one}


def _side_by_side(arrays: Arrays, metrics: dict[str, float], others: Arrays, probes: dict[str, float]) -> dict[str, Any]:
    return {
        "measures": {name: _pair(arrays.get(name), others.get(name)) for name in {**arrays, **others}},
        "probes": {name: [metrics.get(name), probes.get(name)] for name in {**metrics, **probes}},
    }


def _pair(one: np.ndarray | None, other: np.ndarray | None) -> dict[str, Any]:
    same = one is not None and other is not None and np.array_equal(one, other)
    comparable = one is not None and other is not None and one.shape == other.shape
    apart = _size(one.astype(np.float64) - other) / max(_size(one), 1e-300) if comparable else None
    return {"base": _size(one), "ablated": _size(other), "difference": apart, "same": same}


def _size(x: np.ndarray | None) -> float | None:
    """Root mean square."""
    return None if x is None else float(np.sqrt(np.mean(np.square(x.astype(np.float64)))))


def _contrasts(found: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return ((name, pair) for sides in found.values() for name, pair in sides["measures"].items())


def text(row: Mapping[str, Any]) -> str:
    """A row as a few lines: verdict, then per task what differs most, base -> ablated."""
    problems = [f"INERT on {task}" for task in row["inert"]] + [f"ACTS on {task}" for task in row["leaks"]]
    problems += [f"CHANGES {name}, which it says it keeps" for name in row["touched"]]
    lines = [f"{row['ablation']}: {'; '.join(problems) or 'acts on ' + row['acts_on']}"]
    for task, occasions in row["tasks"].items():
        for occasion, sides in occasions.items():
            lines.append(f"  {task}, {occasion}: {_differences(sides['measures'])}")
    return "\n".join(lines)


def _differences(pairs: Mapping[str, Mapping[str, Any]], most: int = 5) -> str:
    different = [(name, pair) for name, pair in pairs.items() if not pair["same"]]
    shown = [f"{name} {_number(pair['base'])} -> {_number(pair['ablated'])}{_apart(pair)}" for name, pair in different[:most]]
    return ", ".join(shown) + (f" and {len(different) - most} more" if len(different) > most else "") or "the same"


def _apart(pair: Mapping[str, Any]) -> str:
    """Where the sizes look alike: how far the arrays are from each other, as a share of the base's size."""
    alike = pair["difference"] is not None and _number(pair["base"]) == _number(pair["ablated"])
    return f" (apart by {_number(pair['difference'])})" if alike else ""


def _number(x: float | None) -> str:
    return "none" if x is None else f"{x:.4g}"
