"""Environments in processes of their own: the same numbers as in one process, and every way such a process can end."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_loop import Scripted
from test_runs import TINY, dreamproof, same, start, the_run

from agents.protocol import Space, Spec
from harness import build, checkpoint, envs, noise
from harness.async_vector import AsyncVector
from harness.env import Step
from harness.errors import RunFailed
from harness.loop import Interaction
from harness.vector import EnvSlot, Episode, SyncVector

pytestmark = pytest.mark.numeric

TIMEOUT = 60  # seconds after which an event will not come

TASKS = {  # task, options, noise
    "vectors": ("counter/vector_terminal", {"length": 4}, "state_gaussian:std=0.5,unit=absolute"),
    "images": ("counter/image", {"length": 5, "size": 32}, "gaussian:sigma=10+blackout:length=2,chance=0.3"),
    "native": ("atari100k/pong", {}, "gaussian:sigma=10,at=native"),
    "continuous": ("dmc/cartpole_swingup", {}, "clean"),
}


def slot_makers(name, count, seed=3):
    task, options, text = TASKS[name]
    bound = noise.parse(text).bind_task(task)
    return [partial(build._training_slot, task, options, bound, partial(Episode.training, seed, i)) for i in range(count)]


def spec_of(name):
    task, options, _ = TASKS[name]
    env = envs.make(task, **options)
    env.close()
    return env.spec


class RandomActions(Scripted):
    """Takes the action that its uniform numbers say."""

    def __init__(self, space):
        super().__init__()
        self._space = space

    def act(self, carry, obs, uniforms, policy="sample"):
        carry, _, extra = super().act(carry, obs, uniforms)
        uniform = uniforms[:, 0]
        discrete = (uniform * self._space.classes).astype(np.int32)
        return carry, discrete if self._space.discrete else (2 * uniform[:, None] - 1).astype(np.float32), extra


@pytest.fixture
def new_interaction():
    """Interactions with environments in this process (0) or in others; closed afterwards."""
    vectors = []

    def interaction(name, count, processes):
        spec, makers = spec_of(name), slot_makers(name, count)
        if processes:
            vector = AsyncVector(makers, spec, num_uniforms=2, processes=processes)
        else:
            vector = SyncVector([make_slot() for make_slot in makers], spec)
        vectors.append(vector)
        return Interaction(vector, RandomActions(spec.action))

    yield interaction
    for vector in vectors:
        vector.close()


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("name", ["vectors", "images"])
def test_every_tick_is_the_same_wherever_the_environments_step(name, processes, new_interaction):
    sync, separate = new_interaction(name, 3, 0), new_interaction(name, 3, processes)
    for number in range(40):
        a, b = sync.tick(), separate.tick()
        assert equal(a.step, b.step) and a.finished_episodes == b.finished_episodes
        if number % 7 == 0:  # also while a step is under way
            assert equal(sync.state(), separate.state())


@pytest.mark.parametrize("name", ["native", "continuous"])
def test_real_simulators_too(name, new_interaction):
    sync, separate = new_interaction(name, 2, 0), new_interaction(name, 2, 2)
    for _ in range(60):
        assert equal(sync.tick().step, separate.tick().step)
    assert equal(sync.state(), separate.state())


@pytest.mark.parametrize("before, after", [(0, 2), (2, 1), (1, 0)])
def test_what_was_saved_with_some_processes_continues_with_others(before, after, new_interaction):
    whole, first, second = (
        new_interaction("vectors", 3, 0),
        new_interaction("vectors", 3, before),
        new_interaction("vectors", 3, after),
    )
    ticks = [whole.tick() for _ in range(30)]
    for _ in range(13):
        first.tick()
    second.load({key: array.copy() for key, array in first.state().items()})
    for tick in ticks[13:]:
        after_resume = second.tick()
        assert equal(tick.step, after_resume.step) and tick.finished_episodes == after_resume.finished_episodes


# A simulator that waits, fails or dies


class Gate:
    """Its steps wait until there is a file `go`, and do what that file says."""

    spec = Spec({"state": Space((1,), "float32")}, Space((), "int32", classes=2))
    native = None

    def __init__(self, go):
        self._go, self._time = Path(go), 0

    def reset(self, seed):
        return {"state": np.zeros(1, np.float32)}

    def step(self, action):
        wait_for(self._go.exists)
        exec(self._go.read_text())
        self._time += 1
        return Step({"state": np.full(1, self._time, np.float32)}, 1.0, False, False)

    def close(self):
        pass


def gated(go):
    return EnvSlot(Gate(go), noise.parse("clean"), partial(Episode.training, 0, 0))


def wait_for(condition):
    start_time = time.monotonic()
    while not condition():
        assert time.monotonic() - start_time < TIMEOUT
        time.sleep(0.01)


@pytest.fixture
def gates(tmp_path, monkeypatch):
    """Starts two such simulators in a process each -> their vector, and the file that they wait for."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)]))
    vectors = []

    def start():
        vectors.append(AsyncVector([partial(gated, tmp_path / "go")] * 2, Gate.spec, num_uniforms=1, processes=2))
        return vectors[0], tmp_path / "go"

    yield start
    vectors[0].close()


def children(pid):
    """Ids of the processes that `pid` has started and that still live, oldest first."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            pids.append(int(stat.parent.name))
    return sorted(pids)


def test_the_step_goes_on_while_this_process_does_something_else(gates):
    vector, go = gates()
    before = vector.current()
    vector.advance(np.zeros(2, np.int32))  # would wait for ever if it waited
    go.touch()
    after = vector.current()
    assert before["state"].tolist() == [[0], [0]] and after["state"].tolist() == [[1], [1]]
    assert before["is_first"].all() and not after["is_first"].any()


def test_what_fails_there_is_raised_here(gates, capfd):
    vector, go = gates()
    go.write_text("1 / 0")
    vector.advance(np.zeros(2, np.int32))
    with pytest.raises(RunFailed, match="ZeroDivisionError in an environment: division by zero"):
        vector.current()
    assert "Traceback" in capfd.readouterr().err


def test_a_failure_that_has_a_message_keeps_it(gates):
    vector, go = gates()
    go.write_text("from harness.errors import RunFailed; raise RunFailed('the lamp of the renderer is broken')")
    vector.advance(np.zeros(2, np.int32))
    with pytest.raises(RunFailed, match=r"^the lamp of the renderer is broken$"):
        vector.finished_episodes()


def test_a_process_that_is_killed_is_missed_and_named(gates):
    vector, go = gates()
    vector.current()
    victim = children(os.getpid())[-1]
    vector.advance(np.zeros(2, np.int32))
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(RunFailed, match=r"environments 1 to 1 ended without a message \(killed by SIGKILL\)"):
        go.touch()
        vector.uniforms(1)


def test_closing_leaves_no_process_behind(gates):
    vector, go = gates()
    go.touch()
    before = children(os.getpid())
    assert len(before) >= 2
    vector.close()
    assert len(children(os.getpid())) == len(before) - 2


# Whole runs

CARTPOLE = ["run", "--task", "dmc/cartpole_swingup", *TINY, "--set", "env.envs=2", "--set", "train.ratio=16",
            "--set", "train.log_every=100", "--noise", "state_gaussian:std=0.1", "--steps", 600, "--episodes", 1,
            "--seed", 5]  # fmt: skip
LONG = [100_000 if word == 600 else word for word in CARTPOLE] + ["--checkpoint-every", 0.3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run whose environments step in its own process."""
    folder = tmp_path_factory.mktemp("whole")
    dreamproof(*CARTPOLE, "--env-workers", 0, cwd=folder)
    return the_run(folder / "runs")


def start_and_checkpoint(tmp_path, *arguments):
    """A run that has written a checkpoint and goes on -> (process, run, the run's process id, those of its environments)."""
    process = start(*arguments, cwd=tmp_path)
    wait_for(lambda: process.poll() is not None or list(tmp_path.glob("runs/**/manifest.json")))
    (worker,) = children(process.pid)
    return process, the_run(tmp_path / "runs"), worker, children(worker)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_is_the_same_to_the_last_bit(workers, whole, tmp_path):
    output = dreamproof(*CARTPOLE, "--env-workers", workers, cwd=tmp_path)
    run = the_run(tmp_path / "runs")
    same(whole, run)
    a, b = (checkpoint.load(r.path / "checkpoint").arrays["interaction"] for r in (whole, run))
    assert equal(a, b) and any(key.endswith("actions") for key in a)
    assert run.provenance["env_workers"] == workers and whole.provenance["env_workers"] == 0
    assert "leaked" not in output + (run.path / "log.txt").read_text()


@pytest.mark.slow
def test_a_run_killed_with_its_processes_continues_with_other_ones(whole, tmp_path):
    arguments = [*CARTPOLE, "--checkpoint-every", 0.3]
    process, run, _, _ = start_and_checkpoint(tmp_path, *arguments, "--env-workers", 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < checkpoint.load(run.path / "checkpoint").step < 600
    dreamproof(*arguments, "--env-workers", 1, cwd=tmp_path)
    same(whole, run)
    assert run.state["attempt"] == 2 and [entry["env_workers"] for entry in run.provenance["resumed"]] == [1]


@pytest.mark.slow
def test_processes_end_by_themselves_when_their_run_is_killed(tmp_path):
    process, _, worker, env_pids = start_and_checkpoint(tmp_path, *LONG, "--env-workers", 2)
    assert len(env_pids) == 2
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: all(map(gone, env_pids)))
    assert process.wait(TIMEOUT)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.slow
def test_a_run_whose_processes_are_killed_fails_and_says_why(whole, tmp_path):
    process, run, worker, env_pids = start_and_checkpoint(tmp_path, *CARTPOLE, "--checkpoint-every", 0.3, "--env-workers", 1)
    os.kill(env_pids[0], signal.SIGKILL)
    output = process.communicate(timeout=TIMEOUT)[0]
    assert process.returncode == 1 and "environments 0 to 1" in output
    assert run.state["state"] == "failed" and "killed by SIGKILL" in run.state["message"] and gone(worker)
    dreamproof(*CARTPOLE, cwd=tmp_path)
    same(whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group_still_ends_in_a_checkpoint(name, tmp_path):
    process, run, _, env_pids = start_and_checkpoint(tmp_path, *LONG, "--env-workers", 2)
    before = run.state["attempt"]
    os.killpg(process.pid, signal.Signals[name])
    output = process.communicate(timeout=TIMEOUT)[0]
    assert process.returncode == 1 and "same command continues" in output
    assert run.state["state"] == "preempted" and checkpoint.load(run.path / "checkpoint").step == run.state["step"]
    assert "Traceback" not in (run.path / "log.txt").read_text() and all(map(gone, env_pids)) and before == 1


@pytest.mark.slow
def test_a_study_says_how_many_and_the_command_line_has_the_last_word(tmp_path):
    (tmp_path / "study.yaml").write_text("""
name: grid
agent: random
tasks: [counter/vector]
steps: 80
set: {env.envs: 2}
evaluate: {episodes: 1}
resources: {env_workers: 2}
""")
    counts = []
    for options in ([], ["--env-workers", 1]):
        dreamproof("run", "study.yaml", "--runs", f"runs{len(counts)}", *options, cwd=tmp_path)
        counts.append(the_run(tmp_path / f"runs{len(counts)}").provenance["env_workers"])
    dreamproof("submit", "study.yaml", "--cluster", "local", "--runs", "local", cwd=tmp_path)
    assert [*counts, the_run(tmp_path / "local").provenance["env_workers"]] == [2, 1, 2]
