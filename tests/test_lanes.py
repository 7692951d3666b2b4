"""Lanes in processes of their own: the same numbers as in one process, and every way in which such a process can end."""

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
from harness.env import Step
from harness.errors import RunFailed
from harness.lanes import LaneProcesses
from harness.loop import Interaction
from harness.vector import Episode, Lane, Vector

pytestmark = pytest.mark.numeric

SECONDS = 60  # after which something that was waited for will not come

TASKS = {  # task, options, noise
    "vectors": ("counter/vector_terminal", {"length": 4}, "state_gaussian:std=0.5,unit=absolute"),
    "images": ("counter/image", {"length": 5, "size": 32}, "gaussian:sigma=10+blackout:length=2,chance=0.3"),
    "native": ("atari100k/pong", {}, "gaussian:sigma=10,at=native"),
    "continuous": ("dmc/cartpole_swingup", {}, "clean"),
}


def makes(name, count, seed=3):
    task, options, text = TASKS[name]
    parsed = noise.parse(text).bind_task(task)
    return [partial(build._training_lane, task, options, parsed, partial(Episode.training, seed, i)) for i in range(count)]


def spec(name):
    task, options, _ = TASKS[name]
    made = envs.make(task, **options)
    made.close()
    return made.spec


class Wobbly(Scripted):
    """Plays what its uniform numbers say."""

    def __init__(self, space):
        super().__init__()
        self._space = space

    def act(self, carry, obs, uniforms, policy="sample"):
        carry, _, stored = super().act(carry, obs, uniforms)
        draw = uniforms[:, 0]
        discrete = (draw * self._space.classes).astype(np.int32)
        return carry, discrete if self._space.discrete else (2 * draw[:, None] - 1).astype(np.float32), stored


@pytest.fixture
def joined():
    """Interactions with lanes in this process (0) or in others; closed afterwards."""
    made = []

    def interaction(name, count, processes):
        declared, lanes = spec(name), makes(name, count)
        if processes:
            vector = LaneProcesses(lanes, declared, num_uniforms=2, processes=processes)
        else:
            vector = Vector([make() for make in lanes], declared)
        made.append(vector)
        return Interaction(vector, Wobbly(declared.action))

    yield interaction
    for vector in made:
        vector.close()


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("name", ["vectors", "images"])
def test_every_tick_is_the_same_wherever_the_lanes_are(name, processes, joined):
    here, there = joined(name, 3, 0), joined(name, 3, processes)
    for number in range(40):
        a, b = here.tick(), there.tick()
        assert equal(a.step, b.step) and a.ended == b.ended
        if number % 7 == 0:  # also in the middle of a step that has begun
            assert equal(here.state(), there.state())


@pytest.mark.parametrize("name", ["native", "continuous"])
def test_real_simulators_too(name, joined):
    here, there = joined(name, 2, 0), joined(name, 2, 2)
    for _ in range(60):
        assert equal(here.tick().step, there.tick().step)
    assert equal(here.state(), there.state())


@pytest.mark.parametrize("before, after", [(0, 2), (2, 1), (1, 0)])
def test_what_was_saved_with_some_processes_continues_with_others(before, after, joined):
    whole, first, second = joined("vectors", 3, 0), joined("vectors", 3, before), joined("vectors", 3, after)
    ticks = [whole.tick() for _ in range(30)]
    for _ in range(13):
        first.tick()
    second.load({key: array.copy() for key, array in first.state().items()})
    for tick in ticks[13:]:
        now = second.tick()
        assert equal(tick.step, now.step) and tick.ended == now.ended


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
        waited_for(self._go.exists)
        exec(self._go.read_text())
        self._time += 1
        return Step({"state": np.full(1, self._time, np.float32)}, 1.0, False, False)

    def close(self):
        pass


def gated(go):
    return Lane(Gate(go), noise.parse("clean"), partial(Episode.training, 0, 0))


def waited_for(what):
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < SECONDS
        time.sleep(0.01)


@pytest.fixture
def gates(tmp_path, monkeypatch):
    """Two such simulators in a process each, and the file they wait for."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)]))
    made = []

    def start():
        made.append(LaneProcesses([partial(gated, tmp_path / "go")] * 2, Gate.spec, num_uniforms=1, processes=2))
        return made[0], tmp_path / "go"

    yield start
    made[0].close()


def children(pid):
    """Ids of the processes that `pid` has started and that still live, oldest first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = stat.parent.name, stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(rest[1]) == pid and rest[0] != "Z":
            found.append(int(number))
    return sorted(found)


def test_the_step_goes_on_while_this_process_does_something_else(gates):
    vector, go = gates()
    before = vector.seen()
    vector.advance(np.zeros(2, np.int32))  # would wait for ever if it waited
    go.touch()
    after = vector.seen()
    assert before["state"].tolist() == [[0], [0]] and after["state"].tolist() == [[1], [1]]
    assert before["is_first"].all() and not after["is_first"].any()


def test_what_fails_there_is_raised_here(gates, capfd):
    vector, go = gates()
    go.write_text("1 / 0")
    vector.advance(np.zeros(2, np.int32))
    with pytest.raises(RunFailed, match="ZeroDivisionError in an environment: division by zero"):
        vector.seen()
    assert "Traceback" in capfd.readouterr().err


def test_a_failure_that_has_a_message_keeps_it(gates):
    vector, go = gates()
    go.write_text("from harness.errors import RunFailed; raise RunFailed('the lamp of the renderer is broken')")
    vector.advance(np.zeros(2, np.int32))
    with pytest.raises(RunFailed, match=r"^the lamp of the renderer is broken$"):
        vector.ended()


def test_a_process_that_is_killed_is_missed_and_named(gates):
    vector, go = gates()
    vector.seen()
    victim = children(os.getpid())[-1]
    vector.advance(np.zeros(2, np.int32))
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(RunFailed, match=r"environments 1 to 1 ended without a word \(killed by SIGKILL\)"):
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


def under_way(tmp_path, *arguments):
    """A run that has written a checkpoint and goes on -> (process, run, id of the run's own process, those of its lanes)."""
    process = start(*arguments, cwd=tmp_path)
    waited_for(lambda: process.poll() is not None or list(tmp_path.glob("runs/**/manifest.json")))
    (worker,) = children(process.pid)
    return process, the_run(tmp_path / "runs"), worker, children(worker)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_is_the_same_to_the_last_bit(workers, whole, tmp_path):
    output = dreamproof(*CARTPOLE, "--env-workers", workers, cwd=tmp_path)
    run = the_run(tmp_path / "runs")
    same(whole, run)
    a, b = (checkpoint.load(each.path / "checkpoint").arrays["interaction"] for each in (whole, run))
    assert equal(a, b) and any(key.endswith("actions") for key in a)
    assert run.provenance["env_workers"] == workers and whole.provenance["env_workers"] == 0
    assert "leaked" not in output + (run.path / "log.txt").read_text()


def test_a_run_killed_with_its_lanes_continues_with_other_ones(whole, tmp_path):
    arguments = [*CARTPOLE, "--checkpoint-every", 0.3]
    process, run, _, _ = under_way(tmp_path, *arguments, "--env-workers", 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < checkpoint.load(run.path / "checkpoint").step < 600
    dreamproof(*arguments, "--env-workers", 1, cwd=tmp_path)
    same(whole, run)
    assert run.state["attempt"] == 2 and [each["env_workers"] for each in run.provenance["resumed"]] == [1]


def test_lanes_end_by_themselves_when_their_run_is_killed(tmp_path):
    process, _, worker, lanes = under_way(tmp_path, *LONG, "--env-workers", 2)
    assert len(lanes) == 2
    os.kill(worker, signal.SIGKILL)
    waited_for(lambda: all(map(gone, lanes)))
    assert process.wait(SECONDS)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_a_run_whose_lanes_are_killed_fails_and_says_why(whole, tmp_path):
    process, run, worker, lanes = under_way(tmp_path, *CARTPOLE, "--checkpoint-every", 0.3, "--env-workers", 1)
    os.kill(lanes[0], signal.SIGKILL)
    output = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 1 and "environments 0 to 1" in output
    assert run.state["state"] == "failed" and "killed by SIGKILL" in run.state["message"] and gone(worker)
    dreamproof(*CARTPOLE, cwd=tmp_path)
    same(whole, run)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group_still_ends_in_a_checkpoint(name, tmp_path):
    process, run, _, lanes = under_way(tmp_path, *LONG, "--env-workers", 2)
    before = run.state["attempt"]
    os.killpg(process.pid, signal.Signals[name])
    output = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 1 and "same command continues" in output
    assert run.state["state"] == "preempted" and checkpoint.load(run.path / "checkpoint").step == run.state["step"]
    assert "Traceback" not in (run.path / "log.txt").read_text() and all(map(gone, lanes)) and before == 1


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
    found = []
    for more in ([], ["--env-workers", 1]):
        dreamproof("run", "study.yaml", "--runs", f"runs{len(found)}", *more, cwd=tmp_path)
        found.append(the_run(tmp_path / f"runs{len(found)}").provenance["env_workers"])
    dreamproof("submit", "study.yaml", "--cluster", "local", "--runs", "local", cwd=tmp_path)
    assert [*found, the_run(tmp_path / "local").provenance["env_workers"]] == [2, 1, 2]
