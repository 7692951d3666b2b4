"""A look at an environment without a run: its spaces, what the agent will see, whether its seed fixes its episodes.

Where only the environment itself knows this (`gym`), a verb that must stay light asks a child process, once: the answer is
kept by task, options, versions and the files of the environment. `python -m harness.preview` is that child.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import plugins, provenance
from harness.errors import BadInput, RunFailed

ROOT = Path(__file__).resolve().parents[1]
FORMAT = 1  # of a stored preview
TIMEOUT = 300  # seconds for a child to make an environment and reset it
SIMULATORS = ("gymnasium",)  # where one of them is imported already, no child is needed


@dataclass(frozen=True)
class Preview:
    """obs: what the agent gets, by key. action: what it does. declared: the environment's own spaces. notes: what was
    recognised or changed, in words. seeded: whether two resets with one seed gave the same observation."""

    obs: dict[str, str]
    action: str
    declared: dict[str, str]
    notes: tuple[str, ...]
    pixels: bool
    vectors: bool
    seeded: bool

    @property
    def lines(self) -> list[str]:
        """In words: what the agent will see, and what it should be warned of."""
        observed = ", ".join(f"{key} {space}" for key, space in self.obs.items())
        seed = [] if self.seeded else [UNSEEDED]
        return [f"the agent sees {observed}; it acts by {self.action}", *self.notes, *seed]


UNSEEDED = (
    "warning: the environment ignores its seed: a resumed run is not exactly the one that never stopped, and noises are not "
    "compared on the same episodes"
)


def load_preview(task: str, options: Mapping[str, object]) -> Preview:
    """The preview of `suite/task`. BadInput where it cannot be made or reset, or the agent cannot take its spaces."""
    return _cached_preview(task, json.dumps(options, sort_keys=True))


@lru_cache(maxsize=256)
def _cached_preview(task: str, options: str) -> Preview:
    if any(name in sys.modules for name in SIMULATORS):
        return preview_in_process(task, json.loads(options))
    file = _cache_file(task, options)
    stored = _read_cache(file)
    if stored is None:
        stored = _ask_child(task, options)
        _write_cache(file, stored)
    return Preview(**{**stored["preview"], "notes": tuple(stored["preview"]["notes"])})


def preview_in_process(task: str, options: Mapping[str, object]) -> Preview:
    """As `load_preview`, in this process."""
    from harness import envs
    from harness.door import Door

    env = Door(envs.make(task, **options), task, quiet=True)
    try:
        first, second = env.reset(0), env.reset(0)
        seeded = all(first[key].tobytes() == second[key].tobytes() for key in first)
        spaces = env.spec.obs.values()
        return Preview(
            obs={key: _describe(space) for key, space in env.spec.obs.items()},
            action=_describe_action(env.spec.action),
            declared={key: str(space) for key, space in getattr(env, "entries", {}).items()},
            notes=tuple(getattr(env, "notes", ())),
            pixels=any(space.image for space in spaces),
            vectors=any(space.dtype == "float32" for space in spaces),
            seeded=seeded,
        )
    except RunFailed as error:
        raise BadInput(str(error)) from error
    finally:
        env.close()


def _describe(space: Any) -> str:
    shape = "x".join(map(str, space.shape))
    return f"{shape} (uint8)" if space.image else f"{shape or 'one'} ({space.dtype})"


def _describe_action(space: Any) -> str:
    if space.discrete and not space.shape:
        return f"one of {space.classes}"
    if getattr(space, "parts", None):
        return " and ".join(f"{name}: {_describe_action(part)}" for name, part in space.parts.items())
    shape = "x".join(map(str, space.shape))
    return f"{shape} choices of {space.classes}" if space.discrete else f"{shape or 'one'} numbers in [-1, 1]"


# ---- The child


def _ask_child(task: str, options: str) -> dict[str, Any]:
    """What the child answers. BadInput where it could not look."""
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    command = [sys.executable, "-P", "-m", "harness.preview"]
    request = json.dumps({"task": task, "options": json.loads(options), "path": sys.path})
    try:
        child = subprocess.run(
            command, input=request, capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, "PYTHONPATH": path}
        )
    except subprocess.TimeoutExpired:
        raise BadInput(f"{task}: the environment could not be made and reset within {TIMEOUT} seconds.") from None
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        lines = [line for line in child.stderr.splitlines() if line.strip()]
        last = lines[-1][:200] if lines else f"exit status {child.returncode}"
        raise BadInput(f"{task}: the process that looked at the environment ended without an answer: {last}") from None
    if "problem" in answer:
        # The traceback is the environment's own; --debug shows it as the cause.
        raise BadInput(answer["problem"]) from RuntimeError(f"in the child process:\n{answer['traceback']}")
    return answer


def _serve() -> None:
    """Read a request from stdin, look, and answer on stdout, to which nothing else is written."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    sys.path += [folder for folder in request["path"] if folder not in sys.path]
    try:
        result = preview_in_process(request["task"], request["options"])
        answer: dict[str, Any] = {"preview": asdict(result), "files": _user_files()}
    except Exception as error:
        problem = str(error) if isinstance(error, BadInput | RunFailed) else f"{type(error).__name__}: {error}"
        answer = {"problem": problem, "traceback": traceback.format_exc()}
    json.dump(answer, answers)
    answers.close()


def _user_files() -> dict[str, list[int]]:
    """Modules that are neither of Python, nor installed, nor ours -> [time of change, size]. The environment rests on them."""
    ours = tuple(str(ROOT / package) + os.sep for package in ("agents", "harness"))
    library = (sysconfig.get_path("stdlib") + os.sep, *ours)
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    installed = ("site-packages", "dist-packages")
    users = [file for file in files if file and not file.startswith(library) and not {*Path(file).parts} & {*installed}]
    return {file: _stamp(file) for file in users if os.path.isfile(file)}


def _stamp(file: str) -> list[int]:
    try:
        stat = os.stat(file)
    except OSError:
        return []
    return [stat.st_mtime_ns, stat.st_size]


# ---- The cache


def _cache_file(task: str, options: str) -> Path:
    suite = plugins.load("harness.envs", task.split("/")[0]).SUITE
    versions = provenance.versions(("dreamproof", "numpy", *suite.modules))
    code = [_stamp(str(path)) for path in sorted((ROOT / "harness" / "envs").glob("*.py"))] + [_stamp(__file__)]
    facts = [FORMAT, task, options, sys.version, versions, code, os.environ.get("PYTHONPATH"), sys.path]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "dreamproof" / "environments" / f"{name}.json"


def _read_cache(file: Path) -> dict[str, Any] | None:
    """A stored answer whose files are as they were; None where there is none."""
    try:
        answer = json.loads(file.read_text())
        current = all(_stamp(path) == stamp for path, stamp in answer["files"].items())
        Preview(**answer["preview"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return answer if current else None


def _write_cache(file: Path, answer: Mapping[str, Any]) -> None:
    """Store an answer; where the cache cannot be written, nothing is stored."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(answer))
        part.replace(file)
    except OSError:
        pass


if __name__ == "__main__":
    _serve()
