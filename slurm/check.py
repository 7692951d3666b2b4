"""What `dreamproof doctor` says of SLURM and of the cluster profile."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import BadInput
from slurm import profile as profiles
from slurm import scheduler
from slurm.profile import Profile


def findings(given: Path | None = None) -> list[dict[str, str]]:
    """`what, state, found, mend` of each check."""
    if not scheduler.available():
        slurm = [
            _finding(
                "SLURM", "missing", "no sbatch here", "use --cluster local, or log in to a cluster; see docs/operations.md"
            )
        ]
        return slurm + _profile(given, None)
    try:
        partitions = _partitions()
        version = scheduler.call("sbatch", "--version").strip()
    except scheduler.Unreachable as error:
        state = "broken" if scheduler.configured() else "missing"
        mend = "ask the cluster's administrators; a cluster of your own: dreamproof devcluster up"
        return [_finding("SLURM", state, str(error), mend), *_profile(given, None)]
    limit = scheduler.array_limit()
    found = f"{version}; partitions {', '.join(partitions)}; arrays of at most {limit} tasks"
    return [_finding("SLURM", "works", found), _accounting(), *_profile(given, partitions)]


def _accounting() -> dict[str, str]:
    try:
        scheduler.call("sacct", "-n", "-X", "-S", "now-1hour")
    except scheduler.Unreachable:
        return _finding(
            "accounting", "missing", "no sacct: how old jobs ended is known from the run directories alone", "not needed"
        )
    return _finding("accounting", "works", "sacct answers")


def _profile(given: Path | None, partitions: dict[str, str] | None) -> list[dict[str, str]]:
    try:
        path = profiles.found(given)
        profile = profiles.load(given)
    except BadInput as error:
        return [_finding("cluster profile", "broken", str(error), "mend the file")]
    if path is None:
        return [_finding("cluster profile", "missing", "no cluster.yaml: sbatch's own defaults hold", "see docs/operations.md")]
    problem = None if partitions is None else _problem(profile, partitions)
    if problem:
        return [_finding("cluster profile", "broken", f"{path}: {problem}", "mend the file")]
    tested = "" if partitions is None else _tested(profile)
    return [_finding("cluster profile", "broken" if tested else "works", f"{path}{tested}", "mend the file")]


def _problem(profile: Profile, partitions: dict[str, str]) -> str | None:
    lacking = [p for p in (profile.partition or "").split(",") if p and p not in partitions]
    if lacking:
        return f"no partition {', '.join(lacking)}; there are {', '.join(partitions)}"
    limit = scheduler.array_limit()
    if profile.limits.array and profile.limits.array > limit:
        return f"limits.array: {profile.limits.array} is more than the cluster's {limit}"
    return None


def _tested(profile: Profile) -> str:
    """What sbatch itself objects to; nothing where it would take a small job."""
    options = {"partition": profile.partition, "account": profile.account, **profile.extra}
    given = [f"--{key}={value}" for key, value in options.items() if value is not None]
    try:
        scheduler.call("sbatch", "--test-only", "--time=1", "--mem=100M", *given, "--wrap=true")
    except scheduler.Unreachable as error:
        return f": {re.sub(r'^sbatch: ', '', str(error))}"
    return ""


def _partitions() -> dict[str, str]:
    listed = scheduler.call("sinfo", "-h", "-o", "%R %l")
    return dict(line.split(maxsplit=1) for line in listed.splitlines())


def _finding(what: str, state: str, found: str, mend: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "found": found, "mend": mend}
