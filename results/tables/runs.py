"""Runs: axes, state, step, final score, wall time and host of every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from results.reading.records import records

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

AXES = ["task", "agent", "ablation", "train_noise", "seed", "study", "preset", "size", "precision", "steps", "variant"]
COLUMNS = ["run", *AXES, "policy", "state", "step", "final_score", "final_rule", "wall_seconds", "host"]
COLUMNS += ["updates", "attempt", "message"]
SHEET_COLUMNS = ["run", "task", "agent", "ablation", "train_noise", "seed", "study", "size", "state", "step"]


def make(results: Results, rng: np.random.Generator, reps: int, confidence: float) -> pd.DataFrame:
    """One row per run with COLUMNS; `final_score` is a mean return and `final_rule` says of which episodes.

    `wall_seconds` is time at work, without the time between attempts. The options have no effect: nothing is random.
    """
    from results import style
    from results.reading import load
    from results.scoring.noises import noise_order

    table = load.with_final_scores(results).rename(columns={"train_seed": "seed"})
    table["_noise"] = table.train_noise.map(noise_order)
    table["_ablation"] = table.ablation.map(style.ablation_order)
    order = ["task", "agent", "_ablation", "_noise", "seed", "study", "size", "run", "path"]
    return table.sort_values(order, ignore_index=True)[COLUMNS]


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet: the axes, the progress and the score of every run, with the name of the score rule."""
    from results.tables import Sheet

    head = [*(name.replace("_", " ") for name in SHEET_COLUMNS), "final score", "of", "wall time", "host"]
    rows = [
        [
            *(str(run[name]) for name in SHEET_COLUMNS),
            *(_score(run["final_score"]), run["final_rule"] or "-", _clock(run["wall_seconds"]), run["host"]),
        ]
        for run in records(long)
    ]
    done = int((long.state == "done").sum())
    notes = [
        f"{done} of {len(long)} runs are done.",
        "Final score: mean return of one run. 'last checkpoint': its clean evaluation episodes, only if the run is done. 'last "
        "N training episodes': played under the training noise while still learning, and therefore not comparable.",
        "Wall time: time at work over all attempts, without the time between them, h:mm:ss.",
    ]
    return [Sheet("Runs", head, rows, notes)]


def _score(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"


def _clock(seconds: float) -> str:
    if seconds != seconds:
        return "-"
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
