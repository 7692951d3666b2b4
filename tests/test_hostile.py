"""Malformed and malicious input: refused at the door with one paragraph, never a traceback, nothing written elsewhere."""

import subprocess
import sys

import pytest
from test_cli import ROOT, assert_refused, dreamproof

# ---- The last net


PLANTED = """
import click, harness.cli as c
@click.command()
def planted():
    {}['left\\x1b[31m']
c.cli.add_command(c._options.debug(planted))
c.main()
"""


def planted(*arguments, tmp_path):
    """A verb with a bug, as a process."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PLANTED, "planted", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_an_unexpected_exception_is_one_paragraph_and_a_file(tmp_path):
    process = planted(tmp_path=tmp_path)
    assert process.returncode == 1
    assert len(process.stderr.strip().splitlines()) == 1 and "Traceback" not in process.stderr
    assert "KeyError" in process.stderr and "(planted)" in process.stderr and "\x1b" not in process.stderr
    (stored,) = tmp_path.glob("dreamproof-error-*.txt")
    assert str(stored) in process.stderr and "Traceback (most recent call last)" in stored.read_text()


@pytest.mark.parametrize("arguments", [("planted", "--debug"), ("--debug", "table", "runs", "nowhere")])
def test_debug_prints_the_traceback(arguments, tmp_path):
    process = planted("--debug", tmp_path=tmp_path) if arguments[0] == "planted" else dreamproof(*arguments, cwd=tmp_path)
    assert "Traceback (most recent call last)" in process.stderr
    assert process.stderr.splitlines()[-1].startswith("dreamproof: ")
    assert process.returncode == (1 if arguments[0] == "planted" else 2)


def test_escape_sequences_of_arguments_do_not_reach_the_terminal(tmp_path):
    process = dreamproof("table", "runs", "\x1b]0;title\x07", cwd=tmp_path)
    assert_refused(process, r"\x1b]0;title\x07")
    assert "\x1b" not in process.stderr
