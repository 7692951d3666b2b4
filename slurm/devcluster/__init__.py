"""A real SLURM on one machine, for tests and trials: munge, slurmctld and two slurmd, all in one directory of their own.

Debian's packages are enough (`apt-get install slurmctld slurmd slurm-client munge`); it needs no systemd and no cgroups.
Partitions: `low` (default; preempted jobs are requeued), `cancel` (preempted jobs are cancelled) and `high`,
which preempts both. `accounting` adds slurmdbd on a MariaDB of its own, so that `sacct` works.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import BadInput, RunFailed
from slurm.devcluster import files

PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
ACCOUNTING = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
PATH = "/usr/sbin:/sbin:" + os.environ.get("PATH", "/usr/bin:/bin")


def root() -> Path:
    """Where the devcluster lives: `$DREAMPROOF_DEVCLUSTER`, else a directory of this user's under /tmp."""
    return Path(os.environ.get("DREAMPROOF_DEVCLUSTER") or f"/tmp/dreamproof-devcluster-{os.getuid()}")


def conf() -> Path | None:
    """slurm.conf of a devcluster that is up, else None. A file of another user does not count."""
    path = root() / "slurm.conf"
    return path if path.is_file() and path.stat().st_uid == os.getuid() else None


def up(accounting: bool = False, cpus: int = 4, memory: int = 8000, array: int = 1001) -> str:
    """Bring the cluster up, or leave it where it is up already -> a sentence for the user.

    `cpus` and `memory` (MB) of each node; `array`: MaxArraySize. RunFailed names the log that says why it did not come up.
    """
    _require_packages(PACKAGES | (ACCOUNTING if accounting else {}))
    place = root()
    if conf() and _nodes_ready():
        if accounting and not (place / "slurmdbd.conf").exists():
            raise BadInput("The devcluster is up without accounting: bring it down first (dreamproof devcluster down).")
        return f"up already: export SLURM_CONF={place}/slurm.conf"
    down()
    place.mkdir(mode=0o755, parents=True)
    for name in ("munge", "state", "spool-n1", "spool-n2"):
        (place / name).mkdir(mode=0o755)
    host = socket.gethostname().split(".")[0]
    settings = files.DevclusterSettings(_first_free_port(), host, getpass.getuser(), cpus, memory, array)
    files.write(place, settings, accounting)
    _start_munge(place)
    if accounting:
        _start_database(place)
    start("slurmctld")
    for node in files.NODES:
        start(node)
    _wait_until(_nodes_ready, "slurmctld", seconds=60)
    return f"up: export SLURM_CONF={place}/slurm.conf"


def down() -> str:
    """End every daemon and job of the cluster and remove its directory -> a sentence for the user."""
    place = root()
    if not place.exists():
        return "down already"
    for name in ("slurmd-n1", "slurmd-n2", "slurmctld", "slurmdbd", "mariadb", "munge/munged"):
        _end_daemon(place / f"{name}.pid", signal.SIGTERM)
    _kill_jobs(place)
    shutil.rmtree(place)
    return "down"


def status() -> str:
    """The nodes and their states by sinfo; else a sentence that says why there are none."""
    if conf() is None:
        return "down"
    return _run(["sinfo", "-N", "-o", "%N %P %T"], quiet=True).strip() if _nodes_ready() else "up, but its nodes are not ready"


def start(daemon: str) -> None:
    """Start `slurmctld`, `n1` or `n2` of a cluster whose files exist. Also for tests that have killed one."""
    command = ["slurmctld"] if daemon == "slurmctld" else ["slurmd", "-N", daemon]
    _run([*command, "-f", str(root() / "slurm.conf")])


def kill(daemon: str, number: signal.Signals = signal.SIGKILL) -> None:
    """End `slurmctld`, `n1` or `n2` with a signal. Jobs of the node go on, as they do where a slurmd dies."""
    name = daemon if daemon == "slurmctld" else f"slurmd-{daemon}"
    _end_daemon(root() / f"{name}.pid", number)


def _start_munge(place: Path) -> None:
    key = place / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    options = {name: place / "munge" / name for name in ("socket", "pid-file", "log-file", "seed-file")}
    options |= {"pid-file": place / "munge" / "munged.pid", "key-file": key}
    _run(["munged", "--force", *(f"--{name}={path}" for name, path in options.items())])


def _start_database(place: Path) -> None:
    settings = f"--defaults-file={place}/my.cnf"
    _run(["mariadb-install-db", settings, "--auth-root-authentication-method=normal", "--skip-test-db"])
    _run_in_background(["mariadbd", settings], place / "mariadb.out")
    client = ["mariadb", f"--socket={place}/mariadb.sock", "--user=root"]
    _wait_until(lambda: _succeeds([*client, "-e", "select 1"]), "mariadb", seconds=60)
    _run([*client, "-e", "create database slurm; grant all on slurm.* to slurm@'127.0.0.1' identified by 'slurm'"])
    _run(["slurmdbd"])
    _wait_until(lambda: _succeeds(["sacctmgr", "-n", "show", "cluster"]), "slurmdbd", seconds=60)
    _run(["sacctmgr", "-i", "add", "cluster", "dev"])
    _run(["sacctmgr", "-i", "add", "account", "main", "cluster=dev"])
    _run(["sacctmgr", "-i", "add", "user", getpass.getuser(), "account=main"])


def _first_free_port() -> int:
    """The first of a row of free ports, one per daemon. Clusters of other folders may be up beside this one."""
    for first in range(17001, 18000, 10):
        if all(_is_free(first + i) for i in range(len(files.PORTS))):
            return first
    raise RunFailed("No free ports between 17001 and 18000 for the devcluster's daemons.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _nodes_ready() -> bool:
    try:
        nodes = _run(["sinfo", "-h", "-N", "-o", "%N %T"], quiet=True)
    except RunFailed:
        return False
    states = {tuple(line.split()) for line in nodes.splitlines()}
    return {name for name, state in states if state in ("idle", "mixed", "allocated")} == set(files.NODES)


def _require_packages(packages: dict[str, str]) -> None:
    """`packages`: program -> the Debian package that has it."""
    missing = [package for program, package in packages.items() if not shutil.which(program, path=PATH)]
    if missing:
        raise BadInput(f"The devcluster needs {', '.join(missing)}: apt-get install {' '.join(missing)}")


def _environment() -> dict[str, str]:
    place = root()
    return {**os.environ, "PATH": PATH, "SLURM_CONF": f"{place}/slurm.conf", "SLURMDBD_CONF": f"{place}/slurmdbd.conf"}


def _run(command: Sequence[str], quiet: bool = False) -> str:
    """Run a program to its end -> its output. RunFailed where it fails. `quiet`: the message does not name the log."""
    # A daemon detaches but would keep a pipe open, so that the output goes to a file.
    with open(root() / "commands.log", "a+") as log:
        start = log.seek(0, os.SEEK_END)
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), start_new_session=True
        )
        log.seek(start)
        output = log.read()
    if process.returncode:
        hint = "" if quiet else f" ({root()}/commands.log)"
        raise RunFailed(f"{command[0]} failed with status {process.returncode}: {output.strip()[-300:]}{hint}")
    return output


def _run_in_background(command: Sequence[str], log: Path) -> None:
    with open(log, "w") as file:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=_environment(), start_new_session=True
        )


def _succeeds(command: Sequence[str]) -> bool:
    try:
        _run(command, quiet=True)
    except RunFailed:
        return False
    return True


def _wait_until(condition: Callable[[], bool], daemon: str, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise RunFailed(f"{daemon} did not come up within {seconds:.0f} seconds: see {root()}/{daemon}.log")
        time.sleep(0.25)


def _end_daemon(pidfile: Path, number: signal.Signals) -> None:
    """Send a signal and wait until the process has ended; after ten seconds, kill it."""
    try:
        pid = int(pidfile.read_text())
        os.kill(pid, number)
    except (OSError, ValueError):
        return
    for _ in range(100):
        if not _is_alive(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kill_jobs(place: Path) -> None:
    """Kill the step daemons and the processes of jobs, which outlive a slurmd. Their environment names this cluster."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            environ = (proc / "environ").read_bytes()
            if f"SLURM_CONF={place}/slurm.conf".encode() in environ.split(b"\0") and int(proc.name) != os.getpid():
                name = (proc / "comm").read_text().strip()
                if name.startswith("slurmstepd") or b"SLURM_JOB_ID=" in environ:
                    os.kill(int(proc.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue
