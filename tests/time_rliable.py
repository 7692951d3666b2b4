"""Seconds that rliable takes for the jobs of `dreamproof bench stats`, in an environment of its own (it is no dependency):

python -m venv rliable && rliable/bin/pip install rliable==1.2.0 'pandas<3' && rliable/bin/python tests/time_rliable.py

Its bootstrap's time is proportional to the replicates: few are measured, and the seconds of 50 000 are printed.
"""

import time

import numpy as np
from rliable import library, metrics

REPS = 50_000
rng = np.random.default_rng(0)
x, y = rng.gamma(1.5, 0.5, (10, 26)), rng.gamma(1.5, 0.5, (10, 26))
taus = np.linspace(0, 2, 81)


def iqm(reps):
    library.get_interval_estimates({"x": x}, lambda scores: np.array([metrics.aggregate_iqm(scores)]), reps=reps)


def improvement(reps):
    pair = {"x,y": (x, y)}
    library.get_interval_estimates(pair, lambda a, b: np.array([metrics.probability_of_improvement(a, b)]), reps=reps)


def profile(reps):
    library.create_performance_profile({"x": x}, taus, reps=reps)


for job, reps in ((iqm, 2000), (improvement, 100), (profile, 500)):
    job(20)
    start = time.process_time()
    job(reps)
    print(f"{job.__name__}: {(time.process_time() - start) * REPS / reps:.1f} s of processor time for {REPS} replicates")
