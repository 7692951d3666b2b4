"""Learning: return of the first and the last tenth of training episodes, beside random play, final score and references."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.tables import Sheet

Number = dict[str, Any]  # a row of the long form
SETTINGS = ["study", "preset", "size", "precision", "steps", "variant"]
COLUMNS = ["task", "agent", "ablation", "train_noise", "measure", "seeds", "of", "episodes", "frames_low", "frames_high"]
COLUMNS += ["mean", "ci_low", "ci_high", "interval", "source", *SETTINGS, "flags"]
COUNTS = ["seeds", "of", "episodes", "frames_low", "frames_high"]
FIRST, LAST = "first tenth", "last tenth"


def make(
    results: Results,
    rng: np.random.Generator,
    reps: int,
    confidence: float,
    reference: Iterable[Path | str] = (),
) -> pd.DataFrame:
    """One row per number with COLUMNS; nothing is random here, `rng` and `reps` change nothing.

    measure: `first tenth` and `last tenth` of each run's training episodes (ceil(n / 10) of n, in order of frames),
    played under the training noise; `random` play; `final` clean evaluation of the last checkpoint; `reference`: points
    of a stored method at the frames of the last tenth. mean: over runs of per-run means. Only runs that are done count:
    the tenth of half a run lies elsewhere. ci_low, ci_high: Student's t over training runs. frames: (low, high].
    """
    import pandas as pd

    from results import style
    from results.analyses import curves
    from results.reading import load
    from results.scoring.noises import noise_order

    chosen, repeats = curves.runs(results)
    training, finals = curves.training(results, chosen), curves.finals(results)
    stored = dict(list(curves.stored(reference, chosen.task.unique()).groupby("task")))
    randoms = {task: curves.random_score(task, (cell for cell, _ in finals.values())) for task in chosen.task.unique()}
    left_out, tenths = curves.left_out(repeats, training), _tenths(training)
    measured, rows = defaultdict(list), []
    for group, final in finals.items():
        measured[group[:-1]].append(final)
    records = chosen.sort_values([*load.AXES, "train_seed"]).to_dict("records")
    for key, some in groupby(records, key=itemgetter(*load.AXES)):
        place, runs = dict(zip(load.AXES, key, strict=True)), list(some)
        flags = _flags(runs) + left_out[key]
        done = [tenths[run["path"]] for run in runs if run["done"] and run["path"] in tenths]
        numbers = list(_learned(done, len(runs), confidence))
        numbers += _random(*randoms[place["task"]])
        numbers += [_final(*final, len(runs), confidence) for final in measured[key]]
        if place["task"] in stored:
            numbers += _references(stored[place["task"]], numbers[1], confidence)
        rows += [place | {"flags": flags} | number for number in numbers]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))
    orders = {"ablation": style.ablation_order, "train_noise": noise_order}
    rank = table[["task", "agent", "ablation", "train_noise", *SETTINGS]]
    rank = rank.apply(lambda column: column.map(orders[column.name]) if column.name in orders else column)
    return table.loc[rank.sort_values(list(rank.columns), kind="stable").index].reset_index(drop=True)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """Per task one sheet, a row per setting and a column per measure."""
    from results.tables import Sheet

    tasks = ((task, list(rows)) for task, rows in groupby(long.to_dict("records"), key=itemgetter("task")))
    return [Sheet(f"{task}: learning", *_sheet(rows), _notes(rows)) for task, rows in tasks]


def _flags(runs: list[dict[str, Any]]) -> str:
    """`one_seed;unfinished:1`: what a reader of the setting's numbers must be told."""
    done = sum(run["done"] for run in runs)
    flags = ["one_seed"] if done == 1 else []
    return ";".join(flags + ([f"unfinished:{len(runs) - done}"] if done < len(runs) else []))


def _tenths(training: pd.DataFrame) -> dict[str, dict[str, tuple[float, int, int, int]]]:
    """Path of a run -> of its first and its last tenth mean, number of episodes, frames (low, high]. Rows in order."""
    import numpy as np

    finite = training[np.isfinite(training["return"])]
    returns, frames = finite["return"].to_numpy(), finite.frames.to_numpy()
    starts = np.flatnonzero(~finite.path.duplicated().to_numpy()).tolist()
    found = {}
    for path, (start, end) in zip(finite.path.iloc[starts], pairwise([*starts, len(finite)]), strict=True):
        tenth = -(-(end - start) // 10)
        before = frames[end - tenth - 1] if end - start > tenth else 0
        first = returns[start : start + tenth].mean(), tenth, 0, frames[start + tenth - 1]
        found[path] = {FIRST: first, LAST: (returns[end - tenth : end].mean(), tenth, before, frames[end - 1])}
    return found


def _learned(runs: list[dict[str, tuple]], of: int, confidence: float) -> Iterator[dict[str, Any]]:
    """The first and the last tenth, always both; NaN where no run is done."""
    import numpy as np

    for name in (FIRST, LAST):
        means, counts, lows, highs = zip(*(run[name] for run in runs), strict=True) if runs else [()] * 4
        frames = {"frames_low": min(lows, default=np.nan), "frames_high": max(highs, default=np.nan)}
        yield {"measure": name, "episodes": sum(counts), "source": "runs"} | frames | _mean(means, of, confidence)


def _random(score: float, source: str) -> list[dict[str, Any]]:
    return [{"measure": "random", "mean": score, "source": source}] if source else []


def _final(cell: Any, frame: int, of: int, confidence: float) -> dict[str, Any]:
    episodes = sum(map(len, cell.returns.values()))
    place = {"measure": "final", "episodes": episodes, "frames_low": frame, "frames_high": frame, "source": "runs"}
    return place | _mean(cell.seed_means, of, confidence)


def _references(points: pd.DataFrame, last: dict[str, Any], confidence: float) -> Iterator[dict[str, Any]]:
    """Per stored method the mean over its runs of their points in the frames of our last tenth, both ends as there."""
    for label, own in points.groupby("label", sort=True):
        within = own[(own.frames > last["frames_low"]) & (own.frames <= last["frames_high"]) & own["return"].notna()]
        means = within.groupby("seed", sort=True)["return"].mean()
        frames = {name: last[name] for name in ("frames_low", "frames_high")}
        place = {"measure": "reference", "source": label, "episodes": len(within)}
        yield place | frames | _mean(means, own.seed.nunique(), confidence)


def _mean(values: Iterable[float], of: int, confidence: float) -> dict[str, Any]:
    from results.statistics import intervals

    values = list(values)
    mean, low, high = intervals.mean_interval(values, confidence)
    named = f"{100 * confidence:g} % t-seeds" if len(values) > 1 else ""
    return {"seeds": len(values), "of": of, "mean": mean, "ci_low": low, "ci_high": high, "interval": named}


def _sheet(rows: list[Number]) -> tuple[list[str], list[list[str]]]:
    """Head and body: axes that every setting has and those that vary, then the measures."""
    axes = ["agent", "ablation", "train_noise", *(name for name in SETTINGS if len({row[name] for row in rows}) > 1)]
    names = dict.fromkeys(map(_name, rows))
    measures = [name for name in (FIRST, LAST, "random", "final") if name in names]
    others = [name for name in names if name not in measures]
    body = []
    for _, setting in groupby(rows, key=itemgetter("agent", "ablation", "train_noise", *SETTINGS)):
        found: dict[str, Number] = {}
        for number in setting:
            found.setdefault(_name(number), number)
        tenth = found[LAST]
        counted = f"{tenth['seeds']} of {tenth['of']}"
        texts = (_text(found.get(name)) for name in (*measures, *others))
        body.append([*(str(tenth[axis]) for axis in axes), counted, *texts, tenth["flags"] or "-"])
    return [*(axis.replace("_", " ") for axis in axes), "runs", *measures, *others, "flags"], body


def _name(number: Number) -> str:
    """The column that it stands in: its measure, of a reference whose it is."""
    return number["source" if number["measure"] == "reference" else "measure"]


def _text(number: Number | None) -> str:
    """`512.3 ± 40.1`; `± ?` where one run has no interval; `-` where there is no number."""
    if number is None or number["mean"] != number["mean"]:
        return "-"
    half = (number["ci_high"] - number["ci_low"]) / 2
    width = "" if number["measure"] == "random" else " ± ?" if half != half else f" ± {half:.2f}"
    return f"{number['mean']:.2f}{width}"


def _notes(rows: list[Number]) -> list[str]:
    last = [row for row in rows if row["measure"] == LAST and row["mean"] == row["mean"]]
    low, high = min((row["frames_low"] for row in last), default=0), max((row["frames_high"] for row in last), default=0)
    span = f"frames {low:,} to {high:,}" if last else "nothing is done yet"
    sources = ", ".join(sorted({row["source"] for row in rows if row["measure"] == "random"}))
    intervals = sorted({row["interval"] for row in rows if row["interval"] == row["interval"]} - {""})
    notes = [
        "Unit: return per episode. Mean over training runs of per-run means, runs that are done only; ± half the width of "
        f"{', '.join(intervals) or 'no interval: one run'}, over training runs.",
        f"First and last tenth: of each run's training episodes, under the training noise, while learning ({LAST}: {span}).",
        *(["Final: clean evaluation of the last checkpoint."] if any(row["measure"] == "final" for row in rows) else []),
        f"Random: from {sources}." if sources else "Random: no random agent among the runs and no stored score.",
    ]
    if any("one_seed" in row["flags"] for row in rows):
        notes.append("one_seed: one training run is done: its seed variance is in no interval, no claim about the method.")
    stored = [row for row in rows if row["measure"] == "reference"]
    if stored:
        notes.append("Others: stored points at the frames of the last tenth; frames include their protocol's action repeat.")
    for label, settings in sorted(Counter(row["source"] for row in stored if not row["seeds"]).items()):
        notes.append(f"{label}: no point at those frames in {settings} settings.")
    short = [row for row in stored if 0 < row["seeds"] < row["of"]]
    notes += [f"{row['source']}: {row['seeds']} of its {row['of']} runs have a point there." for row in short]
    return list(dict.fromkeys(notes))
