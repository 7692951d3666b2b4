"""Checkpoints under kill -9, damaged files and a full disk, none of them imitated."""

import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agents.protocol import Space
from harness import arrays as files
from harness import checkpoint
from harness.errors import BadInput, RunFailed
from harness.replay import Replay

ROOT = Path(__file__).parents[1]
SPACES = {
    "image": Space((8, 8, 3), "uint8"),
    "is_first": Space((), "bool"),
    "is_last": Space((), "bool"),
    "deter": Space((4,), "uint16"),
}


def new_replay():
    return Replay(SPACES, latents=["deter"], envs=1, capacity=10_000, length=5, chunk=16)


def fill(replay, ticks):
    rng = np.random.default_rng(ticks)
    for _ in range(ticks):
        replay.add(
            {
                key: rng.integers(0, 2 if space.dtype == "bool" else 200, (1, *space.shape)).astype(space.dtype)
                for key, space in SPACES.items()
            }
        )
    return replay


def save(folder, step, replay=None):
    value = np.full(1000, step, np.float32)
    return checkpoint.save(folder, step=step, meta={"step": step}, arrays={"agent": {"w": value}}, replay=replay)


def draws(replay):
    return replay.sample(32, np.random.default_rng(0))[0]


def names(folder):
    return sorted(path.name for path in folder.glob("step-*"))


DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int32", "int64", "float16", "float32", "float64"]


@given(st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0))))
def test_arrays_come_back_bit_for_bit(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "arrays.safetensors"
    given_arrays = {"a": array, "b/c": array.T, "empty": np.zeros((0, 3), array.dtype)}
    assert files.write(path, given_arrays) == files.checksum(path)
    for name, back in files.read(path).items():
        expected = np.asarray(given_arrays[name])
        assert (back.dtype, back.shape, back.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
        assert back.flags.writeable


def test_nan_payloads_and_scalars_survive(tmp_path):
    odd = np.array([0x7FC00001, 0xFFFFFFFF, 0x80000000], np.uint32).view(np.float32)
    checkpoint.save(tmp_path, step=1, meta={"nan": float("nan"), 2: (1, 2), 10: 0}, arrays={"g": {"a": odd, "n": np.int64(7)}})
    saved = checkpoint.load(tmp_path)
    assert saved.arrays["g"]["a"].tobytes() == odd.tobytes()
    assert saved.arrays["g"]["n"].shape == () and saved.arrays["g"]["n"] == 7
    assert saved.meta["2"] == [1, 2] and np.isnan(saved.meta["nan"])


def test_nothing_there_is_none(tmp_path):
    assert checkpoint.load(tmp_path / "absent") is None
    assert checkpoint.load(tmp_path) is None


def test_newest_is_loaded_and_two_are_kept(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-000000020", "step-000000030"]
    saved = checkpoint.load(tmp_path)
    assert (saved.step, saved.meta, saved.warning) == (30, {"step": 30}, None)
    assert saved.arrays["agent"]["w"][0] == 30


def test_saving_twice_at_one_step_replaces_neither_before_the_other_is_complete(tmp_path):
    first, second = save(tmp_path, 10), save(tmp_path, 10)
    assert first != second and checkpoint.load(tmp_path).path == second


def test_the_replay_continues_bit_for_bit(tmp_path):
    replay = fill(new_replay(), 100)
    save(tmp_path, 1, replay)
    fill(replay, 30)
    replay.refresh(np.array([3, 50]), {"deter": np.ones((2, 4, 4), np.uint16)})
    save(tmp_path, 2, replay)
    restored = new_replay()
    checkpoint.load(tmp_path).restore_replay(restored)
    expected, actual = draws(replay), draws(restored)
    assert {key: value.tobytes() for key, value in actual.items()} == {k: value.tobytes() for k, value in expected.items()}


def test_a_second_checkpoint_adds_new_chunks_only(tmp_path):
    replay, shared = fill(new_replay(), 40), tmp_path / "replay"
    save(tmp_path, 1, replay)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shared.glob("chunk-*")}
    save(tmp_path, 2, fill(replay, 40))
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shared.glob("chunk-*")}
    assert (len(before), len(after)) == (2, 5) and after.items() >= before.items()


@pytest.mark.parametrize("ticks", [160, 1600])
def test_a_checkpoint_of_a_grown_replay_writes_what_is_new_and_no_more(ticks, tmp_path):
    replay = fill(new_replay(), ticks)
    save(tmp_path, 1, replay)
    before = {path.stat().st_ino for path in tmp_path.rglob("*")}
    replay.refresh(np.array([3, 50]), {"deter": np.ones((2, 4, 4), np.uint16)})
    save(tmp_path, 2, fill(replay, 20))
    written = {path.name: path.stat().st_size for path in tmp_path.rglob("*.safetensors") if path.stat().st_ino not in before}
    fixed, latent = 8 * 8 * 3 + 1 + 1, 2 * 4  # bytes of a step
    new_chunk, last = 16 * (fixed + latent), 4 * (fixed + latent)
    refreshed = 2 * 4 * (latent + 4)  # and the number of each row
    content = 1000 * 4 + new_chunk + last + refreshed
    assert len(written) == 4  # weights, a chunk, latents, the unfinished chunk
    assert content <= sum(written.values()) <= content + 4 * 400  # and a header each, however long the replay is


def test_a_replay_stored_before_latents_had_files_of_their_own_still_loads(tmp_path):
    """Until then every checkpoint held all latents, beside the last chunk: 40 ticks are two full chunks and 8 ticks."""
    replay, shared = fill(new_replay(), 40), tmp_path / "replay"
    rows = steps_of(replay)
    old, names = tmp_path / "old", {}
    old.mkdir(), shared.mkdir()
    for number in range(2):
        name = f"chunk-{number:06d}-0badcafe.safetensors"
        part = {key: rows[key][16 * number : 16 * number + 16] for key in SPACES if key != "deter"}
        names[number] = (name, files.write(shared / name, part))
    moving = {f"{number}/deter": rows["deter"][16 * number : 16 * number + 16] for number in range(2)}
    files.write(old / "replay.safetensors", moving | {f"2/{key}": rows[key][32:] for key in SPACES})
    state = {"declared": replay._declaration(), "ticks": 40, "queue": list(replay._queue), "files": names}
    (old / "replay.json").write_text(json.dumps(state))
    restored, again = new_replay(), new_replay()
    restored.load(old, shared)
    save(tmp_path, 1, restored)
    checkpoint.load(tmp_path).restore_replay(again)
    for r in (restored, again):
        assert all(np.array_equal(array, rows[key]) for key, array in steps_of(r).items()) and r._queue == replay._queue


def steps_of(replay):
    """Every step (T, 1, ...) as it was added."""
    out = {key: np.empty((replay._ticks, *space.shape), space.dtype) for key, space in SPACES.items()}
    replay._chunks.read(0, 0, out, replay._ticks)
    return {key: array[:, None] for key, array in out.items()}


def test_chunks_that_no_checkpoint_names_are_removed(tmp_path):
    replay = Replay(SPACES, latents=["deter"], envs=1, capacity=20, length=5, chunk=16)
    for step in range(6):
        save(tmp_path, step, fill(replay, 32))
    named = {name for path in tmp_path.glob("step-*") for name in json.loads((path / "manifest.json").read_text())["files"]}
    assert {f"../replay/{path.name}" for path in (tmp_path / "replay").iterdir()} == {n for n in named if "/" in n}
    assert len(list((tmp_path / "replay").glob("chunk-*"))) <= 4


def test_a_resumed_run_never_builds_on_chunks_of_an_unfinished_save(tmp_path):
    save(tmp_path, 1, fill(new_replay(), 40))
    stray = tmp_path / "replay" / "chunk-000002-00000000.safetensors"
    stray.write_bytes(b"half a chunk")
    resumed = new_replay()
    checkpoint.load(tmp_path).restore_replay(resumed)
    save(tmp_path, 2, fill(resumed, 40))
    assert not stray.exists() and checkpoint.load(tmp_path).step == 2


# Damage

DAMAGE = {
    "missing": lambda path: path.unlink(),
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "bit flipped": lambda path: path.write_bytes(flip(path.read_bytes())),
}


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize(
    "which", ["agent.safetensors", "replay.safetensors", "replay.json", "manifest.json", "chunk", "latents"]
)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, which, how):
    replay = fill(new_replay(), 40)
    older = save(tmp_path, 1, replay)
    older_files = set((tmp_path / "replay").iterdir())
    newer = save(tmp_path, 2, fill(replay, 40))
    victim = newer / which if "." in which else min(set((tmp_path / "replay").glob(f"{which}-*")) - older_files)
    DAMAGE[how](victim)
    loaded = checkpoint.load(tmp_path)
    assert loaded.path == older
    assert victim.name in loaded.warning and "step-000000001" in loaded.warning
    loaded.restore_replay(new_replay())


def test_after_damage_the_good_checkpoint_stays_the_previous_one(tmp_path):
    older, damaged = save(tmp_path, 10), save(tmp_path, 20)
    (damaged / "agent.safetensors").unlink()
    assert checkpoint.load(tmp_path).path == older
    newest = save(tmp_path, 30)
    assert names(tmp_path) == [older.name, newest.name]


def test_a_stop_before_the_damaged_step_leaves_no_newer_wreck(tmp_path):
    save(tmp_path, 10)
    (save(tmp_path, 20) / "manifest.json").unlink()
    checkpoint.load(tmp_path)
    save(tmp_path, 15)
    assert names(tmp_path) == ["step-000000010", "step-000000015"] and checkpoint.load(tmp_path).warning is None


def test_only_damaged_checkpoints_say_what_to_do(tmp_path):
    for step in (1, 2):
        DAMAGE["bit flipped"](save(tmp_path, step) / "agent.safetensors")
    with pytest.raises(RunFailed, match=re.compile(r"step-000000002 \(agent.safetensors: .*remove it", re.S)):
        checkpoint.load(tmp_path)


def test_evaluation_does_not_need_the_replay(tmp_path):
    DAMAGE["missing"](save(tmp_path, 1, fill(new_replay(), 40)) / "replay.safetensors")
    assert checkpoint.load(tmp_path, replay=False).step == 1
    with pytest.raises(RunFailed):
        checkpoint.load(tmp_path)


def test_another_format_version_is_bad_input(tmp_path):
    path = save(tmp_path, 1) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(BadInput, match="format version 2"):
        checkpoint.load(tmp_path)


def test_the_replay_group_name_is_taken(tmp_path):
    with pytest.raises(ValueError, match="replay"):
        checkpoint.save(tmp_path, step=1, meta={}, arrays={"replay": {}})


# Pickle


def test_no_pickle_in_the_modules_that_read_files():
    for name in ("arrays", "replay", "checkpoint"):
        text = (ROOT / "harness" / f"{name}.py").read_text()
        assert not re.search(r"^\s*(import|from) (pickle|shelve|marshal|dill)|np\.load|allow_pickle|torch", text, re.M)


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch " + os.environ["BOMB"],))


@pytest.mark.parametrize("name", ["agent.safetensors", "replay.safetensors", "replay.json"])
def test_a_pickle_with_a_matching_manifest_is_refused_and_not_run(tmp_path, monkeypatch, name):
    mark = tmp_path / "exploded"
    monkeypatch.setenv("BOMB", str(mark))
    path = save(tmp_path, 1, fill(new_replay(), 40))
    (path / name).write_bytes(pickle.dumps(Bomb()))
    body = json.loads((path / "manifest.json").read_text())
    body["files"][name] = list(files.checksum(path / name))
    body.pop("crc32"), body.pop("format")
    forged = {"format": checkpoint.FORMAT, "crc32": checkpoint._crc(body), **body}
    (path / "manifest.json").write_text(json.dumps(forged))
    with pytest.raises(Exception):  # noqa: B017 - whatever the parser calls it; what counts is that nothing runs
        checkpoint.load(tmp_path).restore_replay(new_replay())
    assert not mark.exists()


# Death

LOOP = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from test_checkpoint import fill, new_replay, save
from harness import checkpoint
folder, replay, step = Path({folder!r}), new_replay(), 0
if found := checkpoint.load(folder):
    found.restore_replay(replay); step = found.step
print("ready", flush=True)
while True:
    step += 1
    save(folder, step, fill(replay, 7))
    print("saved", flush=True)
"""


def test_kill_9_at_any_moment_leaves_a_complete_checkpoint(tmp_path):
    script = LOOP.format(tests=str(ROOT / "tests"), folder=str(tmp_path))
    chance, last = random.Random(0), 0
    for attempt in range(12):
        with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout.readline() == b"ready\n"
            for _ in range(min(attempt, 2)):  # progress however slow the machine; the first may die before it has saved
                assert child.stdout.readline() == b"saved\n"
            time.sleep(chance.uniform(0.02, 0.25))
            child.send_signal(signal.SIGKILL)
        saved = checkpoint.load(tmp_path)
        if saved is None:
            continue
        assert saved.warning is None and saved.step >= last
        assert (saved.arrays["agent"]["w"] == saved.step).all() and saved.meta == {"step": saved.step}
        replay = new_replay()
        saved.restore_replay(replay)
        assert len(replay) == max(0, 7 * saved.step - 4)
        last = saved.step
    assert last > 12


# A full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        assert not os.environ.get("CI"), "mounting a tmpfs is needed in CI"
        pytest.skip("mounting a file system is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing_and_says_so(small_disk):
    folder, replay = small_disk / "checkpoint", fill(new_replay(), 800)
    good = save(folder, 10, replay)
    before = sorted((path.relative_to(folder), path.stat().st_ino) for path in folder.rglob("*"))
    with pytest.raises(RunFailed) as failure:
        save(folder, 20, fill(replay, 6000))
    assert sorted((path.relative_to(folder), path.stat().st_ino) for path in folder.rglob("*")) == before
    text = str(failure.value)
    assert "step 20" in text and str(folder) in text and good.name in text and "run the same command again" in text
    needed, free = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?:bytes|are free)", text))
    assert needed > free > 0
    loaded = checkpoint.load(folder)
    assert loaded.step == 10 and loaded.warning is None


def test_after_space_is_freed_the_same_process_can_save(small_disk):
    folder, ballast = small_disk / "checkpoint", small_disk / "ballast"
    replay = fill(new_replay(), 400)
    save(folder, 10, replay)
    ballast.write_bytes(b"0" * 700_000)
    with pytest.raises(RunFailed):
        save(folder, 20, fill(replay, 1500))
    ballast.unlink()
    save(folder, 20, replay)
    restored = new_replay()
    checkpoint.load(folder).restore_replay(restored)
    assert draws(restored)["image"].tobytes() == draws(replay)["image"].tobytes()


LIMITED = """
import sys; sys.path.insert(0, {tests!r})
import resource, signal
from pathlib import Path
from test_checkpoint import save, new_replay, fill
from harness.errors import RunFailed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
save(Path({folder!r}), 1)
try:
    save(Path({folder!r}), 2, fill(new_replay(), 4000))
except RunFailed as error:
    print(error)
"""


def test_a_refused_write_loses_nothing_without_root_too(tmp_path):
    script = LIMITED.format(tests=str(ROOT / "tests"), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True)
    assert "File too large" in done.stdout and "step-000000001" in done.stdout, done.stderr
    assert names(tmp_path) == ["step-000000001"] and checkpoint.load(tmp_path).step == 1
    assert not list((tmp_path / "replay").iterdir())
