"""It learns: a toy task whose best and random returns are known, in about a minute. Real curves are in docs/learning.md."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from harness import rundir
from harness.envs import counter

ROOT = Path(__file__).parent.parent
SETTINGS = {"env.envs": 1, "train.batch_size": 4, "train.batch_length": 16, "train.ratio": 32}


def test_nano_learns_to_count(tmp_path):
    command = [sys.executable, "-m", "harness", "run", "--task", "counter/vector", "--size", "nano", "--steps", "1600"]
    command += ["--episodes", "16", "--threads", "1", *(w for k, v in SETTINGS.items() for w in ("--set", f"{k}={v}"))]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    rows = rundir.find_runs([tmp_path / "runs"])[0].rows("episodes")
    returns = [row["return"] for row in rows if row["split"] == "eval"]
    random, best = counter.returns("vector")
    # Random play has a standard deviation of sqrt(5) per episode; 16 of them reach 13.3 once in a billion tries.
    assert len(returns) == 16 and random + 6 * np.sqrt(5 / 16) < np.mean(returns) <= best
