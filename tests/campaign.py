"""A campaign of faults against a grid on a real SLURM: `python tests/campaign.py [--seconds 300] [--learners 12] [--out FILE]`.

While a grid runs, at random moments: kill -9 of a run or of its whole job, a slurmd killed and started again, slurmctld killed
and started again, preemption by a higher partition, every running job requeued at once, a full disk, torn last lines; under
one-minute time limits, with the clock of node n2 an hour ahead. After each fault `dreamproof submit` is called, as cron would.
At the end the grid must be that of an undisturbed twin: every run done, no row lost or doubled, the same table.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent.parent))
import cluster
from cluster import dreamproof

from harness import rundir
from slurm import devcluster

SKEW = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
DISK = "300m"
SETUP = [
    # The clock of n2 is an hour ahead for every process of a run; times of files are the server's, as over NFS.
    f'[ "$SLURMD_NODENAME" = n2 ] && export LD_PRELOAD={SKEW} FAKETIME=+1h NO_FAKE_STAT=1 FAKETIME_DONT_FAKE_MONOTONIC=1'
]


def grid(folder, learners, quick, steps, minutes):
    """A study of runs that learn and of some that are over in a second, each with a short time limit."""
    study = cluster.study(
        folder, agent="dreamer", references=["random"], seeds=learners, steps=steps, train_noise=["clean"],
        set={"env.envs": 1, "train.batch_size": 4, "train.batch_length": 16, "train.ratio": 16, "train.log_every": 100},
        evaluate={"noise": ["clean", "state_gaussian:std=0.5,unit=absolute"], "episodes": quick},
        resources={"memory": "600M", "hours": minutes / 60},
    )  # fmt: skip
    (folder / "cluster.yaml").write_text(json.dumps({"partition": "low", "setup": SETUP}))
    return study


# Faults: each returns False where there was nothing to hit.


def kill_run(cwd, draw):
    """kill -9 of one run's process, as the kernel does when memory runs out."""
    return _kill(cwd, draw, parent=False)


def kill_job(cwd, draw):
    """kill -9 of a job's own process and of its run."""
    return _kill(cwd, draw, parent=True)


def restart_slurmd(cwd, draw):
    node = draw.choice(["n1", "n2"])
    devcluster.kill(node)
    time.sleep(draw.uniform(0, 2))
    devcluster.start(node)


def restart_slurmctld(cwd, draw):
    devcluster.kill("slurmctld")
    time.sleep(draw.uniform(0, 2))
    devcluster.start("slurmctld")


def preempt(cwd, draw):
    subprocess.run(["sbatch", "-p", "high", "-N", "2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2"],
                   capture_output=True, check=False)  # fmt: skip


def requeue_storm(cwd, draw):
    for _ in range(3):
        cluster.requeue()
        time.sleep(0.5)
        cluster.start_requeued_jobs()


def full_disk(cwd, draw):
    filler = cwd / "filler"
    with contextlib.suppress(OSError), open(filler, "wb") as file:
        while True:
            file.write(bytes(1 << 20))
    time.sleep(draw.uniform(1, 3))
    filler.unlink()


def torn_line(cwd, draw):
    """A job that is killed in the middle of a row: half of one at the end of a file, as a lost node leaves it."""
    folder = _kill(cwd, draw, parent=True)
    if not folder or (folder / "done").exists():
        return False
    with open(folder / f"{draw.choice(['episodes', 'metrics'])}.jsonl", "a") as file:
        file.write('{"split": "train", "st')


FAULTS = (kill_run, kill_job, restart_slurmd, restart_slurmctld, preempt, requeue_storm, full_disk, torn_line)


def _kill(cwd, draw, parent):
    """kill -9 of a run that has a claim, and of its job -> its folder; False where there was none."""
    claims = {}
    for path in cwd.glob("runs/grid/*/claim"):
        with contextlib.suppress(OSError, ValueError):
            claims[path.parent] = json.loads(path.read_text())["pid"]
    if not claims:
        return False
    folder = draw.choice(sorted(claims))
    with contextlib.suppress(OSError, ValueError):
        above = int(Path(f"/proc/{claims[folder]}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in [above] * (parent and above > 1) + [claims[folder]]:
            os.kill(pid, signal.SIGKILL)
        return folder
    return False


# The campaign


def run(cwd, seconds, learners, quick=2, steps=600, minutes=1, seed=0, say=print):
    """Disturb a grid for so many seconds, let it finish -> figures. AssertionError where a promise does not hold."""
    assert Path(SKEW).exists(), "needs Debian's faketime"
    draw, hits, start = random.Random(seed), collections.Counter(), time.monotonic()
    twin, disturbed = cwd / "twin", cwd / "disturbed"
    for folder in (twin, disturbed):
        folder.mkdir()
    study = grid(twin, learners, quick, steps, minutes)
    dreamproof("submit", study, "--cluster", "local", cwd=twin)
    undisturbed = time.monotonic() - start
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disturbed], check=True)
    try:
        grid(disturbed, learners, quick, steps, minutes)
        total = len(rundir.find_runs([twin / "runs"]))
        _submit(disturbed, study)
        start, faults = time.monotonic(), []
        while not cluster.finished(disturbed, total):
            if time.monotonic() - start < seconds and list(disturbed.glob("runs/grid/*/claim")):
                faults = faults or draw.sample(FAULTS, len(FAULTS))
                fault = faults.pop()
                if fault(disturbed, draw) is not False:
                    hits[fault.__name__] += 1
                    say(f"{time.monotonic() - start:6.1f} s  {fault.__name__}")
            time.sleep(draw.uniform(0.5, 3))
            cluster.start_requeued_jobs()
            _submit(disturbed, study)
            assert time.monotonic() - start < 10 * seconds + 600, dreamproof("status", "grid", cwd=disturbed)
        return _figures(twin, disturbed, hits, undisturbed, time.monotonic() - start)
    finally:
        subprocess.run(["scancel", "--user", "root"], capture_output=True)
        time.sleep(1)
        subprocess.run(["umount", "-l", disturbed], check=False)


def _submit(cwd, study):
    """As cron would: also what was left after three failures is tried again, once its reason is on record."""
    for verb in ("submit", "retry"):
        subprocess.run([sys.executable, "-m", "harness", verb, study], cwd=cwd, capture_output=True, check=False,
                       env={**os.environ, "PYTHONPATH": str(cluster.ROOT)}, timeout=300)  # fmt: skip


def _figures(twin, disturbed, hits, undisturbed, seconds):
    expected, runs = (rundir.find_runs([folder / "runs"]) for folder in (twin, disturbed))
    assert [run.name for run in expected] == [run.name for run in runs]
    rows = 0
    for one, other in zip(expected, runs, strict=True):
        for name in ("episodes", "metrics"):
            lhs, rhs = ([{k: v for k, v in row.items() if k != "seconds"} for row in run.rows(name)] for run in (one, other))
            assert lhs == rhs, f"{other.path}: {name}"
            rows += len(rhs)
        done = (other.path / "log.txt").read_text().splitlines().count("done")
        assert done == 1, f"{other.path}: finished {done} times"
    tables = [
        dreamproof("table", "robustness", "runs/grid", "--format", "csv", "--reps", 1000, cwd=folder)
        for folder in (twin, disturbed)
    ]
    assert tables[0] == tables[1]
    states = [run.state for run in runs]
    return {
        "runs": len(runs),
        "done": sum(state["state"] == "done" for state in states),
        "faults": dict(sorted(hits.items())),
        "attempts": sum(state["attempt"] for state in states),
        "most attempts of one run": max(state["attempt"] for state in states),
        "failures on record": dict(collections.Counter(f["kind"] for s in states for f in
                                                       [*s.get("earlier_failures", []), *s.get("failures", [])])),
        "rows compared": rows,
        "rows lost or doubled": 0,
        "tables": "identical",
        "seconds undisturbed, on this machine alone": round(undisturbed),
        "seconds under faults": round(seconds),
    }  # fmt: skip


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--seconds", type=float, default=300, help="how long faults come")
    options.add_argument("--learners", type=int, default=12)
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path)
    arguments = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    try:
        with cluster.running(folder / "dev"):
            figures = run(folder, arguments.seconds, arguments.learners, steps=arguments.steps, seed=arguments.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
