"""Learning: return of the first and last tenth of training episodes, random play, final score and references."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.reading.records import Record, groups, records

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from results.reading.load import Results
    from results.scoring.cells import ScoreCell
    from results.tables import Sheet

Tenth = tuple[float, int, int, int]  # mean return, number of episodes, frames (low, high]
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
    """One row per number with COLUMNS. Nothing is random: `rng` and `reps` have no effect.

    measure: `first tenth` and `last tenth` of each run's training episodes (ceil(n / 10) of n, in order of frames),
    played under the training noise; `random` play; `final` clean evaluation of the last checkpoint; `reference`: points
    of a stored method at the frames of the last tenth. mean: over runs, of per-run means. Only finished runs count, because
    the tenths of an unfinished run lie elsewhere. ci_low, ci_high: Student's t over training runs. frames: (low, high].
    """
    import pandas as pd

    from results import style
    from results.analyses import curves
    from results.reading import load

    training_runs, repeats = curves.learning_runs(results)
    episodes, finals = curves.training_episodes(results, training_runs), curves.final_scores(results)
    tasks = training_runs.task.unique()
    references = dict(groups(curves.reference_points(reference, tasks), "task"))
    random_scores = {task: curves.random_score(task, (cell for cell, _ in finals.values())) for task in tasks}
    left_out, tenths = curves.omissions(repeats, episodes), _tenths(episodes)
    finals_of: dict[tuple[Any, ...], list[tuple[ScoreCell, int]]] = defaultdict(list)
    for setting_and_policy, final in finals.items():
        finals_of[setting_and_policy[:-1]].append(final)
    rows: list[Record] = []
    ordered = records(training_runs.sort_values([*load.AXES, "train_seed"]))
    for key, group in groupby(ordered, key=itemgetter(*load.AXES)):
        setting, runs = dict(zip(load.AXES, key, strict=True)), list(group)
        task, flags = setting["task"], _flags(runs) + left_out[key]
        done = [tenths[run["path"]] for run in runs if run["done"] and run["path"] in tenths]
        numbers = list(_first_and_last(done, len(runs), confidence))
        numbers += _random(*random_scores[task])
        numbers += [_final(*final, len(runs), confidence) for final in finals_of[key]]
        if task in references:
            numbers += _references(references[task], numbers[1], confidence)
        rows += [setting | {"flags": flags} | number for number in numbers]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))
    order = ["task", "agent", "ablation", "train_noise", *SETTINGS]
    return style.in_reading_order(table, order).reset_index(drop=True)


def sheets(long: pd.DataFrame) -> list[Sheet]:
    """One sheet per task, with a row per setting and a column per measure."""
    from results.tables import Sheet

    tasks = ((task, list(rows)) for task, rows in groupby(records(long), key=itemgetter("task")))
    return [Sheet(f"{task}: learning", *_head_and_body(rows), _notes(rows)) for task, rows in tasks]


def _flags(runs: list[Record]) -> str:
    """`one_seed;unfinished:1`: warnings about the numbers of a setting."""
    done = sum(run["done"] for run in runs)
    flags = ["one_seed"] if done == 1 else []
    return ";".join(flags + ([f"unfinished:{len(runs) - done}"] if done < len(runs) else []))


def _tenths(training: pd.DataFrame) -> dict[str, dict[str, Tenth]]:
    """Path of a run -> its first and its last tenth. The rows of `training` are in order."""
    import numpy as np

    finite = training[np.isfinite(training["return"])]
    returns, frames = finite["return"].to_numpy(), finite.frames.to_numpy()
    starts = np.flatnonzero(~finite.path.duplicated().to_numpy()).tolist()
    tenths: dict[str, dict[str, Tenth]] = {}
    for path, (start, end) in zip(finite.path.iloc[starts], pairwise([*starts, len(finite)]), strict=True):
        size = -(-(end - start) // 10)
        before = frames[end - size - 1] if end - start > size else 0
        first = returns[start : start + size].mean(), size, 0, frames[start + size - 1]
        tenths[path] = {FIRST: first, LAST: (returns[end - size : end].mean(), size, before, frames[end - 1])}
    return tenths


def _first_and_last(runs: list[dict[str, Tenth]], total_runs: int, confidence: float) -> Iterator[Record]:
    """The first and the last tenth, always both; NaN if no run is done."""
    import numpy as np

    for name in (FIRST, LAST):
        tenths = [run[name] for run in runs]
        low, high = min((low for *_, low, _ in tenths), default=np.nan), max((high for *_, high in tenths), default=np.nan)
        episodes = sum(count for _, count, *_ in tenths)
        number = {"measure": name, "episodes": episodes, "source": "runs", "frames_low": low, "frames_high": high}
        yield number | _mean((mean for mean, *_ in tenths), total_runs, confidence)


def _random(score: float, source: str) -> list[Record]:
    return [{"measure": "random", "mean": score, "source": source}] if source else []


def _final(cell: ScoreCell, frame: int, total_runs: int, confidence: float) -> Record:
    episodes = sum(map(len, cell.returns.values()))
    number = {"measure": "final", "episodes": episodes, "frames_low": frame, "frames_high": frame, "source": "runs"}
    return number | _mean(cell.seed_means, total_runs, confidence)


def _references(points: pd.DataFrame, last: Record, confidence: float) -> Iterator[Record]:
    """Per stored method the mean over its runs of their points at the frames of our last tenth, (low, high]."""
    for label, stored in groups(points, "label", sort=True):
        within = stored[
            (stored.frames > last["frames_low"]) & (stored.frames <= last["frames_high"]) & stored["return"].notna()
        ]
        means = within.groupby("seed", sort=True)["return"].mean()
        frames = {name: last[name] for name in ("frames_low", "frames_high")}
        number = {"measure": "reference", "source": label, "episodes": len(within)}
        yield number | frames | _mean(means, stored.seed.nunique(), confidence)


def _mean(values: Iterable[float], total_runs: int, confidence: float) -> Record:
    import numpy as np

    from results.statistics import intervals

    means = np.array(list(values), float)
    mean, low, high = intervals.mean_interval(means, confidence)
    interval = f"{100 * confidence:g} % t-seeds" if len(means) > 1 else ""
    return {"seeds": len(means), "of": total_runs, "mean": mean, "ci_low": low, "ci_high": high, "interval": interval}


def _head_and_body(rows: list[Record]) -> tuple[list[str], list[list[str]]]:
    """Columns: the axes that every setting has and those that vary, then the measures."""
    axes = ["agent", "ablation", "train_noise", *(name for name in SETTINGS if len({row[name] for row in rows}) > 1)]
    names = dict.fromkeys(map(_column_name, rows))
    measures = [name for name in (FIRST, LAST, "random", "final") if name in names]
    references = [name for name in names if name not in measures]
    body = []
    for _, setting in groupby(rows, key=itemgetter("agent", "ablation", "train_noise", *SETTINGS)):
        numbers: dict[str, Record] = {}
        for number in setting:
            numbers.setdefault(_column_name(number), number)
        tenth = numbers[LAST]
        runs = f"{tenth['seeds']} of {tenth['of']}"
        texts = (_number_text(numbers.get(name)) for name in (*measures, *references))
        body.append([*(str(tenth[axis]) for axis in axes), runs, *texts, tenth["flags"] or "-"])
    return [*(axis.replace("_", " ") for axis in axes), "runs", *measures, *references, "flags"], body


def _column_name(number: Record) -> str:
    """The column of a number: its measure; for a reference, the method."""
    return number["source" if number["measure"] == "reference" else "measure"]


def _number_text(number: Record | None) -> str:
    """`512.3 ± 40.1`; `± ?` for one run, which has no interval; `-` without a number."""
    if number is None or number["mean"] != number["mean"]:
        return "-"
    half = (number["ci_high"] - number["ci_low"]) / 2
    width = "" if number["measure"] == "random" else " ± ?" if half != half else f" ± {half:.2f}"
    return f"{number['mean']:.2f}{width}"


def _notes(rows: list[Record]) -> list[str]:
    last = [row for row in rows if row["measure"] == LAST and row["mean"] == row["mean"]]
    low, high = min((row["frames_low"] for row in last), default=0), max((row["frames_high"] for row in last), default=0)
    span = f"frames {low:,} to {high:,}" if last else "nothing is done yet"
    sources = ", ".join(sorted({row["source"] for row in rows if row["measure"] == "random"}))
    intervals = sorted({row["interval"] for row in rows if row["interval"] == row["interval"]} - {""})
    notes = [
        "Unit: return per episode. Mean over training runs of per-run means, only of runs that are done. ±: half the width "
        f"of {', '.join(intervals) or 'no interval: one run'}, over training runs.",
        f"First and last tenth: of the training episodes of each run, under the training noise, while learning ({LAST}: "
        f"{span}).",
        *(["Final: clean evaluation of the last checkpoint."] if any(row["measure"] == "final" for row in rows) else []),
        f"Random: from {sources}." if sources else "Random: no random agent among the runs and no stored score.",
    ]
    if any("one_seed" in row["flags"] for row in rows):
        notes.append("one_seed: one training run is done. No interval holds the variance of seeds; no claim about the method.")
    references = [row for row in rows if row["measure"] == "reference"]
    if references:
        notes.append(
            "Others: stored points at the frames of the last tenth, which include the action repeat of their protocol."
        )
    for label, settings in sorted(Counter(row["source"] for row in references if not row["seeds"]).items()):
        notes.append(f"{label}: no point at those frames in {settings} settings.")
    incomplete = [row for row in references if 0 < row["seeds"] < row["of"]]
    notes += [f"{row['source']}: {row['seeds']} of its {row['of']} runs have a point there." for row in incomplete]
    return list(dict.fromkeys(notes))
