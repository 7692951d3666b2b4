"""Learning curves: return of training episodes against environment frames, one panel per task, one line per setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from results.analyses.curves import Bins
    from results.reading.load import Results

COLUMNS = ["task", "panel", "kind", "series", "agent", "ablation", "train_noise", "train_seed", "x", "mean"]
COLUMNS += ["ci_low", "ci_high", "bin_low", "bin_high", "seeds", "of", "episodes", "mark", "axis", "note"]
COUNTS = ["train_seed", "bin_low", "bin_high", "seeds", "of", "episodes"]
SETTINGS = ["study", "preset", "size", "precision", "steps", "variant"]
MOST_PANELS = 8  # of full size
MOST_LINES = 6  # in one panel; more are split into one panel per ablation


def draw(results: Results, rng: np.random.Generator, **options: object) -> Figure:
    """Compute and paint in one call."""
    return paint(compute(results, rng, **options))


def compute(
    results: Results,
    rng: np.random.Generator,
    reps: int = 50_000,
    confidence: float = 0.95,
    reference: Iterable[Path | str] = (),
) -> pd.DataFrame:
    """One row per mark of the figure with COLUMNS. Nothing is random here; `rng` and `reps` change nothing.

    kind: `seed` a bin of one training run (mean return of its episodes), `curve` the mean over training runs of those
    means with Student's t interval over training runs, `stopped` where a run that is not done ends, `final` the clean
    evaluation of the last checkpoint, `random` play, `reference` the mean over the stored runs of others.
    x: environment frames. seeds, of: runs in the mark, and runs there are. mark: why a mark is incomplete.
    A reference without a point within the panel's frames is a row without x and mean, whose note says so.
    """
    import pandas as pd

    from results.analyses import curves
    from results.reading import load

    chosen, repeats = curves.learning_runs(results)
    chosen = _titled(chosen)
    training, finals = curves.training_episodes(results, chosen), curves.final_scores(results)
    stored = curves.reference_points(reference, chosen.task.unique())
    left_out, rows = curves.omissions(repeats, training), []
    for task, runs in chosen.groupby("task", sort=True):
        episodes = training[training.task == task].merge(runs[["path", "panel", "series"]], on="path")
        keys = [key for key in finals if key[: len(load.AXES)] in set(runs[load.AXES].itertuples(index=False, name=None))]
        bins = curves.Bins.of(episodes.drop_duplicates(["path", "frames"]), max((finals[key][1] for key in keys), default=0))
        axis = _axis(episodes, bins)
        random = curves.random_score(task, (cell for cell, _ in finals.values()))
        for panel, shown in runs.groupby("panel", sort=False):
            place = {"task": task, "panel": panel, "axis": axis}
            marks = [
                *_lines(shown, left_out, episodes, bins, confidence),
                *_finals(shown, {key: finals[key] for key in keys}, confidence),
                *_random(*random, bins),
                *_references(stored[stored.task == task], bins),
            ]
            rows += [place | mark for mark in marks]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table.astype(dict.fromkeys(COUNTS, "Int64"))  # whole numbers, whatever stands beside them
    table[["mark", "note", "series"]] = table[["mark", "note", "series"]].fillna("")
    return table


def paint(drawn: pd.DataFrame) -> Figure:
    """Two panels abreast, each as wide as a printed column, or four small ones where there are more than MOST_PANELS."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from results import style
    from results.plots import _lines, _panels

    panels = list(drawn.panel.unique())
    small = len(panels) > MOST_PANELS
    columns = 4 if small else min(2, len(panels))
    height, wide = -(-len(panels) // columns), min(2, columns)
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(style.COLUMN * wide, (1.5 if small else 2.4) * height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(height, columns, squeeze=False).ravel()
        looks = style.colours(drawn[drawn.kind.isin(["curve", "final", "stopped"])].series.unique())
        looks |= style.stored(drawn[drawn.kind == "reference"].series.unique())
        for ax, panel in zip(axes, panels, strict=False):
            marks = drawn[drawn.panel == panel]
            _lines.panel(ax, marks, panel, looks, drawn[drawn.task == marks.task.iloc[0]])
        for ax in axes[len(panels) :]:
            ax.remove()
        if small:
            _lines.shrink(axes[: len(panels)], columns)
        _panels.foot(figure, list(axes[: len(panels)]), _lines.caption(drawn, wide, small))
    return figure


def _titled(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `series`, named by what varies within a task, and `panel`: the task, by ablation where there are many lines."""
    from results import style
    from results.scoring.noises import noise_order

    axes = ["agent", *SETTINGS, "ablation", "train_noise"]
    varying = [name for name in axes if runs.groupby("task")[name].nunique().max() > 1] or ["agent"]
    split = runs.groupby("task")[axes].apply(lambda some: len(some.drop_duplicates())).max() > MOST_LINES
    split = split and runs.ablation.nunique() > 1
    naming = [name for name in varying if not (split and name == "ablation")] or ["agent"]
    bare = {"agent", "ablation", "train_noise", "study", "variant"}

    def name(run: dict) -> str:
        parts = [str(run[axis]) if axis in bare else f"{axis} {run[axis]}" for axis in naming]
        return ", ".join(part for part in parts if part) or run["agent"]

    records = runs.to_dict("records")
    titles = [f"{run['task']}: {run['ablation']}" if split else run["task"] for run in records]
    runs = runs.assign(series=[name(run) for run in records], panel=titles)
    orders = {"ablation": style.ablation_order, "train_noise": noise_order}
    rank = runs[["task", "agent", "ablation", *SETTINGS, "train_noise", "train_seed"]]
    rank = rank.apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    return runs.loc[rank.sort_values(list(rank.columns), kind="stable").index]


def _axis(episodes: pd.DataFrame, bins: Bins) -> str:
    """`environment frames (= 4 x policy steps), means over bins of 10000`."""
    steps = episodes[episodes.step > 0]
    repeats = (steps.frames / steps.step).unique()
    ratio = f"{repeats[0]:g} × " if len(repeats) == 1 and repeats[0] != 1 else ""
    unit = f"environment frames (= {ratio}policy steps)" if len(repeats) == 1 else "environment frames"
    return f"{unit}, bins of {bins.width:,}"


def _lines(
    runs: pd.DataFrame, left_out: dict[tuple, str], episodes: pd.DataFrame, bins: Bins, confidence: float
) -> Iterator[dict]:
    """Per setting its runs, their mean, and the ends of those that are not done."""
    from results.analyses import curves
    from results.reading import load

    for key, of_setting in runs.groupby(load.AXES, sort=False):
        first = of_setting.iloc[0]
        place = {name: first[name] for name in ("series", "agent", "ablation", "train_noise")}
        own = episodes[episodes.path.isin(of_setting.path)]
        seeds = curves.bin_runs(own, ["train_seed"], bins)
        for seed in seeds.to_dict("records"):
            yield place | seed | {"kind": "seed"}
        for mean in curves.mean_over_seeds(seeds, len(of_setting), confidence).to_dict("records"):
            name = f"{100 * confidence:g} % t-seeds" if mean["seeds"] > 1 else "one training run"
            yield place | mean | {"kind": "curve", "mark": _missing(mean), "note": name + left_out[key]}
        for run in of_setting[~of_setting.done].to_dict("records"):
            last = seeds[seeds.train_seed == run["train_seed"]].tail(1)
            at = {"x": last.x.iloc[0], "mean": last["mean"].iloc[0]} if len(last) else {}
            note = f"{run['state']} at step {run['step']} of {run['steps']}" + (
                "" if len(last) else ", no training episode yet"
            )
            yield place | at | {"kind": "stopped", "train_seed": run["train_seed"], "mark": "not done", "note": note}


def _finals(runs: pd.DataFrame, finals: dict, confidence: float) -> Iterator[dict]:
    """The clean evaluation of the last checkpoint: the mean over runs that are done, with their t interval."""
    from results.reading import load
    from results.statistics import intervals

    for key, of_setting in runs.groupby(load.AXES, sort=False):
        for group, (cell, frame) in finals.items():
            if group[:-1] != key:
                continue
            mean, low, high = intervals.mean_interval(cell.seed_means, confidence)
            counts = {"seeds": len(cell.seeds), "of": len(of_setting), "episodes": sum(map(len, cell.returns.values()))}
            place = {name: of_setting.iloc[0][name] for name in ("series", "agent", "ablation", "train_noise")}
            at = {"kind": "final", "x": float(frame), "mean": mean, "ci_low": low, "ci_high": high}
            yield place | at | counts | {"mark": _missing(counts), "note": f"policy {group[-1]}"}


def _random(score: float, source: str, bins: Bins) -> Iterator[dict]:
    """Both ends of the line of random play; nothing where its score is not known."""
    if source:
        name = "random agent" + ("" if source == "runs" else " (stored score)")
        yield from ({"kind": "random", "series": name, "x": float(x), "mean": score, "note": source} for x in (0, bins.end))


def _references(points: pd.DataFrame, bins: Bins) -> Iterator[dict]:
    """Mean over the stored runs of each method, in the same bins and no further than ours go."""
    from results.analyses import curves

    for (label, file), own in points.groupby(["label", "file"], sort=True):
        within = own[own.frames <= bins.end]
        nulls, of = int(within["return"].isna().sum()), own.seed.nunique()
        place = {"kind": "reference", "series": label, "of": of}
        note = file + (f"; {nulls} nulls left out" if nulls else "")
        binned = curves.bin_runs(within, ["seed"], bins)
        if binned.empty:
            first = own[own["return"].notna()].frames.min()
            yield place | {"seeds": 0, "note": f"{note}; no point up to frame {bins.end}, the first is at {first:g}"}
        means = curves.mean_over_seeds(binned, of, 0.95).drop(columns=["ci_low", "ci_high"])
        for mean in means.to_dict("records"):
            yield place | mean | {"mark": _missing(mean), "note": note}


def _missing(mark: dict) -> str:
    return "runs missing" if mark["seeds"] < mark["of"] else ""
