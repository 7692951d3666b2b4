"""Stored results of others as `load.Results`, and what `truth.json` says of them."""

import gzip
import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from results.importers import dreamerv3
from results.reading import load

FOLDER = Path(os.environ.get("DREAMPROOF_PUBLISHED", Path(__file__).parents[2] / "shared" / "published"))


def path(name):
    path = FOLDER / name
    if not path.exists():
        assert not os.environ.get("CI"), f"{path} must be present in CI"
        pytest.skip(f"{path} is absent: stored results of others, DREAMPROOF_PUBLISHED names their folder")
    return path


@cache
def truth():
    return json.loads(path("truth.json").read_text())


def records(name):
    return json.loads(gzip.open(path(name)).read())


def files():
    truth()
    return sorted(FOLDER.glob("*-*.json.gz"))


def frame(file):
    """One row per point: benchmark, method, original task, seed, x, y."""
    table = dreamerv3.read(file)
    return table.assign(benchmark=dreamerv3.benchmark(file))


def results(*tables):
    """Points of score files as the loaded runs and training episodes that an import makes of them."""
    points = pd.concat(tables, ignore_index=True)
    points["path"] = points.benchmark + "/" + points.task + "/" + points.method + "/" + points.seed
    points["original"] = points.task
    points["task"] = [dreamerv3.suite_task(t, b) for t, b in zip(points.task, points.benchmark, strict=True)]
    axes = {"preset": "imported", "size": "unknown", "precision": "unknown", "steps": 0, "variant": ""}
    axes |= {"ablation": "none", "train_noise": "clean", "policy": "unknown", "state": "done", "done": True, "seeded": True}
    axes |= {"step": 0, "updates": 0, "attempt": 0, "host": "", "message": "", "wall_seconds": np.nan, "final_step": -1}
    runs = points.groupby("path", sort=True).first().reset_index()[["path", "benchmark", "task", "method", "seed", "original"]]
    runs = runs.rename(columns={"method": "agent"}).assign(study=runs.benchmark, run=runs.path, **axes)
    runs["train_seed"] = runs.pop("seed").astype(int)
    runs["eval_noises"] = [()] * len(runs)
    shared = [*load.AXES, "run", "path", "train_seed", "state", "done", "final_step"]
    episodes = points.rename(columns={"x": "frames", "y": "return"})[["path", "frames", "return"]]
    episodes = episodes.assign(split="train", noise="clean", step=episodes.frames, length=np.nan, env_seed=np.nan, policy="")
    episodes["episode"] = episodes.groupby("path").cumcount()
    return load.Results(runs, runs[shared].merge(episodes, on="path"))


@cache
def benchmark(name):
    return results(*(frame(file) for file in files() if file.name.startswith(name + "-")))
