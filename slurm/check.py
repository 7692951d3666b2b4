"""The checks of `dreamproof doctor` for SLURM and the cluster profile."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import BadInput
from slurm import profile as profiles
from slurm import scheduler
from slurm.profile import Profile

EDIT = "correct the file"


def check_cluster(path: Path | None = None) -> list[dict[str, str]]:
    """One dictionary per check, with keys `what, state, found, mend`. `path`: a cluster profile; default: the usual places."""
    if not scheduler.available():
        remedy = "use --cluster local, or log in to a cluster; see docs/operations.md"
        return [_result("SLURM", "missing", "no sbatch here", remedy), *_check_profile(path, None)]
    try:
        partitions = _partitions()
        version = scheduler.call("sbatch", "--version").strip()
    except scheduler.Unreachable as error:
        state = "broken" if scheduler.configured() else "missing"
        remedy = "ask the cluster's administrators; a cluster of your own: dreamproof devcluster up"
        return [_result("SLURM", state, str(error), remedy), *_check_profile(path, None)]
    limit = scheduler.array_limit()
    evidence = f"{version}; partitions {', '.join(partitions)}; arrays of at most {limit} tasks"
    return [_result("SLURM", "works", evidence), _check_accounting(), *_check_profile(path, partitions)]


def _check_accounting() -> dict[str, str]:
    try:
        scheduler.call("sacct", "-n", "-X", "-S", "now-1hour")
    except scheduler.Unreachable:
        evidence = "no sacct: only the run directories say how old jobs ended"
        return _result("accounting", "missing", evidence, "not needed")
    return _result("accounting", "works", "sacct answers")


def _check_profile(path: Path | None, partitions: dict[str, str] | None) -> list[dict[str, str]]:
    """`partitions` of the cluster; None where no scheduler answers, so that only the file itself is checked."""
    try:
        source = profiles.locate(path)
        profile = profiles.load(path)
    except BadInput as error:
        return [_result("cluster profile", "broken", str(error), EDIT)]
    if source is None:
        evidence = "no cluster.yaml: the defaults of sbatch apply"
        return [_result("cluster profile", "missing", evidence, "see docs/operations.md")]
    problem = None
    if partitions is not None:
        problem = _contradiction(profile, partitions) or _sbatch_objection(profile)
    if problem:
        return [_result("cluster profile", "broken", f"{source}: {problem}", EDIT)]
    return [_result("cluster profile", "works", str(source))]


def _contradiction(profile: Profile, partitions: dict[str, str]) -> str | None:
    """What the profile asks of a cluster that does not have it."""
    unknown = [name for name in (profile.partition or "").split(",") if name and name not in partitions]
    if unknown:
        return f"no partition {', '.join(unknown)}; there are {', '.join(partitions)}"
    limit = scheduler.array_limit()
    if profile.limits.array and profile.limits.array > limit:
        return f"limits.array: {profile.limits.array} is more than the cluster's {limit}"
    return None


def _sbatch_objection(profile: Profile) -> str | None:
    """Why sbatch would refuse a small job of this profile; None where it would take it."""
    options = {"partition": profile.partition, "account": profile.account, **profile.extra}
    arguments = [f"--{key}={value}" for key, value in options.items() if value is not None]
    try:
        scheduler.call("sbatch", "--test-only", "--time=1", "--mem=100M", *arguments, "--wrap=true")
    except scheduler.Unreachable as error:
        return re.sub(r"^sbatch: ", "", str(error))
    return None


def _partitions() -> dict[str, str]:
    """Partition -> its time limit."""
    lines = scheduler.call("sinfo", "-h", "-o", "%R %l").splitlines()
    return {name: limit for name, limit in (line.split(maxsplit=1) for line in lines)}


def _result(subject: str, state: str, evidence: str, remedy: str = "") -> dict[str, str]:
    return {"what": subject, "state": state, "found": evidence, "mend": remedy}
