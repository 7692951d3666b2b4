"""Reference numbers of rliable for tests/test_statistics.py, in an environment of its own (it is no dependency):

python -m venv rliable && rliable/bin/pip install rliable==1.2.0 && rliable/bin/python tests/make_rliable.py
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

COMMAND = "python -m venv rliable && rliable/bin/pip install rliable==1.2.0 && rliable/bin/python tests/make_rliable.py"
rng = np.random.default_rng(20)
scores = np.round(rng.gamma(1.5, 0.5, (10, 12)), 4)  # runs x tasks
other = np.round(rng.gamma(1.5, 0.4, (7, 12)), 4)
taus = np.linspace(0, 2, 9)
np.random.seed(0)  # rliable draws from the global generator
_, intervals = library.get_interval_estimates({"x": scores}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=20_000)
reference = {
    "command": COMMAND,
    "rliable": importlib.metadata.version("rliable"),
    "scores": scores.tolist(),
    "other": other.tolist(),
    "taus": taus.tolist(),
    "metrics": {
        "mean": metrics.aggregate_mean(scores),
        "median": metrics.aggregate_median(scores),
        "iqm": metrics.aggregate_iqm(scores),
        "optimality_gap": metrics.aggregate_optimality_gap(scores, 1),
    },
    "profile": [float(library.run_score_deviation(scores, tau)) for tau in taus],
    "probability_of_improvement": metrics.probability_of_improvement(scores, other),
    "iqm_interval": intervals["x"][:, 0].tolist(),
}
(Path(__file__).parent / "rliable.json").write_text(json.dumps(reference, indent=1, default=float) + "\n")
