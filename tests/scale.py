"""How long a study of 10 000 runs takes to submit and to look at: `python tests/scale.py`. SLURM's programs are recorders."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
RECORDERS = {
    "sbatch": 'n=$(cat "$HERE/n" 2>/dev/null || echo 0); echo $((n+1)) | tee "$HERE/n"',
    "squeue": 'cat "$HERE/queue" 2>/dev/null',
    "scontrol": 'echo "MaxArraySize            = 1001"',
    "sacct": "exit 1",
}
STUDY = {
    "name": "big",
    "tasks": ["counter/vector", "counter/vector_continuous"],
    "size": "nano",
    "ablations": [
        *("none", "no_unimix", "no_free_bits", "no_symlog", "no_return_norm"),
        *("no_decoder", "elu", "gelu", "layer_norm", "gumbel"),
    ],
    "train_noise": ["clean", *(f"state_gaussian:std=0.{i},unit=absolute" for i in range(1, 5))],
    "seeds": 100,
    "steps": 400,
}  # fmt: skip


def timed(folder, *arguments):
    start, worked = time.monotonic(), sum(os.times()[2:4])
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments], cwd=folder, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    duration = f"{time.monotonic() - start:.1f} s ({sum(os.times()[2:4]) - worked:.1f} s of one core)"
    return duration, done.stdout + done.stderr


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for program, does in RECORDERS.items():
            (folder / program).write_text(f'#!/bin/sh\nHERE={folder}\necho {program} >> "$HERE/calls"\n{does}\n')
            (folder / program).chmod(0o755)
        (folder / "big.yaml").write_text(yaml.safe_dump(STUDY))
        duration, output = timed(folder, "submit", "big.yaml")
        calls = len((folder / "calls").read_text().splitlines())
        print(f"submit: {duration}, {calls} calls of SLURM: {output.splitlines()[-1]}")
        arrays = [json.loads(path.read_text()) for path in folder.glob("runs/big/.jobs/*/array-*.json")]
        lines = [f"{a['job']}|{task}|PENDING|Priority|{a['name']}" for a in arrays for task in range(len(a["tasks"]))]
        (folder / "queue").write_text("\n".join(lines) + "\n")
        for verb in ("submit", "status"):
            (folder / "calls").unlink()
            duration, output = timed(folder, verb, "big.yaml")
            calls = len((folder / "calls").read_text().splitlines())
            print(f"{verb}{' again' * (verb == 'submit')}: {duration}, {calls} calls of SLURM: {output.splitlines()[0]}")


if __name__ == "__main__":
    main()
