"""DreamerV3's log layout: BENCHMARK/dreamproof-TASK-METHOD-SEED/scores.jsonl, which its plot.py reads.

One line {step, episode/score} per training episode. `step` counts environment frames; a null stays null. The layout has no
place for evaluation episodes; they are counted. Ablation and training noise become part of the method's name.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.reading.load import Results


def write(results: Results, out: Path) -> str:
    """BadInput if two runs would have the same folder."""
    from harness.errors import BadInput
    from results.importers.dreamerv3 import SCORE, STEP
    from results.reading.records import records

    training = dict(iter(results.episodes[results.episodes.split == "train"].groupby("path")))
    folders: dict[Path, str] = {}
    for run in records(results.runs):
        folder = out / _folder(run)
        if folder in folders:
            raise BadInput(f"{run['path']} and {folders[folder]} would both become {folder}: export them one by one.")
        folders[folder] = run["path"]
    rows = 0
    for folder, path in folders.items():
        if path not in training:
            continue
        points = training[path].sort_values(["frames", "episode"])
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps({STEP: _whole(x), SCORE: None if math.isnan(y) else y})
            for x, y in zip(points.frames, points["return"], strict=True)
        ]
        (folder / "scores.jsonl").write_text("".join(line + "\n" for line in lines))
        rows += len(lines)
    without = len(folders) - len(training)
    evaluations = len(results.episodes) - rows
    text = f"{len(training)} runs, {rows} training episodes"
    text += f"; left out: {evaluations} evaluation episodes" if evaluations else ""
    return text + (f"; left out: {without} runs without a training episode" if without else "")


def _folder(run: dict[str, Any]) -> Path:
    """`atari100k/dreamproof-atari_asterix-dreamer-0`; a dash separates parts, so that the parts have none."""
    from harness.names import check_name
    from results import benchmarks

    suite, _, name = run["task"].partition("/")
    benchmark = next((key for key, protocol in benchmarks.registry().items() if protocol.suite == suite), run["study"])
    prefix = {"atari100k": "atari", "dmc_vision": "dmc"}.get(suite, suite)
    changes = [part for part in (run["ablation"], run["train_noise"], run["variant"]) if part not in ("none", "clean", "")]
    parts = (f"{prefix}_{name}" if name else suite, ".".join([run["agent"], *changes]), str(run["train_seed"]))
    folder = Path(check_name(benchmark.replace("/", "-"), "the study", run["path"]))
    return folder / "-".join(["dreamproof", *(re.sub(r"[^\w.+=:]+", "_", part) for part in parts)])


def _whole(value: float) -> float:
    return int(value) if value == int(value) else float(value)
