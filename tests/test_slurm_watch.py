"""`status --watch` as a person sees it, on a terminal; and what local queues share with clusters."""

import os
import pty
import subprocess
import sys

import cluster
from cluster import dreamproof

from harness import rundir


def on_a_terminal(*arguments, cwd):
    """What a verb shows on a terminal until it ends by itself."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(cluster.ROOT), "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-m", "harness", *arguments], cwd=cwd, stdin=theirs, stdout=theirs,
                               stderr=theirs, env=environment)  # fmt: skip
    os.close(theirs)
    output = b""
    while chunk := _read(ours):
        output += chunk
    os.close(ours)
    return process.wait(timeout=60), output.decode()


def _read(file):
    try:
        return os.read(file, 65536)
    except OSError:  # the terminal's other side is closed
        return b""


def test_watch_clears_the_screen_shows_the_states_and_ends_when_nothing_is_left_to_wait_for(tmp_path):
    study = cluster.study(tmp_path, seeds=2)
    dreamproof("submit", study, "--cluster", "local", cwd=tmp_path)
    run = rundir.find_runs([tmp_path / "runs"])[0]
    (run.path / "done").unlink()
    run.set_state(state="failed", message="MemoryError: no room (3 times in a row)")
    status, screen = on_a_terminal("status", study, "--watch", cwd=tmp_path)
    assert status == 1 and "\x1b[2J" in screen
    assert "1 done, 1 failed" in screen and "[memory]" in screen
    assert "1 failed (memory): raise resources.memory" in screen and f"then: dreamproof retry {study}" in screen


def test_a_local_queue_runs_its_threads_and_leaves_files_of_the_users_mask(tmp_path):
    study = cluster.study(tmp_path, seeds=2, resources={"cpus": 2, "pack": 2, "memory": "1G", "hours": 1})
    before = os.umask(0o027)
    try:
        dreamproof("submit", study, "--cluster", "local", cwd=tmp_path)
    finally:
        os.umask(before)
    assert {row["state"] for row in cluster.rows(tmp_path).values()} == {"done"}
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert files and {path.stat().st_mode & 0o777 for path in files} == {0o640}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt")]
