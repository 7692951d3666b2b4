"""What works on this machine, what does not, and how to mend it: one check per line."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import plugins, provenance

State = Literal["works", "missing", "broken"]  # missing: not needed everywhere; broken: needed, or there and not working
SLOW = 60  # seconds for a child to import a library and do one thing with it
LOW = 2e9  # bytes of free disk below which a warning is due
NEEDED = ("numpy", "scipy", "pandas", "pydantic", "yaml", "click", "rich", "safetensors", "submitit")
EXAMPLES = {"gym": "gym/CartPole-v1"}  # where a suite lists no tasks
TORCH = """
import json, torch
x = torch.ones(8, 8); assert float((x @ x).sum()) == 512
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
for i in range(len(gpus)): assert float((x.cuda(i) @ x.cuda(i)).sum()) == 512
print(json.dumps([torch.__version__, torch.version.cuda, gpus]))
"""
RENDER = """
from dm_control import mujoco
physics = mujoco.Physics.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><geom size="1"/></worldbody></mujoco>')
assert physics.render(64, 64).std() > 0
"""


@dataclass(frozen=True)
class Finding:
    what: str
    state: State
    found: str
    mend: str = ""


def examine(runs: Path, profile: Path | None = None) -> list[Finding]:
    """Every check, in the order in which one needs the other. Torch and simulators are tried in processes of their own."""
    suites = [_suite(name) for name in plugins.names("harness.envs")]
    return [_python(), _libraries(), *_torch(), _compiler(), *suites, _rendering(), _disk(runs), *_cluster(profile)]


def text(findings: Iterable[Finding]) -> str:
    findings = list(findings)
    width = max(len(f.what) for f in findings)
    lines = []
    for f in findings:
        lines.append(f"{f.state:<8} {f.what:<{width}}  {f.found}")
        lines += [f"{'':<8} {'':<{width}}  -> {f.mend}"] if f.mend and f.state != "works" else []
    bad = sum(f.state == "broken" for f in findings)
    return "\n".join([*lines, f"{bad} broken" if bad else "everything that is needed works"])


def _python() -> Finding:
    fine = sys.version_info >= (3, 11)
    found = f"{platform.python_version()} ({sys.executable})"
    return Finding("Python", "works" if fine else "broken", found, "install Python 3.11 or newer")


def _compiler() -> Finding:
    place = plugins.load("agents", "device")
    mend = "apt-get install g++ python3-dev (or CXX): without them nothing is compiled, and updates from size 1m on take longer"
    return Finding("compiler", "works" if place.has_compiler() else "missing", place.COMPILER, mend)


def _libraries() -> Finding:
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    found = f"{', '.join(lacking)} not installed" if lacking else f"{len(NEEDED)} libraries"
    return Finding("libraries", "broken" if lacking else "works", found, "make setup")


def _torch() -> list[Finding]:
    said, problem = _child(TORCH)
    if problem:
        return [Finding("torch", "broken", problem, "make setup; for a GPU install your own torch >= 2.9 into .venv")]
    version, cuda, gpus = json.loads(said)
    torch = Finding("torch", "works", version + (f", CUDA {cuda}" if cuda else ", CPU only"))
    if gpus:
        return [torch, Finding("GPU", "works", ", ".join(gpus))]
    if shutil.which("nvidia-smi"):
        found, mend = (
            "nvidia-smi is here, torch sees no GPU",
            "install a torch for CUDA into .venv; nvidia-smi must list the GPU",
        )
        return [torch, Finding("GPU", "broken", found, mend)]
    return [torch, Finding("GPU", "missing", "none", "none is needed for nano")]


def _suite(name: str) -> Finding:
    module = plugins.load("harness.envs", name)
    lacking = [each for each, version in provenance.versions(module.SUITE.modules).items() if version is None]
    if lacking:
        return Finding(f"suite {name}", "broken", f"{', '.join(lacking)} not installed", "make setup")
    task = f"{name}/{module.TASKS[0]}" if module.TASKS else EXAMPLES[name]
    _, problem = _child(f"from harness import envs; envs.make({task!r}, **envs.suite({task!r}).options).reset(0)")
    mend = "make setup; for pixels a GL library: apt-get install libegl1 libgl1-mesa-dri"
    return Finding(f"suite {name}", "broken" if problem else "works", problem or f"{task} starts", mend)


def _rendering() -> Finding:
    chosen = os.environ.get("MUJOCO_GL") or "egl"
    problem = _child(RENDER, MUJOCO_GL=chosen)[1]
    if problem is None:
        return Finding("rendering", "works", f"MUJOCO_GL={chosen} draws")
    works = [backend for backend in ("egl", "osmesa") if backend != chosen and _child(RENDER, MUJOCO_GL=backend)[1] is None]
    mend = f"export MUJOCO_GL={works[0]}" if works else "apt-get install libegl1 libgl1-mesa-dri (or libosmesa6)"
    return Finding("rendering", "broken", f"MUJOCO_GL={chosen}: {problem}", mend)


def _disk(runs: Path) -> Finding:
    place = next(p for p in (runs.absolute(), *runs.absolute().parents) if p.is_dir())
    free, writable = shutil.disk_usage(place).free, os.access(place, os.W_OK)
    found = f"{free / 1e9:.1f} GB free at {place}" + ("" if writable else ", not writable")
    return Finding(
        "disk", "works" if free > LOW and writable else "broken", found, "free space, or put runs elsewhere with --runs"
    )


def _cluster(profile: Path | None) -> list[Finding]:
    return [Finding(**finding) for finding in plugins.load("slurm", "check").check_cluster(profile)]


def _child(code: str, **environment: str) -> tuple[str, str | None]:
    """Output of Python code in a process of its own, and the last line of what went wrong or None."""
    variables = {"MUJOCO_GL": "egl", **os.environ, **environment}
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SLOW, env=variables,
                              cwd=Path(__file__).parents[1])  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"no answer within {SLOW} seconds"
    if done.returncode == 0:
        return done.stdout, None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return "", lines[-1][:160] if lines else f"killed (status {done.returncode})"
