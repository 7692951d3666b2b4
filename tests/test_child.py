"""Processes that the program starts: what they import, and with which renderer."""

import json
import os
import subprocess
import sys

import pytest
from house_rules import ROOT

from harness.child import gl_environment


def test_files_of_the_current_folder_are_not_executed(tmp_path):
    for name in ("harness.py", "agents.py", "numpy.py"):
        (tmp_path / name).write_text("open('executed', 'w').close()")
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text("open('executed', 'w').close()")
    command = [sys.executable, "-P", "-m", "harness", "run", "--task", "counter/vector", "--size", "nano", "--steps", "40"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = ["--agent", "random", "--episodes", "1", "--env-workers", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    states = [json.loads(path.read_text())["state"] for path in tmp_path.rglob("state.json")]
    assert states == ["done"]
    assert not list(tmp_path.rglob("executed"))


@pytest.mark.parametrize(
    ("platform", "setting", "expected"),
    [
        ("linux", None, "egl"),
        ("linux", "osmesa", "osmesa"),
        ("darwin", None, None),
        ("darwin", "glfw", "glfw"),
        ("win32", None, None),
    ],
)
def test_only_linux_renders_by_egl_unless_told(monkeypatch, platform, setting, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if setting:
        monkeypatch.setenv("MUJOCO_GL", setting)
    assert gl_environment().get("MUJOCO_GL") == expected
