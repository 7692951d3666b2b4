"""What a run says of where it comes from: true, quick, and nobody's secrets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.protocol import Space, Spec
from harness import provenance
from harness.env import Step

ROOT = Path(__file__).parents[1]


BUTTONS, STICK = Space((), "int32", 3), Space((2,), "float32")


class Counter:
    """Shows how many steps it has taken, plus its seed and `shift`; ends after five."""

    native = None

    def __init__(self, action=BUTTONS, shift=0):
        self.spec, self._shift = Spec({"count": Space((1,), "float32")}, action), shift

    def reset(self, seed):
        self._count = seed + self._shift
        return {"count": np.array([self._count], np.float32)}

    def step(self, action):
        self._count += 1
        obs = {"count": np.array([self._count], np.float32) + np.float32(np.sum(action))}
        return Step(obs, 1.0, self._count % 5 == 0, False)

    def close(self):
        pass


def repository(path):
    def git(*arguments):
        subprocess.run(["git", "-C", path, "-c", "user.name=n", "-c", "user.email=e", *arguments], check=True)

    (path / "a.py").write_text("a = 1\n")
    git("init", "-q"), git("add", "."), git("commit", "-q", "-m", "first")
    return path


def test_is_json_and_quick():
    record = provenance.collect(modules=["numpy"], task="atari100k/asterix")
    assert json.loads(json.dumps(record)) == record
    assert record["versions"]["numpy"] == np.__version__ and record["environment"]["simulators"]["numpy"] == np.__version__
    assert record["command"] == sys.argv and record["cpu"]["count"] == os.cpu_count()


def test_no_environment_variables(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "hush-hush")
    monkeypatch.setenv("MUJOCO_GL", "egl")
    record = provenance.collect()
    assert "hush-hush" not in json.dumps(record) and record["gl_backend"] == "egl"


def test_torch_is_not_imported():
    code = "import sys; from harness.provenance import collect; print(collect()['gpu'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "None False\n"


def test_clean_checkout_has_a_commit_and_no_difference(tmp_path):
    state = provenance.git_state(repository(tmp_path))
    assert len(state["commit"]) == 40 and state["dirty"] is None


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_a_change_shows_and_so_does_another(tmp_path, name):
    repository(tmp_path)
    hashes = []
    for text in ("a = 2\n", "a = 3\n", "a = 2\n"):
        (tmp_path / name).write_text(text)
        hashes.append(provenance.git_state(tmp_path)["dirty"])
    assert hashes[0] == hashes[2] != hashes[1] and None not in hashes


def test_a_copy_inside_another_checkout_has_no_commit(tmp_path):
    inner = repository(tmp_path) / "site-packages"
    inner.mkdir()
    assert provenance.git_state(inner) is None


def test_missing_distribution_is_none():
    assert provenance.versions(["no-such-distribution-here"]) == {"no-such-distribution-here": None}


@pytest.mark.parametrize("action", [BUTTONS, STICK])
def test_fingerprint_tells_environments_apart(action):
    assert provenance.fingerprint(Counter(action)) == provenance.fingerprint(Counter(action))
    assert provenance.fingerprint(Counter(action)) != provenance.fingerprint(Counter(action, shift=1))


def test_rom_hash_of_atari_only():
    import ale_py  # noqa: F401 (required: absent is a failure)

    assert len(provenance.rom_hash("atari100k/asterix")) == 32
    assert provenance.rom_hash("dmc/walker_walk") is None and provenance.rom_hash("atari/no_such_game") is None
