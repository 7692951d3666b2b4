"""Where a run comes from: program, versions, machine and simulators, for provenance.json."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from agents.protocol import Arrays
from harness.env import Env, random_action

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = "snapshot.json"  # in a copy of the code: its commit, whether it differed from it, and the copy's hash
DISTRIBUTIONS = ("dreamproof", "torch", "numpy", "scipy", "pydantic", "safetensors", "pillow")


def collect(
    *,
    command: Sequence[str] | None = None,
    modules: Iterable[str] = (),
    env: Env | None = None,
    task: str | None = None,
) -> dict[str, Any]:
    """The content of provenance.json. Of the environment variables it holds MUJOCO_GL only.

    `command`: default `sys.argv`; `modules`: distributions of the suite (`Suite.modules`); `env`: an environment that is
    stepped a few times for its fingerprint (not the one that trains), twice, to see whether its seed fixes what happens, or
    None; `task`: "suite/name".
    """
    frames = fingerprint(env) if env is not None else None
    seeded = frames == fingerprint(env) if env is not None else None
    return {
        "command": list(sys.argv if command is None else command),
        "git": git_state(ROOT),
        "versions": versions([*DISTRIBUTIONS, *modules]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count(), "usable": _usable_cpus()},
        "gpu": _gpus(),
        "gl_backend": os.environ.get("MUJOCO_GL"),
        "environment": {
            "simulators": versions(modules),
            "rom": rom_hash(task) if task else None,
            "frames": frames if seeded else None,  # an environment that ignores its seed has no fingerprint
            "seeded": seeded,
        },
    }


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """Installed version of each distribution; None where it is not installed."""
    return {name: _version(name) for name in distributions}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def git_state(root: Path) -> dict[str, Any] | None:
    """Commit and, where files differ from it or are new, a hash of the difference; None where `root` is no checkout itself.

    A copy for queued jobs (`slurm/snapshot.py`) has the state of its original in a file.
    """
    if (root / SNAPSHOT).is_file():
        return json.loads((root / SNAPSHOT).read_text())
    # An installed copy may lie inside somebody else's repository, whose commit would say nothing about this program.
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top.decode().strip()).resolve() != root.resolve():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    difference = _git(root, "diff", "HEAD", "--no-ext-diff", "--binary") or b""
    new_files = (_git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py") or b"").split(b"\0")[:-1]
    digest = hashlib.blake2b(difference, digest_size=16)
    for path in filter(Path.is_file, (root / os.fsdecode(name) for name in new_files)):
        digest.update(os.fsencode(path.relative_to(root)) + b"\0" + path.read_bytes())
    dirty = digest.hexdigest() if difference or new_files else None
    return {"commit": commit.decode().strip() if commit else None, "dirty": dirty}


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def fingerprint(env: Env, steps: int = 8) -> str:
    """Hash of what an environment returns from seed 0 under fixed actions: equal where two environments behave equally."""
    digest, rng = hashlib.blake2b(digest_size=16), np.random.Generator(np.random.Philox(0))
    obs = env.reset(0)
    for _ in range(steps):
        _add_to_digest(digest, obs)
        step = env.step(random_action(env.spec.action, rng))
        digest.update(repr((float(step.reward), bool(step.terminated), bool(step.truncated))).encode())
        obs = env.reset(0) if step.terminated or step.truncated else step.obs
    _add_to_digest(digest, obs)
    return digest.hexdigest()


def _add_to_digest(digest: hashlib.blake2b, obs: Arrays) -> None:
    for key in sorted(obs):
        value = np.asarray(obs[key], order="C")
        digest.update(f"{key} {value.dtype} {value.shape} ".encode() + value.tobytes())


def rom_hash(task: str) -> str | None:
    """MD5, the name under which ROM collections list it, of the ROM of an Atari task; None for any other."""
    suite, _, name = task.partition("/")
    spec = importlib.util.find_spec("ale_py") if suite.startswith("atari") else None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "roms" / f"{name}.bin"
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _usable_cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _gpus() -> list[str] | None:
    """Names of the GPUs; None where torch is not loaded, for which this alone is no reason."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
