"""What works on this machine, what does not, and how to repair it: one check per line."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import plugins, provenance
from harness.child import gl_environment, python_command

# missing: not installed, and not needed everywhere. broken: needed and not installed, or installed and not working.
DiagnosisState = Literal["works", "missing", "broken"]
CHILD_TIMEOUT = 60  # seconds for a child to import a library and do one thing with it
LEAST_FREE_DISK = 2e9  # bytes
REQUIRED_LIBRARIES = ("numpy", "scipy", "pandas", "pydantic", "yaml", "click", "rich", "safetensors", "submitit")
EXAMPLE_TASKS = {"gym": "gym/CartPole-v1"}  # where a suite lists no tasks
TORCH_CHECK = """
import json, torch
x = torch.ones(8, 8); assert float((x @ x).sum()) == 512
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
for i in range(len(gpus)): assert float((x.cuda(i) @ x.cuda(i)).sum()) == 512
print(json.dumps([torch.__version__, torch.version.cuda, gpus]))
"""
RENDER_CHECK = """
from dm_control import mujoco
physics = mujoco.Physics.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><geom size="1"/></worldbody></mujoco>')
assert physics.render(64, 64).std() > 0
"""


@dataclass(frozen=True)
class Diagnosis:
    """One check. evidence: what was observed. remedy: how to repair it; not shown where it works."""

    subject: str
    state: DiagnosisState
    evidence: str
    remedy: str = ""


def examine(runs: Path, profile: Path | None = None) -> list[Diagnosis]:
    """Every check, in the order in which one needs the other. Torch and simulators are tried in processes of their own."""
    suites = [_suite(name) for name in plugins.names("harness.envs")]
    return [_python(), _libraries(), *_torch(), _compiler(), *suites, _rendering(), _disk(runs), *_cluster(profile)]


def diagnoses_to_json(diagnoses: Iterable[Diagnosis]) -> list[dict[str, str]]:
    """As `doctor --json` prints them."""
    return [{"what": d.subject, "state": d.state, "found": d.evidence, "mend": d.remedy} for d in diagnoses]


def diagnoses_to_text(diagnoses: Sequence[Diagnosis]) -> str:
    """A line per check, below it the remedy where it does not work, and a verdict at the end."""
    width = max(len(d.subject) for d in diagnoses)
    lines = []
    for d in diagnoses:
        lines.append(f"{d.state:<8} {d.subject:<{width}}  {d.evidence}")
        lines += [f"{'':<8} {'':<{width}}  -> {d.remedy}"] if d.remedy and d.state != "works" else []
    broken = sum(d.state == "broken" for d in diagnoses)
    return "\n".join([*lines, f"{broken} broken" if broken else "everything that is needed works"])


def _python() -> Diagnosis:
    recent = sys.version_info >= (3, 11)
    evidence = f"{platform.python_version()} ({sys.executable})"
    return Diagnosis("Python", "works" if recent else "broken", evidence, "install Python 3.11 or newer")


def _compiler() -> Diagnosis:
    device = plugins.load("agents", "device")
    remedy = (
        "apt-get install g++ python3-dev (or set CXX). Without them nothing is compiled, and updates from size 1m on are slower"
    )
    return Diagnosis("compiler", "works" if device.has_compiler() else "missing", device.COMPILER, remedy)


def _libraries() -> Diagnosis:
    lacking = [name for name in REQUIRED_LIBRARIES if importlib.util.find_spec(name) is None]
    evidence = f"{', '.join(lacking)} not installed" if lacking else f"{len(REQUIRED_LIBRARIES)} libraries"
    return Diagnosis("libraries", "broken" if lacking else "works", evidence, "make setup")


def _torch() -> list[Diagnosis]:
    output, problem = _run_child(TORCH_CHECK)
    if problem:
        return [Diagnosis("torch", "broken", problem, "make setup; for a GPU install your own torch >= 2.9 into .venv")]
    version, cuda, gpus = json.loads(output)
    torch = Diagnosis("torch", "works", version + (f", CUDA {cuda}" if cuda else ", CPU only"))
    if gpus:
        return [torch, Diagnosis("GPU", "works", ", ".join(gpus))]
    if shutil.which("nvidia-smi"):
        remedy = "install a torch for CUDA into .venv; nvidia-smi must list the GPU"
        return [torch, Diagnosis("GPU", "broken", "nvidia-smi is installed, but torch sees no GPU", remedy)]
    return [torch, Diagnosis("GPU", "missing", "none", "none is needed for nano")]


def _suite(name: str) -> Diagnosis:
    module = plugins.load("harness.envs", name)
    lacking = [library for library, version in provenance.versions(module.SUITE.modules).items() if version is None]
    if lacking:
        return Diagnosis(f"suite {name}", "broken", f"{', '.join(lacking)} not installed", "make setup")
    task = f"{name}/{module.TASKS[0]}" if module.TASKS else EXAMPLE_TASKS[name]
    _, problem = _run_child(f"from harness import envs; envs.make({task!r}, **envs.suite({task!r}).options).reset(0)")
    remedy = "make setup; for pixels a GL library: apt-get install libegl1 libgl1-mesa-dri"
    return Diagnosis(f"suite {name}", "broken" if problem else "works", problem or f"{task} starts", remedy)


def _rendering() -> Diagnosis:
    backend = gl_environment().get("MUJOCO_GL", "")
    problem = _run_child(RENDER_CHECK)[1]
    if problem is None:
        return Diagnosis("rendering", "works", f"MUJOCO_GL={backend} draws")
    alternatives = [name for name in ("egl", "osmesa") if name != backend]
    working = [name for name in alternatives if _run_child(RENDER_CHECK, MUJOCO_GL=name)[1] is None]
    remedy = f"export MUJOCO_GL={working[0]}" if working else "apt-get install libegl1 libgl1-mesa-dri (or libosmesa6)"
    return Diagnosis("rendering", "broken", f"MUJOCO_GL={backend}: {problem}", remedy)


def _disk(runs: Path) -> Diagnosis:
    folder = next(p for p in (runs.absolute(), *runs.absolute().parents) if p.is_dir())
    free, writable = shutil.disk_usage(folder).free, os.access(folder, os.W_OK)
    evidence = f"{free / 1e9:.1f} GB free at {folder}" + ("" if writable else ", not writable")
    state: DiagnosisState = "works" if free > LEAST_FREE_DISK and writable else "broken"
    return Diagnosis("disk", state, evidence, "free space, or put runs elsewhere with --runs")


def _cluster(profile: Path | None) -> list[Diagnosis]:
    results = plugins.load("slurm", "check").check_cluster(profile)
    return [Diagnosis(result["what"], result["state"], result["found"], result["mend"]) for result in results]


def _run_child(code: str, **environment: str) -> tuple[str, str | None]:
    """(output, problem) of Python code in a process of its own. problem: the last line of its error, or None."""
    variables = {**os.environ, **gl_environment(), **environment}
    command = python_command("-c", code)
    root = Path(__file__).parents[1]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_TIMEOUT, env=variables, cwd=root)
    except subprocess.TimeoutExpired:
        return "", f"no answer within {CHILD_TIMEOUT} seconds"
    if child.returncode == 0:
        return child.stdout, None
    lines = [line for line in child.stderr.splitlines() if line.strip()]
    return "", lines[-1][:160] if lines else f"killed (status {child.returncode})"
