"""Proof that every switch acts: one step of learning with each ablation beside the base's, on the same weights and batch.

For each file in `ablations/`: does anything differ on the tasks of its scope, is nothing different elsewhere, and is
everything bit-identical that it declares invariant?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, TypedDict

import numpy as np

from agents.protocol import Arrays, Space, Spec
from harness import ablate, build, plugins, study
from harness.ablate import Ablation
from harness.replay import Replay

TASKS = {
    "images, discrete": Spec({"image": Space((16, 16, 3), "uint8")}, Space((), "int32", 5)),
    "vectors, continuous": Spec({"state": Space((3,), "float32"), "mode": Space((), "int32", 3)}, Space((2,), "float32")),
}
Measures = dict[str, tuple[Arrays, dict[str, float]]]  # {regime: (arrays, metrics)}


class MeasurePair(TypedDict):
    """Sizes (root mean square) of one measure, of the base and ablated. None where absent.

    difference: how far the two are apart, as a share of the base's size. same: whether they are bit-identical.
    """

    base: float | None
    ablated: float | None
    difference: float | None
    same: bool


class Comparison(TypedDict):
    """The two agents on one task and regime. probes: metric -> (base, ablated)."""

    measures: dict[str, MeasurePair]
    probes: dict[str, list[float | None]]


class Verdict(TypedDict):
    """One ablation, as `verify-switches --json` prints it.

    inert: tasks of its scope where nothing differs. leaks: tasks outside where something does. touched: measures that
    differ though it declares them invariant. tasks: task -> regime -> comparison.
    """

    ablation: str
    caption: str
    changes: dict[str, Any]
    acts_on: str
    inert: list[str]
    leaks: list[str]
    touched: list[str]
    tasks: dict[str, dict[str, Comparison]]


def verify_ablation(name: str) -> Verdict:
    """What differs from the base on each task and regime, and whether that is what the ablation declares."""
    ablation = ablate.parse(name)
    scope, invariant = ablate.scope(ablation), ablate.invariant(ablation)
    tasks = {task: compare_measures(_base_measures(task), measure_step(ablation, task)) for task in TASKS}
    differences = {
        task: {measure for measure, pair in _pairs(comparisons) if not pair["same"]} for task, comparisons in tasks.items()
    }
    touched = {measure for measures in differences.values() for measure in measures}
    return {
        "ablation": name,
        "caption": ablate.caption(ablation),
        "changes": ablation.changes,
        "acts_on": scope.description,
        "inert": [task for task, spec in TASKS.items() if scope.covers(spec) and not differences[task]],
        "leaks": [task for task, spec in TASKS.items() if not scope.covers(spec) and differences[task]],
        "touched": sorted(measure for measure in touched if any(fnmatchcase(measure, pattern) for pattern in invariant)),
        "tasks": tasks,
    }


def passes(verdict: Verdict) -> bool:
    """Whether the ablation acts as it declares: not inert, no leaks, nothing invariant touched."""
    return not (verdict["inert"] or verdict["leaks"] or verdict["touched"])


def measure_step(ablation: Ablation, task: str) -> Measures:
    """Arrays and metrics of one step of the ablated agent."""
    spec = TASKS[task]
    run = study.single("counter/vector", size="nano", ablation=ablation, changes={"env.envs": 1})  # the task lends its defaults
    agent = build.agent(run, spec, device="cpu", threads=1)
    measures = plugins.load(f"agents.{run.agent.kind}", "probe").measure(agent, spec)
    sampled = {"replay": _sampled_items(build.replay(run, spec, agent))}
    return {regime: (arrays | sampled, metrics) for regime, (arrays, metrics) in measures.items()}


@cache
def _base_measures(task: str) -> Measures:
    return measure_step(ablate.UNCHANGED, task)


def _sampled_items(replay: Replay) -> np.ndarray:
    """The items that a replay samples after 200 steps."""
    for _ in range(200):
        replay.add({key: np.zeros((1, *space.shape), space.dtype) for key, space in replay.spaces.items()})
    return replay.sample(8, np.random.default_rng(0))[1]


def compare_measures(base: Measures, ablated: Measures) -> dict[str, Comparison]:
    """Regime -> the measures and probes of both, side by side."""
    return {regime: _side_by_side(base[regime], ablated[regime]) for regime in base}


def _side_by_side(base: tuple[Arrays, dict[str, float]], ablated: tuple[Arrays, dict[str, float]]) -> Comparison:
    (arrays, metrics), (ablated_arrays, ablated_metrics) = base, ablated
    return {
        "measures": {name: _pair(arrays.get(name), ablated_arrays.get(name)) for name in {**arrays, **ablated_arrays}},
        "probes": {name: [metrics.get(name), ablated_metrics.get(name)] for name in {**metrics, **ablated_metrics}},
    }


def _pair(base: np.ndarray | None, ablated: np.ndarray | None) -> MeasurePair:
    base_size, ablated_size = (None if x is None else _root_mean_square(x) for x in (base, ablated))
    pair: MeasurePair = {"base": base_size, "ablated": ablated_size, "difference": None, "same": False}
    if base is not None and ablated is not None:
        pair["same"] = bool(np.array_equal(base, ablated))
        pair["difference"] = _relative_distance(base, ablated) if base.shape == ablated.shape else None
    return pair


def _relative_distance(base: np.ndarray, ablated: np.ndarray) -> float:
    distance, size = _root_mean_square(base.astype(np.float64) - ablated), _root_mean_square(base)
    return distance / max(size, 1e-300)


def _root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x.astype(np.float64)))))


def _pairs(comparisons: Mapping[str, Comparison]) -> Iterator[tuple[str, MeasurePair]]:
    for sides in comparisons.values():
        yield from sides["measures"].items()


def verdict_to_text(verdict: Verdict) -> str:
    """A verdict as a few lines: what is wrong, then per task what differs most, base -> ablated."""
    problems = [f"INERT on {task}" for task in verdict["inert"]] + [f"ACTS on {task}" for task in verdict["leaks"]]
    problems += [f"CHANGES {name}, which it declares invariant" for name in verdict["touched"]]
    lines = [f"{verdict['ablation']}: {'; '.join(problems) or 'acts on ' + verdict['acts_on']}"]
    for task, comparisons in verdict["tasks"].items():
        for regime, sides in comparisons.items():
            lines.append(f"  {task}, {regime}: {_differences_to_text(sides['measures'])}")
    return "\n".join(lines)


def _differences_to_text(pairs: Mapping[str, MeasurePair], most: int = 5) -> str:
    different = [(name, pair) for name, pair in pairs.items() if not pair["same"]]
    listing = [
        f"{name} {_number(pair['base'])} -> {_number(pair['ablated'])}{_distance(pair)}" for name, pair in different[:most]
    ]
    return ", ".join(listing) + (f" and {len(different) - most} more" if len(different) > most else "") or "the same"


def _distance(pair: MeasurePair) -> str:
    """Where the sizes look alike: how far the arrays are from each other, as a share of the base's size."""
    alike = pair["difference"] is not None and _number(pair["base"]) == _number(pair["ablated"])
    return f" (apart by {_number(pair['difference'])})" if alike else ""


def _number(x: float | None) -> str:
    return "none" if x is None else f"{x:.4g}"
