"""Writes a study of synthetic runs of any size: loading, caching and tables are measured on it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import catalogue, provenance, study
from harness.noise import parse
from harness.rundir import RunDir, write_json

if TYPE_CHECKING:
    from harness.config import RunConfig

SUITES = ("atari100k", "atari", "dmc", "dmc_vision")
TASKS = 100
ABLATIONS = ("none", "no_unimix", "no_free_bits", "no_symlog", "no_return_norm")
NOISES = ("clean", "gaussian:sigma=5", "gaussian:sigma=10", "gaussian:sigma=20")
STEPS = 100_000


def write_study(root: Path, runs: int, rows: int) -> int:
    """Write `runs` finished runs with `rows` evaluation episodes each, seeds innermost -> their size in bytes.

    100 tasks of several suites x 5 ablations x 2 training noises x as many seeds as it takes: ten methods.
    """
    tasks = [row["name"] for row in catalogue.list_rows("tasks") if row["name"].split("/")[0] in SUITES][:TASKS]
    base = study.single(tasks[0], size="12m", steps=STEPS, evaluate={"noise": list(NOISES), "episodes": rows // len(NOISES)})
    origin, size = provenance.collect(command=["dreamproof", "run", "grid"]), 0
    seeds = -(-runs // (len(tasks) * len(ABLATIONS) * 2))
    axes = itertools.product(tasks, ABLATIONS, NOISES[:2], range(seeds))
    for number, (task, ablation, noise, seed) in enumerate(itertools.islice(axes, runs)):
        cell = {"study": "grid", "task": task, "ablation": ablation, "train_noise": parse(noise), "seed": seed}
        size += _write_run(root / "grid", base.model_copy(update=cell), origin, number, rows)
    return size


def _write_run(folder: Path, config: RunConfig, origin: dict[str, Any], number: int, rows: int) -> int:
    run = RunDir.create(folder / config.run_id, config.dump(), sync=False)
    write_json(run.path / "provenance.json", origin, sync=False)
    run.set_state(sync=False, state="done", step=STEPS, updates=STEPS, attempt=1, started=1.0)
    (run.path / "episodes.jsonl").write_text("".join(_row_lines(config, number, rows)))
    run.mark_done()
    return sum(file.stat().st_size for file in run.path.iterdir())


def _row_lines(config: RunConfig, number: int, rows: int) -> list[str]:
    """Evaluation episodes, equally many per noise, with returns that differ between settings, runs and episodes."""
    rng = np.random.default_rng([number])
    level = 500 + 30 * ABLATIONS.index(config.ablation) + 40 * rng.normal()
    common = {"split": "eval", "step": STEPS, "frames": 4 * STEPS, "updates": STEPS, "task": config.task}
    lines = []
    for i in range(rows):
        noise = NOISES[i % len(NOISES)]
        score = round(level - 60 * NOISES.index(noise) + 90 * rng.normal())
        episode = {"noise": noise, "episode": i // len(NOISES), "seed": 2**30 + i // len(NOISES), "return": float(score)}
        outcome = {"length": 900 + i, "terminated": True, "truncated": False, "policy": "sample", "seconds": 3600.0 + i}
        lines.append(json.dumps(common | episode | outcome) + "\n")
    return lines
