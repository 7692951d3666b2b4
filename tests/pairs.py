"""The update of two source trees in turn: what a change gains where the machine moves by more than that from minute to minute.

`git worktree add ../before COMMIT && python tests/pairs.py ../before . --obs vector --threads 1`
prints seconds after / before of each pair (quartiles) and both medians. The quiet one of two processes only waits.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

WORKER = """
import sys, time
import numpy as np
from harness.bench import Options, train
size, obs, dtype, threads = sys.argv[1:]
agent = train.make_agent(Options(size=size, obs=obs, dtype=dtype, device="cpu", threads=int(threads)))
batch = train.random_batch(agent, train.SPECS[obs], np.random.default_rng(0))
for _ in range(4):
    agent.learn(batch)
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    agent.learn(batch)
    print(time.perf_counter() - start, flush=True)
"""


def start_worker(tree: str, case: list[str]) -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": os.path.abspath(tree)}
    command = [sys.executable, "-c", WORKER, *case]
    worker = subprocess.Popen(command, cwd=tree, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    worker.stdout.readline()
    return worker


def time_update(worker: subprocess.Popen) -> float:
    worker.stdin.write("\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs=2, metavar=("BEFORE", "AFTER"))
    for name, default in {"size": "1m", "obs": "vector", "dtype": "float32", "threads": "2"}.items():
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--pairs", type=int, default=30)
    args = parser.parse_args()
    workers = [start_worker(tree, [args.size, args.obs, args.dtype, args.threads]) for tree in args.trees]
    times = [[time_update(worker) for worker in workers] for _ in range(args.pairs)]
    for worker in workers:
        worker.stdin.close()
    ratios = statistics.quantiles((after / before for before, after in times), n=4)
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    print("after / before", *(f"{x:.3f}" for x in ratios), "  seconds", *(f"{x:.4f}" for x in medians))


if __name__ == "__main__":
    main()
