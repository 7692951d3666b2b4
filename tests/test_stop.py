"""Real signals to real processes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.stop import Stop, parent_gone

ROOT = Path(__file__).parents[1]
POLL = """
import time
from harness.stop import Stop
try:
    with Stop() as stop:
        print("ready", flush=True)
        while not stop.reason:
            time.sleep(0.01)
        print(stop.reason, flush=True)
        {after}
except KeyboardInterrupt:
    print("at once", flush=True)
"""


def child(after="pass", interrupt=signal.SIG_DFL):
    """`interrupt`: what SIGINT does when the process starts."""
    process = subprocess.Popen([sys.executable, "-c", POLL.format(after=after)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, interrupt))  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("interrupt", [signal.SIG_DFL, signal.SIG_IGN])  # SIG_IGN: as `nohup dreamproof run ... &` starts
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR2"])
def test_a_signal_becomes_a_flag(name, interrupt):
    with child(interrupt=interrupt) as process:
        process.send_signal(getattr(signal, name))
        assert process.communicate(timeout=20)[0] == f"{name}\n"
    assert process.returncode == 0


def test_a_second_interrupt_acts_at_once():
    with child(after="time.sleep(60)") as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "SIGINT\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "at once\n"


def test_a_second_sigterm_is_patient():
    with child(after="time.sleep(0.3)") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == 0


def test_a_process_that_was_started_with_sigint_ignored_still_stops_on_sigterm():
    """As under `nohup COMMAND &`, where a shell ignores SIGINT for what it starts."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + POLL.format(after="pass")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == "SIGTERM\n"
    assert process.returncode == 0


def test_handlers_come_back():
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)]
    with pytest.raises(ZeroDivisionError), Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == "SIGTERM"
        raise ZeroDivisionError
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)] == before


def test_outside_the_main_thread_it_is_quiet():
    reasons = []
    thread = threading.Thread(target=lambda: reasons.append(Stop().__enter__().reason))
    thread.start()
    thread.join()
    assert reasons == [None]


ORPHAN = """
import os, subprocess, sys
code = "import sys, time; from harness.stop import Stop\\n" \\
    "with Stop(parent=int(sys.argv[1])) as stop:\\n" \\
    "    print(stop.reason, flush=True); sys.stdin.readline()\\n" \\
    "    time.sleep(0.3); print(stop.reason, flush=True)"
subprocess.Popen([sys.executable, "-c", code, str(os.getpid())], stdin=0)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"""


def test_a_child_notices_that_its_parent_was_killed():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "None\n"
        process.kill()
        process.wait()
        process.stdin.write("go on\n")
        assert process.stdout.readline() == "parent gone\n"


def test_the_own_parent_is_there():
    assert not parent_gone(os.getppid()) and parent_gone(os.getpid())
