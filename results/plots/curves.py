"""Learning curves: return of training episodes against environment frames, one panel per task, one line per setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from results.analyses.curves import Bins
    from results.reading.load import Results
    from results.reading.records import Record
    from results.scoring.cells import ScoreCell

COLUMNS = ["task", "panel", "kind", "series", "agent", "ablation", "train_noise", "train_seed", "x", "mean"]
COLUMNS += ["ci_low", "ci_high", "bin_low", "bin_high", "seeds", "of", "episodes", "mark", "axis", "note"]
COUNTS = ["train_seed", "bin_low", "bin_high", "seeds", "of", "episodes"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "variant"]
MOST_PANELS = 8  # of full size
MOST_LINES = 6  # in one panel; with more, every ablation has its own panel


def compute(
    results: Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    reference: Iterable[Path | str] = (),
) -> pd.DataFrame:
    """One row per mark of the figure with COLUMNS. Nothing is random: `rng` and `reps` have no effect.

    kind: `seed` a bin of one training run (mean return of its episodes), `curve` the mean over training runs of those
    means with Student's t interval over training runs, `stopped` where a run that is not done ends, `final` the clean
    evaluation of the last checkpoint, `random` play, `reference` the mean over the stored runs of others.
    x: environment frames. seeds, of: runs in the mark, and runs there are. mark: why a mark is incomplete.
    A reference without a point within the frames of the panel is a row without x and mean; its note says so.
    """
    import pandas as pd

    from results.analyses import curves
    from results.reading import load
    from results.reading.records import groups

    training_runs, repeats = curves.learning_runs(results)
    training_runs = _with_series_and_panels(training_runs)
    training, finals = curves.training_episodes(results, training_runs), curves.final_scores(results)
    stored = curves.reference_points(reference, training_runs.task.unique())
    left_out = curves.omissions(repeats, training)
    rows: list[Record] = []
    for task, runs in groups(training_runs, "task", sort=True):
        episodes = training[training.task == task].merge(runs[["path", "panel", "series"]], on="path")
        settings = set(runs[load.AXES].itertuples(index=False, name=None))
        task_finals = {key: final for key, final in finals.items() if key[: len(load.AXES)] in settings}
        last = max((frame for _, frame in task_finals.values()), default=0)
        bins = curves.Bins.of(episodes.drop_duplicates(["path", "frames"]), last)
        axis = _axis(episodes, bins)
        random = curves.random_score(task, (cell for cell, _ in finals.values()))
        for panel, panel_runs in groups(runs, "panel"):
            place = {"task": task, "panel": panel, "axis": axis}
            marks = [
                *_lines(panel_runs, left_out, episodes, bins, confidence),
                *_finals(panel_runs, task_finals, confidence),
                *_random(*random, bins),
                *_references(stored[stored.task == task], bins),
            ]
            rows += [place | mark for mark in marks]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table.astype(dict.fromkeys(COUNTS, "Int64"))  # whole numbers, also beside missing ones
    table[["mark", "note", "series"]] = table[["mark", "note", "series"]].fillna("")
    return table


def paint(marks: pd.DataFrame) -> Figure:
    """Two panels in a row, each as wide as a printed column, or four small ones if there are more than MOST_PANELS."""
    from results import style
    from results.plots import _lines, _page

    panels = list(marks.panel.unique())
    is_small = len(panels) > MOST_PANELS
    looks = style.looks_of(marks[marks.kind.isin(["curve", "final", "stopped"])].series.unique())
    looks |= style.looks_of_stored(marks[marks.kind == "reference"].series.unique())

    def paint_panel(ax: Axes, panel: str) -> None:
        of_panel = marks[marks.panel == panel]
        _lines.panel(ax, of_panel, panel, looks, marks[marks.task == of_panel.task.iloc[0]])
        if is_small:
            _lines.shorten_labels(ax, panels.index(panel) % 4 == 0)

    columns, width, height = (4, 2 * style.COLUMN, 1.5) if is_small else (2, 0, 2.4)
    return _page.page(panels, paint_panel, _lines.caption(marks, is_small), height, columns, width)


def _with_series_and_panels(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `series`, named by the axes that vary within a task, and `panel`: the task, and the ablation if lines are many."""
    from results import style
    from results.reading.records import records

    axes = ["agent", *SETTINGS, "ablation", "train_noise"]
    varying = [name for name in axes if runs.groupby("task")[name].nunique().max() > 1] or ["agent"]
    lines = runs[["task", *axes]].drop_duplicates().groupby("task").size()
    split = lines.max() > MOST_LINES and runs.ablation.nunique() > 1
    naming = [name for name in varying if not (split and name == "ablation")] or ["agent"]
    self_explaining = {"agent", "ablation", "train_noise", "study", "variant"}

    def series(run: Record) -> str:
        parts = [str(run[axis]) if axis in self_explaining else f"{axis} {run[axis]}" for axis in naming]
        return ", ".join(part for part in parts if part) or run["agent"]

    rows = records(runs)
    panels = [f"{run['task']}: {run['ablation']}" if split else run["task"] for run in rows]
    runs = runs.assign(series=[series(run) for run in rows], panel=panels)
    return style.in_reading_order(runs, ["task", "agent", "ablation", *SETTINGS, "train_noise", "train_seed"])


def _axis(episodes: pd.DataFrame, bins: Bins) -> str:
    """`environment frames (= 4 x policy steps), means over bins of 10000`."""
    steps = episodes[episodes.step > 0]
    repeats = (steps.frames / steps.step).unique()
    ratio = f"{repeats[0]:g} × " if len(repeats) == 1 and repeats[0] != 1 else ""
    unit = f"environment frames (= {ratio}policy steps)" if len(repeats) == 1 else "environment frames"
    return f"{unit}, bins of {bins.width:,}"


def _lines(
    runs: pd.DataFrame, left_out: Mapping[tuple[Any, ...], str], episodes: pd.DataFrame, bins: Bins, confidence: float
) -> Iterator[Record]:
    """Per setting its runs, their mean, and the ends of unfinished runs."""
    from results.analyses import curves
    from results.reading import load
    from results.reading.records import records, tuple_groups

    for key, of_setting in tuple_groups(runs, load.AXES):
        place = _place(of_setting)
        seeds = curves.bin_runs(episodes[episodes.path.isin(of_setting.path)], ["train_seed"], bins)
        for seed in records(seeds):
            yield place | seed | {"kind": "seed"}
        for mean in records(curves.mean_over_seeds(seeds, len(of_setting), confidence)):
            name = f"{100 * confidence:g} % t-seeds" if mean["seeds"] > 1 else "one training run"
            yield place | mean | {"kind": "curve", "mark": _missing(mean), "note": name + left_out[key]}
        for run in records(of_setting[~of_setting.done]):
            last = seeds[seeds.train_seed == run["train_seed"]].tail(1)
            point = {"x": last.x.iloc[0], "mean": last["mean"].iloc[0]} if len(last) else {}
            note = f"{run['state']} at step {run['step']} of {run['steps']}"
            note += "" if len(last) else ", no training episode yet"
            yield place | point | {"kind": "stopped", "train_seed": run["train_seed"], "mark": "not done", "note": note}


def _place(runs: pd.DataFrame) -> Record:
    """The axes that the runs of one setting share."""
    return {name: runs.iloc[0][name] for name in ("series", "agent", "ablation", "train_noise")}


def _finals(runs: pd.DataFrame, finals: Mapping[tuple[Any, ...], tuple[ScoreCell, int]], confidence: float) -> Iterator[Record]:
    """The clean evaluation of the last checkpoint: the mean over runs that are done, with their t interval."""
    from results.reading import load
    from results.reading.records import tuple_groups
    from results.statistics import intervals

    for key, of_setting in tuple_groups(runs, load.AXES):
        for (*setting, policy), (cell, frame) in finals.items():
            if tuple(setting) != key:
                continue
            mean, low, high = intervals.mean_interval(cell.seed_means, confidence)
            counts = {"seeds": len(cell.seeds), "of": len(of_setting), "episodes": sum(map(len, cell.returns.values()))}
            point = {"kind": "final", "x": float(frame), "mean": mean, "ci_low": low, "ci_high": high}
            yield _place(of_setting) | point | counts | {"mark": _missing(counts), "note": f"policy {policy}"}


def _random(score: float, source: str, bins: Bins) -> Iterator[Record]:
    """Both ends of the line of random play; nothing if its score is unknown."""
    if source:
        name = "random agent" + ("" if source == "runs" else " (stored score)")
        yield from ({"kind": "random", "series": name, "x": float(x), "mean": score, "note": source} for x in (0, bins.end))


def _references(points: pd.DataFrame, bins: Bins) -> Iterator[Record]:
    """Mean over the stored runs of each method, in the same bins and only up to our last frame."""
    from results.analyses import curves
    from results.reading.records import records, tuple_groups

    for (label, file), stored in tuple_groups(points, ["label", "file"], sort=True):
        within = stored[stored.frames <= bins.end]
        nulls, runs = int(within["return"].isna().sum()), stored.seed.nunique()
        place = {"kind": "reference", "series": label, "of": runs}
        note = file + (f"; {nulls} nulls left out" if nulls else "")
        binned = curves.bin_runs(within, ["seed"], bins)
        if binned.empty:
            first = stored[stored["return"].notna()].frames.min()
            yield place | {"seeds": 0, "note": f"{note}; no point up to frame {bins.end}, the first is at {first:g}"}
        means = curves.mean_over_seeds(binned, runs, 0.95).drop(columns=["ci_low", "ci_high"])
        for mean in records(means):
            yield place | mean | {"mark": _missing(mean), "note": note}


def _missing(mark: Record) -> str:
    return "runs missing" if mark["seeds"] < mark["of"] else ""
