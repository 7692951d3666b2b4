"""The replay against a list of steps that remembers everything and looks everything up."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol import Space
from harness import arrays as files
from harness.errors import BadInput
from harness.replay import Replay

SPACES = {
    "image": Space((2, 2, 1), "uint8"),
    "reward": Space((), "float32"),
    "is_first": Space((), "bool"),
    "is_last": Space((), "bool"),
    "deter": Space((3,), "uint16"),
}


def make(envs=2, capacity=1000, length=5, **options):
    return Replay(SPACES, latents=["deter"], envs=envs, capacity=capacity, length=length, **options)


def tick_of(t, envs):
    """A step whose every value tells its tick and environment; flags that follow no simple period."""
    number = t * envs + np.arange(envs)
    return {
        "image": np.broadcast_to((number % 251).astype(np.uint8)[:, None, None, None], (envs, 2, 2, 1)),
        "reward": number.astype(np.float32),
        "is_first": number * 7 % 11 == 0,
        "is_last": number * 5 % 13 == 0,
        "deter": np.repeat((number % 60000).astype(np.uint16)[:, None], 3, 1),
    }


class Naive:
    """The same contract, spelled out: a list of steps per environment, a list of items, a list as queue."""

    def __init__(self, envs, capacity, length, online=True):
        self.envs, self.capacity, self.length, self.online = envs, capacity, length, online
        self.streams, self.items, self.queue = [[] for _ in range(envs)], [], []

    def add(self, step):
        for env, stream in enumerate(self.streams):
            stream.append({key: np.array(value[env]) for key, value in step.items()})
            if len(stream) >= self.length:
                start = len(stream) - self.length
                self.items.append((start, env))
                if self.online and (len(stream) - 1) % self.length == 0:
                    self.queue.append((start, env))
        self.items = self.items[-self.capacity :]
        self.queue = [item for item in self.queue if item in self.items]

    def sample(self, batch, rng):
        queued, self.queue = self.queue[:batch], self.queue[batch:]
        low = self.items[0][0] * self.envs + self.items[0][1]
        numbers = rng.integers(low, low + len(self.items), batch - len(queued))
        items = queued + [divmod(int(number), self.envs) for number in numbers]
        return [self.window(start, env) for start, env in items], items

    def window(self, start, env):
        steps = self.streams[env][start : start + self.length]
        out = {key: np.stack([step[key] for step in steps]) for key in steps[0]}
        first, last = out["is_first"], out["is_last"]
        first[0] = True
        for t in range(self.length - 1):
            last[t] = last[t] or first[t + 1]
        return out

    def refresh(self, items, values):
        for (start, env), row in zip(items, values["deter"], strict=True):
            for t, value in enumerate(row, start + self.length - len(row)):
                self.streams[env][t]["deter"] = value.copy()


def run(replay, naive, script, seed=0):
    """Drive both by the same script; compare whatever comes out."""
    ours, theirs, values = np.random.default_rng(seed), np.random.default_rng(seed), np.random.default_rng(1)
    last_sample, tick = None, sum(map(len, naive.streams)) // naive.envs
    for operation, amount in script:
        if operation == "add":
            for _ in range(amount):
                replay.add(tick_of(tick, naive.envs))
                naive.add(tick_of(tick, naive.envs))
                tick += 1
        elif operation == "sample" and len(naive.items):
            batch, ids = replay.sample(amount, ours)
            windows, naive_items = naive.sample(amount, theirs)
            last_sample = ids, naive_items
            for key in SPACES:
                np.testing.assert_array_equal(batch[key], np.stack([window[key] for window in windows]), err_msg=key)
        elif operation == "refresh" and last_sample:
            fresh = values.integers(0, 60000, (len(last_sample[0]), naive.length - 1, 3)).astype(np.uint16)
            replay.refresh(last_sample[0], {"deter": fresh})
            naive.refresh(last_sample[1], {"deter": fresh})
        assert len(replay) == len(naive.items)


scripts = st.lists(
    st.tuples(st.sampled_from(["add", "sample", "sample", "refresh"]), st.integers(1, 12)), min_size=3, max_size=25
)
shapes = st.fixed_dictionaries(
    {
        "envs": st.integers(1, 4),
        "capacity": st.integers(1, 60),
        "length": st.integers(2, 9),
        "online": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(shapes, st.integers(1, 20), scripts)
def test_does_what_a_list_does(shape, chunk, script):
    run(make(**shape, chunk=chunk), Naive(**shape), script)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(1, 20), scripts, scripts)
def test_goes_on_after_save_and_load_as_if_nothing_had_happened(shape, chunk, before, after):
    replay, naive = make(**shape, chunk=chunk), Naive(**shape)
    run(replay, naive, before)
    with tempfile.TemporaryDirectory() as name:
        folder, shared = Path(name, "one"), Path(name, "shared")
        folder.mkdir(), shared.mkdir()
        replay.save(folder, shared)
        restored = make(**shape, chunk=chunk)
        restored.load(folder, shared)
    run(restored, naive, after)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(1, 20), st.lists(st.tuples(scripts, st.booleans()), min_size=2, max_size=5), scripts)
def test_goes_on_after_many_saves_some_of_which_failed(shape, chunk, parts, after):
    """A save that fails once its files are written leaves none of them; the next one must not build on them."""
    replay, naive = make(**shape, chunk=chunk), Naive(**shape)
    with tempfile.TemporaryDirectory() as name:
        folder, shared = Path(name, "one"), Path(name, "shared")
        folder.mkdir(), shared.mkdir()
        for script, failed in parts:
            run(replay, naive, script)
            before = set(shared.iterdir())
            needed = replay.save(folder, shared)
            for path in set(shared.iterdir()) - before if failed else set(shared.iterdir()) - needed.keys():
                path.unlink()
        replay.save(folder, shared)
        restored = make(**shape, chunk=chunk)
        restored.load(folder, shared)
    run(restored, naive, after)


def test_a_save_writes_the_latents_that_changed_and_no_others(tmp_path):
    replay, shared = make(envs=1, chunk=64), tmp_path / "shared"
    shared.mkdir()
    for t in range(640):
        replay.add(tick_of(t, 1))
    replay.save(tmp_path, shared)
    before = set(shared.iterdir())
    replay.refresh(np.array([3, 4, 200]), {"deter": np.ones((3, 4, 3), np.uint16)})  # steps 4 to 8 and 201 to 204
    replay.save(tmp_path, shared)
    (new,) = set(shared.iterdir()) - before
    arrays = files.read(new)
    assert {name: array.tolist() for name, array in arrays.items() if "rows" in name} == {
        "0/rows": [4, 5, 6, 7, 8],
        "3/rows": [9, 10, 11, 12],
    }
    assert {name: array.shape for name, array in arrays.items() if "deter" in name} == {"0/deter": (5, 3), "3/deter": (4, 3)}
    replay.save(tmp_path, shared)
    assert set(shared.iterdir()) - before == {new}  # nothing changed since


def test_files_of_latents_stay_below_twice_the_whole(tmp_path):
    replay, shared, rng = make(envs=1, chunk=64), tmp_path / "shared", np.random.default_rng(0)
    shared.mkdir()
    for t in range(640):
        replay.add(tick_of(t, 1))
    for _ in range(60):
        _, items = replay.sample(20, rng)
        replay.refresh(items, {"deter": rng.integers(0, 9, (20, 4, 3)).astype(np.uint16)})
        needed = [path for path in replay.save(tmp_path, shared) if "latents" in path.name]
        latent_bytes = sum(array.nbytes for path in needed for name, array in files.read(path).items() if "deter" in name)
        assert 640 * 6 <= latent_bytes <= 2 * 640 * 6
    restored = make(envs=1, chunk=64)
    restored.load(tmp_path, shared)
    actual, expected = (r.sample(50, np.random.default_rng(1))[0]["deter"] for r in (restored, replay))
    assert np.array_equal(actual, expected)


def test_queue_holds_starts_1_66_131_of_each_environment():
    replay = make(envs=2, length=65)
    for t in range(260):
        replay.add(tick_of(t, 2))
    batch, ids = replay.sample(6, np.random.default_rng(0))
    assert [divmod(i, 2) for i in ids.tolist()] == [(1, 0), (1, 1), (66, 0), (66, 1), (131, 0), (131, 1)]
    np.testing.assert_array_equal(batch["reward"][2], np.arange(66, 131) * 2)


def test_queued_items_are_served_once_and_when_complete():
    replay, rng = make(envs=1, length=65), np.random.default_rng(0)
    for t in range(65):
        replay.add(tick_of(t, 1))
    assert replay.sample(1, rng)[1].tolist() == [0]  # the first item is not queued
    replay.add(tick_of(65, 1))
    assert replay.sample(1, rng)[1].tolist() == [1]
    items = replay.sample(200, rng)[1]
    assert 80 < np.sum(items == 0) < 120


def test_refresh_writes_64_steps_and_leaves_the_context():
    replay, rng = make(envs=1, length=65), np.random.default_rng(0)
    for t in range(66):
        replay.add(tick_of(t, 1))
    _, ids = replay.sample(1, rng)
    replay.refresh(ids, {"deter": np.full((1, 64, 3), 9, np.uint16)})
    windows = replay.sample(50, rng)[0]["deter"][..., 0]
    whole = windows[windows[:, 0] == 0][0]  # the window that starts at step 0
    assert whole.tolist() == [0, 1] + [9] * 63


def test_evicted_steps_are_not_refreshed():
    replay, rng = make(envs=1, capacity=3, length=5, chunk=4), np.random.default_rng(0)
    for t in range(5):
        replay.add(tick_of(t, 1))
    _, ids = replay.sample(1, rng)
    for t in range(5, 40):
        replay.add(tick_of(t, 1))
    before = replay.sample(20, rng)[0]["deter"].max()
    replay.refresh(ids, {"deter": np.full((1, 4, 3), 65535, np.uint16)})
    assert replay.sample(20, rng)[0]["deter"].max() == before


def test_draws_are_uniform_over_items():
    replay = make(envs=3, capacity=100, length=5, online=False)
    for t in range(60):
        replay.add(tick_of(t, 3))
    counts = np.bincount(replay.sample(100_000, np.random.default_rng(0))[1] - replay._oldest, minlength=100)
    assert len(counts) == 100
    # 99 degrees of freedom: chi-square beyond 148 has probability 0.001.
    assert np.sum((counts - 1000) ** 2 / 1000) < 148


def test_sampled_arrays_are_copies():
    replay, rng = make(online=False), np.random.default_rng(0)
    for t in range(10):
        replay.add(tick_of(t, 2))
    for array in replay.sample(50, rng)[0].values():
        array[...] = 0
    assert replay.sample(50, rng)[0]["reward"].max() > 0


def test_added_arrays_are_copied():
    replay = make(envs=1, length=1)
    step = {key: np.array(value) for key, value in tick_of(5, 1).items()}
    replay.add(step)
    step["reward"][:] = -1
    assert replay.sample(1, np.random.default_rng(0))[0]["reward"].item() == 5


@pytest.mark.parametrize(
    "change, error",
    [
        ({"reward": np.zeros((2, 1), np.float32)}, ValueError),
        ({"extra": np.zeros(2)}, ValueError),
        ({"image": np.zeros((2, 2, 2, 1), np.float32)}, TypeError),
    ],
)
def test_a_step_that_is_not_as_declared_is_refused(change, error):
    with pytest.raises(error):
        make().add(tick_of(0, 2) | change)


def test_memory_stays_bounded_at_capacity():
    replay = make(envs=1, capacity=50, length=5, chunk=16)
    for t in range(2000):
        replay.add(tick_of(t, 1))
    assert replay.nbytes <= (50 + 4 + 2 * 16) * (4 + 4 + 1 + 1 + 6)


def test_full_chunks_are_written_once(tmp_path):
    replay, shared = make(envs=1, chunk=8), tmp_path / "shared"
    shared.mkdir()
    for part in range(3):
        for t in range(part * 20, part * 20 + 20):
            replay.add(tick_of(t, 1))
        folder = tmp_path / str(part)
        folder.mkdir()
        before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shared.glob("chunk-*")}
        replay.save(folder, shared)
        after = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shared.glob("chunk-*")}
        assert after.items() >= before.items()
        assert len(after) == (part * 20 + 20) // 8


def test_what_is_pending_is_what_save_writes(tmp_path):
    replay = make(envs=1, chunk=8)
    for t in range(21):
        replay.add(tick_of(t, 1))
    pending = replay.pending_bytes(tmp_path)
    written = sum(total.size for total in replay.save(tmp_path, tmp_path).values())
    assert pending == 21 * 16 and pending < written
    assert replay.pending_bytes(tmp_path) == 5 * 16


def test_another_declaration_is_refused(tmp_path):
    make().save(tmp_path, tmp_path)
    with pytest.raises(BadInput, match="length 5; this run has 6"):
        make(length=6).load(tmp_path, tmp_path)


def test_loading_leaves_the_original_alone(tmp_path):
    replay, other = make(envs=1, chunk=4), make(envs=1, chunk=4)
    for t in range(18):
        replay.add(tick_of(t, 1))
    replay.save(tmp_path, tmp_path)
    stored = {path.name: hashlib.md5(path.read_bytes()).digest() for path in tmp_path.iterdir()}
    other.load(tmp_path, tmp_path)
    other.refresh(np.array([3]), {"deter": np.ones((1, 4, 3), np.uint16)})
    assert stored == {path.name: hashlib.md5(path.read_bytes()).digest() for path in tmp_path.iterdir()}


ATARI = {
    "image": Space((64, 64, 3), "uint8"),
    "action": Space((), "int32", 18),
    "reward": Space((), "float32"),
    "is_first": Space((), "bool"),
    "is_last": Space((), "bool"),
    "is_terminal": Space((), "bool"),
    "deter": Space((2048,), "uint16"),
    "stoch": Space((32,), "uint8"),
}


def test_atari_steps_are_stored_once():
    replay = Replay(ATARI, latents=["deter", "stoch"], envs=1, capacity=5_000_000, length=65)
    step = {key: np.ones((1, *space.shape), space.dtype) for key, space in ATARI.items()}
    for _ in range(8 * 1024):
        replay.add(step)
    raw, latents = 64 * 64 * 3 + 4 + 4 + 3, 2048 * 2 + 32
    assert replay.nbytes / (8 * 1024) <= 1.15 * raw + latents


def test_a_whole_atari_100k_replay_fits_in_two_gigabytes():
    replay = Replay(ATARI, latents=("deter", "stoch"), envs=1, capacity=5_000_000, length=65)
    step = 64 * 64 * 3 + 4 + 4 + 3 + 2 * 2048 + 32  # each frame once, as it is
    assert 100_000 * step <= replay.max_bytes(100_000) <= min(2e9, 1.03 * 100_000 * step)


def test_the_memory_it_announces_is_the_memory_it_holds():
    small = {key: space for key, space in ATARI.items() if key not in ("image", "deter")}
    replay = Replay(small, latents=("stoch",), envs=2, capacity=3000, length=65)
    blank = {key: np.zeros((2, *space.shape), space.dtype) for key, space in small.items()}
    sizes = []
    for _ in range(5000):
        replay.add(blank)
        sizes.append(replay.nbytes)
    assert sizes[999] == replay.max_bytes(2000)
    assert max(sizes) <= replay.max_bytes(10_000) <= 1.5 * max(sizes)
