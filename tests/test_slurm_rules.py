"""The rules by which a grid is cut into arrays, sent and looked at: pure functions, and SLURM's programs as recorders."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import cluster
import pytest
from cluster import dreamproof

from harness import claim, config, failures, rundir, study
from harness.errors import BadInput
from harness.rundir import RunDir
from slurm import arrays, profile, state, submission
from slurm.scheduler import Job


def needs(count, **changes):
    return {f"run{i}": study.Resources(**changes) for i in range(count)}


# Arrays


def test_arrays_are_cut_at_the_limit_and_packed_and_share_the_throttle():
    groups = arrays.group_into_arrays(needs(10, pack=2, parallel=8), limit=3)
    assert [len(array.tasks) for array in groups] == [3, 2]
    assert [name for array in groups for task in array.tasks for name in task] == [f"run{i}" for i in range(10)]
    assert [array.at_once for array in groups] == [2, 2]  # 8 runs at a time are 4 tasks, shared out as 3:2


def test_runs_that_need_different_things_stand_in_different_arrays():
    where = {"counter/image": {"memory": "32G", "hours": 24}, "random": {"gpus": 0}}
    tree = {"name": "x", "tasks": ["counter/vector", "counter/image"], "size": "nano", "references": ["random"]}
    tree |= {"resources": {"memory": "8G", "gpus": 1, "where": where}}
    loaded = config.validate(study.Study, tree, "test")
    groups = arrays.group_into_arrays({run.run_id: study.resources(loaded, run) for run in study.expand(loaded)}, 1000)
    tasks = {(a.resources.memory, a.resources.hours, a.resources.gpus): len(a.tasks) for a in groups}
    assert tasks == {("8G", 12, 1): 1, ("8G", 12, 0): 1, ("32G", 24, 1): 1, ("32G", 24, 0): 1}


def script(folder, resources, **options):
    array = arrays.group_into_arrays({"run0": study.Resources(**resources)}, 10)[0]
    return arrays.batch_script(array, name="n", folder=folder, number=0, profile=profile.Profile(**options), code=Path("/code"))


def test_a_script_holds_the_profile_the_resources_and_what_they_add(tmp_path):
    options = {
        "partition": "gpu",
        "account": "lab",
        "modules": ["cuda/12.4"],
        "setup": ["ulimit -c 0"],
        "extra": {"qos": "long"},
    }
    text = script(tmp_path, {"gpus": 1, "cpus": 3, "memory": "900M", "pack": 1, "hours": 0.1, "partition": "big"}, **options)
    lines = text.splitlines()
    for line in ("partition=big", "account=lab", "qos=long", "gpus-per-node=1", "cpus-per-task=3", "mem=900M", "time=6"):
        assert f"#SBATCH --{line}" in lines
    assert "#SBATCH --signal=B:USR2@72" in lines  # a fifth of six minutes
    assert lines.index("module load cuda/12.4") < lines.index("ulimit -c 0") < lines.index("# command")


def test_names_cannot_leave_the_folder_or_become_commands(tmp_path):
    evil = tmp_path / "a b;$(touch x)'%j"
    text = script(evil, {})
    command = next(line for line in text.splitlines() if line.startswith("exec "))
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {command.removeprefix('exec ')}"], capture_output=True, text=True)
    assert words.stdout.splitlines()[4:] == [str(evil), "0"]
    assert f"{evil}".replace("%", "%%") in text.replace("'\"'\"'", "'")
    for bad in ({"partition": "a b"}, {"extra": {"qos": "x\n#SBATCH --wrap=evil"}}, {"extra": {"a b": 1}}):
        with pytest.raises(BadInput):
            config.validate(study.Resources, bad, "test")
    for name in ("../up", "a/b", "$(x)", ".jobs", "-n"):
        with pytest.raises(BadInput):
            config.validate(study.Study, {"name": name, "tasks": ["counter/vector"]}, "test")
    with pytest.raises(BadInput, match="array"):
        script(tmp_path, {"extra": {"array": "0-5"}})


def test_a_profile_with_a_typing_error_is_refused_with_the_nearest_key(tmp_path):
    (tmp_path / "cluster.yaml").write_text("partitoin: gpu\n")
    with pytest.raises(BadInput, match="partition"):
        profile.load(tmp_path / "cluster.yaml")


# States


@pytest.mark.parametrize(
    ("recorded", "alive", "job", "submitted", "reachable", "resolved"),
    [
        ("done", None, "RUNNING", True, True, "done"),
        ("failed", None, "RUNNING", True, True, "failed"),
        ("running", True, None, False, True, "running"),
        ("running", True, None, True, False, "running"),
        ("queued", None, "PENDING", True, True, "queued"),
        ("preempted", None, "PENDING", True, True, "queued"),
        ("preempted", None, "RUNNING", True, True, "running"),
        ("preempted", None, None, True, True, "preempted"),
        ("timeout", None, "TIMEOUT", True, True, "timeout"),
        ("running", False, None, True, True, "lost"),
        ("running", False, "NODE_FAIL", True, True, "lost"),
        ("running", False, "TIMEOUT", True, True, "timeout"),
        ("running", False, "CANCELLED", True, True, "cancelled"),
        ("running", False, None, True, False, "running"),
        ("queued", None, None, True, True, "lost"),
        ("queued", None, None, True, False, "queued"),
        ("queued", None, None, False, True, "queued"),
    ],
)
def test_sources_that_disagree_are_resolved_by_the_rules(recorded, alive, job, submitted, reachable, resolved):
    task = Job("n", "1", 0, job) if job else None
    assert state.resolve_state({"state": recorded}, lambda: alive, task, submitted, reachable)[0] == resolved


def test_a_run_that_waits_again_is_not_said_to_have_never_begun():
    ended = Job("7", "n", 0, "COMPLETED", "None")
    for step, words in ((0, "before it began"), (40, "before it began again")):
        _, message = state.resolve_state({"state": "queued", "step": step}, lambda: False, ended, True, True)
        assert message.endswith(words), message


@pytest.mark.parametrize(
    ("reason", "log", "kind"),
    [
        ("RuntimeError: CUDA out of memory. Tried to allocate 2 GiB", "", "memory"),
        ("out of memory (OUT_OF_MEMORY)", "", "memory"),
        ("OSError: [Errno 28] No space left on device", "", "disk"),
        ("time limit of 1 minutes after step-000000100", "", "time"),
        ("node failure (NODE_FAIL)", "", "node"),
        ("100 updates in a row had a loss or gradient that is not finite", "", "nan"),
        ("ValueError: x", 'File "/v/site-packages/dm_control/suite/base.py", line 3', "simulator"),
        ("the worker process ended without a message (killed by SIGKILL) after step-000000100", "", "killed"),
        ("ZeroDivisionError: division by zero", "some line", "bug"),
    ],
)
def test_failures_are_classified(reason, log, kind):
    assert failures.classify(reason, log) == kind and failures.remedy(kind)


def test_the_third_same_failure_in_a_row_is_the_last(tmp_path):
    run = RunDir.create(tmp_path / "r", {"version": 1})
    another_attempt = [failures.record_failure(run, reason) for reason in ("a", "a", "b", "a", "a", "a")]
    assert another_attempt == [True, True, True, True, True, False]
    assert run.state["state"] == "failed" and run.state["message"] == "a (3 times in a row)"
    failures.reset_failures(run)
    assert failures.record_failure(run, "a") and [f["reason"] for f in run.state["failures"]] == ["a"]


# Claims

HOLD = """
import sys, time
from pathlib import Path
from harness.claim import Claim, RunBusy
try:
    with Claim(Path(sys.argv[1])):
        print("mine", flush=True)
        sys.stdin.readline()
except RunBusy:
    print("busy", flush=True)
"""


def holder(path, **environment):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=cluster.ROOT, stdin=subprocess.PIPE, text=True,
                               stdout=subprocess.PIPE, env={**os.environ, **environment})  # fmt: skip
    return process, process.stdout.readline().strip()


def end(*processes):
    for process in processes:
        process.communicate("\n", timeout=20)


def test_of_many_who_find_a_dead_claim_one_gets_it(tmp_path):
    path = tmp_path / "claim"
    first, answer = holder(path)
    assert answer == "mine"
    first.kill()
    first.wait()
    many = [subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=cluster.ROOT, stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE) for _ in range(12)]  # fmt: skip
    answers = [process.stdout.readline().strip() for process in many]
    assert sorted(answers) == ["busy"] * 11 + ["mine"]
    end(*many)
    assert os.listdir(tmp_path) == []


def foreign(path, seconds, **changes):
    """A claim of a process on another machine, last seen so many seconds ago."""
    here = {"host": "elsewhere", "pid": 1, "born": "1", "machine": "other", "job": None, "restarts": 0, "token": "t"}
    path.write_text(json.dumps(here | changes))
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_claim_elsewhere_is_dead_after_three_minutes_of_silence_or_when_its_job_was_requeued(tmp_path, monkeypatch):
    path = tmp_path / "claim"
    foreign(path, claim.STALE_SECONDS - 30)
    with pytest.raises(claim.RunBusy, match="elsewhere"), claim.Claim(path):
        pass
    foreign(path, claim.STALE_SECONDS + 30)
    with claim.Claim(path) as mine:
        assert mine.is_ours()
    foreign(path, 1, job="7_3", restarts=1)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with pytest.raises(claim.RunBusy), claim.Claim(path):
        pass
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    with claim.Claim(path):
        pass


def test_clocks_of_nodes_do_not_matter(tmp_path, monkeypatch):
    path = tmp_path / "claim"
    foreign(path, 5)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(claim.RunBusy), claim.Claim(path):
        pass


def test_who_was_taken_for_dead_writes_nothing_more(tmp_path):
    run = RunDir.create(tmp_path / "r", {"version": 1})
    with run.claim():
        log = run.log("episodes")
        log.add({"step": 1})
        offset = log.offset
        log.add({"step": 2})
        (run.path / "claim").unlink()
        other = RunDir(run.path)
        with other.claim():
            successor = other.log("episodes")
            successor.cut(offset)
            log.add({"step": 3})  # the zombie's row goes into the file that was replaced
            successor.add({"step": 4})
            with pytest.raises(claim.ClaimLost):
                run.set_state(state="running")
            other.set_state(state="running", step=4)
    assert [row["step"] for row in run.rows("episodes")] == [1, 4]
    assert other.state["step"] == 4


# A grid of thousands, against recorders in place of SLURM's programs

SBATCH = """n=$(cat "$HERE/n" 2>/dev/null || echo 0)
[ "$n" -ge "${LIMIT:-99}" ] && { echo QOSMaxSubmitJobPerUserLimit >&2; exit 1; }
for last; do :; done
cp "$last" "$HERE/script-$n"
echo $((n+1)) | tee "$HERE/n"
"""
RECORDERS = {
    "sbatch": SBATCH,
    "squeue": 'cat "$HERE/queue" 2>/dev/null',
    "scontrol": 'echo "MaxArraySize            = 301"',
    "sacct": 'echo "accounting storage is disabled" >&2; exit 1',
    "scancel": "true",
}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, command in RECORDERS.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nHERE={tmp_path}\necho {name} "$@" >> "$HERE/calls"\n{command}\nexit 0\n')
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


def queue(cwd):
    records = submission.read_records(cwd / "runs" / "grid")
    lines = [f"{one.job}|{task}|PENDING|Priority|{one.name}" for one in records for task in range(len(one.tasks))]
    (cwd / "queue").write_text("\n".join(lines) + "\n")


def calls(cwd):
    lines = (cwd / "calls").read_text().splitlines()
    (cwd / "calls").unlink()
    return [line.split()[0] for line in lines]


def test_a_thousand_runs_cost_a_call_per_array_and_one_per_look(recorded):
    study_file = cluster.study(recorded, seeds=1000)
    assert "1000 of 1000 runs submitted in 4 arrays" in dreamproof("submit", study_file, cwd=recorded)
    assert calls(recorded) == ["scontrol", "sbatch", "sbatch", "sbatch", "sbatch"]
    queue(recorded)
    assert "Nothing to submit" in dreamproof("submit", study_file, cwd=recorded)
    assert calls(recorded).count("sbatch") == 0
    assert "1000 queued" in dreamproof("status", study_file, cwd=recorded)
    assert calls(recorded) == ["squeue"]
    scripts = [(recorded / f"script-{k}").read_text() for k in range(4)]
    assert [text.split("--array=")[1].split("%")[0] for text in scripts] == ["0-300", "0-300", "0-300", "0-96"]


def test_what_sbatch_refuses_is_sent_by_the_next_call(recorded):
    study_file = cluster.study(recorded, seeds=700)
    output = dreamproof("submit", study_file, cwd=recorded, status=1, environment={"LIMIT": "2"})
    assert "602 of 700 runs were submitted" in output and "QOSMaxSubmitJobPerUserLimit" in output
    queue(recorded)
    assert "98 of 700 runs submitted in 1 arrays; 602 in the queue" in dreamproof("submit", study_file, cwd=recorded)


def test_a_submit_limit_holds_tasks_back(recorded):
    (recorded / "cluster.yaml").write_text("limits: {submit: 50, array: 40}\n")
    study_file = cluster.study(recorded, seeds=70)
    output = dreamproof("submit", study_file, cwd=recorded)
    assert "50 of 70 runs submitted in 2 arrays; 20 tasks held back" in output


def array_sizes(cwd):
    """The arrays of the submissions that went out -> tasks, runs of each, oldest first."""
    return [(len(one.tasks), sum(map(len, one.tasks))) for one in submission.read_records(cwd / "runs" / "grid")]


def test_a_plan_and_a_dry_run_are_what_submit_sends_under_the_limits_of_the_cluster(recorded):
    (recorded / "cluster.yaml").write_text("limits: {submit: 9, array: 5, hours: 1.5}\nextra: {qos: long}\n")
    study_file = cluster.study(recorded, seeds=30, resources={"memory": "1G", "cpus": 2, "hours": 4, "pack": 3, "parallel": 6})
    planned = json.loads(dreamproof("plan", study_file, "--json", cwd=recorded))
    assert [(a["tasks"], a["runs"], a["at_once"]) for a in planned["arrays"]] == [(5, 15, 1), (4, 12, 1)]
    assert planned["held_back"] == 1
    page = dreamproof("plan", study_file, cwd=recorded)
    assert "array: 5 tasks of up to 3 runs, each 6 CPU, 3G, 1.5 h, 1 at a time" in page
    assert "held back by the submit limit: 1 task" in page
    text = dreamproof("submit", study_file, "--dry-run", cwd=recorded)
    for line in ("--array=0-4%1", "--array=0-3%1", "--time=90", "--cpus-per-task=6", "--mem=3G", "--qos=long"):
        assert f"#SBATCH {line}\n" in text
    assert not (recorded / "runs").exists()
    dreamproof("submit", study_file, cwd=recorded)
    assert array_sizes(recorded) == [(5, 15), (4, 12)]
    queue(recorded)
    assert "array:" not in (page := dreamproof("plan", study_file, cwd=recorded)) and "1 task" in page


def test_a_plan_counts_runs_whose_evaluation_has_changed(recorded):
    study_file = cluster.study(recorded, seeds=2)
    dreamproof("submit", study_file, "--cluster", "local", cwd=recorded)
    assert "array:" not in dreamproof("plan", study_file, cwd=recorded)
    study_file = cluster.study(recorded, seeds=2, evaluate={"noise": ["clean"], "episodes": 3})
    assert "array: 2 tasks" in dreamproof("plan", study_file, cwd=recorded)
    assert "--array=0-1%2" in dreamproof("submit", study_file, "--dry-run", cwd=recorded)


def test_a_scheduler_that_does_not_answer_makes_nothing_lost(recorded):
    study_file = cluster.study(recorded, seeds=3)
    dreamproof("submit", study_file, cwd=recorded)
    (recorded / "bin" / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    output = dreamproof("status", study_file, cwd=recorded)
    assert "3 queued" in output and "Unable to contact" in output
    assert "Nothing was submitted" in dreamproof("submit", study_file, cwd=recorded, status=1)


def test_the_local_queue_has_the_same_states(tmp_path):
    study_file = cluster.study(tmp_path, seeds=3)
    dreamproof("submit", study_file, "--cluster", "local", "--parallel", 2, cwd=tmp_path)
    assert {row["state"] for row in cluster.rows(tmp_path).values()} == {"done"}
    assert [run.state["attempt"] for run in rundir.find_runs([tmp_path / "runs"])] == [1, 1, 1]


@pytest.mark.parametrize("arguments", [("status", "nothing"), ("cancel", "nothing"), ("retry", "nothing"), ("logs", "nothing")])
def test_what_is_not_there_is_refused_in_one_paragraph(arguments, tmp_path):
    output = dreamproof(*arguments, cwd=tmp_path, status=2)
    assert "nothing" in output and "Traceback" not in output
