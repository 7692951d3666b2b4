"""Imports: every row arrives and is counted, what is broken is named and nothing is half there, exports come back whole."""

import base64
import json
import struct

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from test_importers import RECORD, write
from test_results import PUBLISHED, published, row, write_run

from harness.cli import cli
from harness.errors import BadInput
from results import benchmarks, exporters, importers, tables
from results.importers import _tfevents
from results.importers._run import ImportOptions
from results.reading import load


def take(form, *paths, out, **options):
    return importers.import_files(form, paths, out, ImportOptions(**options))


def points(out, **axes):
    """(frames, return) of the run that has these axes."""
    e = load.load([out]).episodes
    for name, value in axes.items():
        e = e[e[name] == value]
    assert e.path.nunique() == 1
    return list(zip(e.sort_values("frames").frames, e.sort_values("frames")["return"], strict=True))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# Score files


def test_a_score_file_becomes_runs_with_our_axes(tmp_path):
    file = write(tmp_path, [RECORD, RECORD | {"seed": 12, "xs": [5], "ys": [1]}])
    take("dreamerv3", file, out=tmp_path / "in")
    runs = load.load([tmp_path / "in"]).runs
    assert list(runs.train_seed) == [7, 12] and set(runs.task) == {"dmc/cartpole_swingup"} and set(runs.agent) == {"dreamerv3"}
    assert set(runs.study) == {"dmc_proprio"} and runs.done.all()
    results = points(tmp_path / "in", train_seed=7)
    assert results[1:] == [(10.5, 3), (20, 4.5)] and results[0][0] == 0 and np.isnan(results[0][1])


def test_irregularities_are_survived_and_reported(tmp_path):
    copied = {"xs": [10, 20, 100], "ys": [1, 2, 3]}
    records = [
        RECORD | copied | {"seed": 0},
        RECORD | copied | {"seed": 1},  # a copy under another label
        RECORD | {"seed": 2, "xs": [10, 20, 100], "ys": [0, 0, 0]},
        RECORD | {"seed": 3, "xs": [10, 20, 100], "ys": [0, 0, 0]},  # no copy: a task where every score is 0
        RECORD | {"seed": 4, "xs": [10, 89], "ys": [5, None]},  # one point, and short: it has no score after 10
        RECORD | {"seed": 5, "xs": [0], "ys": [None]},
        RECORD | {"seed": "late", "xs": [90], "ys": [5]},  # 90 % of 100 is not short
        RECORD | {"task": "dmc_other", "seed": 0, "xs": [30], "ys": [5]},  # another task's end is its own
    ]
    file = write(tmp_path, records)
    summary = take("dreamerv3", file, out=tmp_path / "in")
    counted = {
        **{"runs": 8, "rows": 17, "nulls": 2, "repeated rows": 0, "duplicates": 1, "constant": 2, "short": 1},
        **{"single-point": 3, "empty": 1, "renumbered seeds": 1},
    }
    assert summary.to_json()["total"] == counted and summary.to_json()["files"] == [{"file": str(file)} | counted]
    assert "s1-" in summary.affected["duplicates"][0] and "ends at 10 of 100" in summary.affected["short"][0]
    assert len(load.load([tmp_path / "in"]).episodes) == 17
    for word in ("8 runs, 17 rows, 2 nulls", "1 duplicates", "1 short", "8 new runs"):
        assert word in summary.to_text("in")


def test_twice_changes_nothing_and_says_so(tmp_path):
    file, out = write(tmp_path, [RECORD]), tmp_path / "in"
    take("dreamerv3", file, out=out)
    before = content(out)
    summary = take("dreamerv3", file, out=out)
    assert content(out) == before and (summary.runs, summary.existing) == (1, 1)
    assert "Nothing new; 1 were there already" in summary.to_text("in")
    summary = take("dreamerv3", write(tmp_path, [RECORD, RECORD | {"seed": 8}]), out=out)
    assert summary.to_json()["new"] == 1 and len(load.load([out]).runs) == 2


def test_another_content_under_the_same_name_is_refused(tmp_path):
    out = tmp_path / "in"
    take("dreamerv3", write(tmp_path, [RECORD]), out=out)
    before = content(out)
    file = write(tmp_path, [RECORD | {"seed": 1}, RECORD | {"ys": [None, 3, 5]}])
    with pytest.raises(BadInput, match=r"record 2: .* with another episodes.jsonl"):
        take("dreamerv3", file, out=out)
    assert content(out) == before


@pytest.mark.parametrize("first_run", [True, False])
def test_nothing_is_half_imported(tmp_path, first_run):
    out = tmp_path / "in"
    if first_run:
        take("dreamerv3", write(tmp_path, [RECORD | {"seed": 1}]), out=out)
    before = content(tmp_path)
    good = write(tmp_path, [RECORD], "dmc_proprio-a.json")
    bad = write(tmp_path, [RECORD | {"seed": 2}, 3], "dmc_proprio-b.json")
    with pytest.raises(BadInput, match=r"dmc_proprio-b.json, record 2"):
        take("dreamerv3", good, bad, out=out)
    good.unlink(), bad.unlink()
    assert content(tmp_path) == before and out.exists() == first_run


def test_two_runs_of_one_name_in_two_files_are_refused(tmp_path):
    files = [write(tmp_path, [RECORD], f"dmc_proprio-{name}.json") for name in "ab"]
    with pytest.raises(BadInput, match=r"b.json, record 1: a second run of .*; the first: .*a.json, record 1"):
        take("dreamerv3", *files, out=tmp_path / "in")


def test_tables_read_imported_runs(tmp_path):
    records = [RECORD | {"seed": s, "xs": [100, 200], "ys": [s, 10 * s]} for s in (1, 2, 3)]
    take("dreamerv3", write(tmp_path, records), out=tmp_path / "in")
    long = tables.build("curves", [tmp_path / "in"]).long
    last = long[long.measure == "last tenth"].iloc[0]
    assert (last["mean"], last.seeds, last.task) == (20, 3, "dmc/cartpole_swingup")
    assert list(tables.build("runs", [tmp_path / "in"]).long.final_score) == [5.5, 11, 16.5]
    with pytest.raises(BadInput, match="None of these runs holds or plans evaluation"):
        tables.build("robustness", [tmp_path / "in"])


@pytest.mark.parametrize("name", ["atari100k-dreamerv3", "procgen-dreamerv3"])
def test_published_files_arrive_whole(tmp_path, name):
    records = published(f"{name}.json.gz")
    take("dreamerv3", PUBLISHED / f"{name}.json.gz", out=tmp_path / "in")
    results = load.load([tmp_path / "in"])
    assert len(results.runs) == len(records)
    assert len(results.episodes) == sum(len(record["xs"]) for record in records)
    values = [y for record in records for y in record["ys"] if y is not None]
    assert results.episodes["return"].sum() == pytest.approx(sum(values))
    assert results.episodes["return"].isna().sum() == sum(record["ys"].count(None) for record in records)
    assert results.episodes.frames.max() == max(record["xs"][-1] for record in records)


# Log directories


@pytest.mark.parametrize("folder", ["20240101T000000-dmc_walker_walk-dreamerv3-3", "dmc_walker_walk/dreamerv3/3"])
def test_logged_scores(tmp_path, folder):
    log = tmp_path / "dmc_vision" / folder / "scores.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"step": 1000, "episode/score": 5.0}\n{"step": 1000, "x": 1}\n{"step": 2000, "episode/score": 7}\n{"st')
    summary = take("dreamerv3", tmp_path, out=tmp_path / "in")
    assert summary.total["cut-off lines"] == 1 and summary.total["other lines"] == 1
    axes = {"task": "dmc_vision/walker_walk", "train_seed": 3, "agent": "dreamerv3", "study": "dmc_vision"}
    assert points(tmp_path / "in", **axes) == [(1000, 5), (2000, 7)]
    log.write_text('{"step": 1000, "episode/score": 5.0}\nnonsense\n{"step": 1}\n')
    with pytest.raises(BadInput, match=r"scores.jsonl, line 2: not a JSON row"):
        take("dreamerv3", tmp_path, out=tmp_path / "in")


METRICS = """{"step": 500, "train_return": 12.5, "train_length": 250.0, "train_episodes": 1.0}
{"step": 500, "model_loss": 3.5, "fps": 20.0}
{"step": 1000, "train_return": NaN, "train_length": 250.0, "train_episodes": 2.0}
{"step": 1000, "eval_return": 40.0, "eval_length": 250.0, "eval_episodes": 10.0}
"""


def test_torch_metrics(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(METRICS)
    options = {"task": "dmc_walker_walk", "seed": "4", "benchmark": "dmc_proprio"}
    summary = take("dreamerv3-torch", tmp_path / "metrics.jsonl", out=tmp_path / "in", **options)
    assert summary.total["other lines"] == 1 and summary.total["not finite"] == 1 and summary.total["nulls"] == 1
    e = load.load([tmp_path / "in"]).episodes
    train, tested = e[e.split == "train"], e[e.split == "eval"].iloc[0]
    assert list(train.frames) == [500, 1000] and list(train.step) == [250, 500] and train["return"].max() == 12.5
    assert (tested["return"], tested.episodes, tested.length, tested.task) == (40, 10, 250, "dmc/walker_walk")
    with pytest.raises(BadInput, match=r"nothing says its task and seed\. Give --layout or --task or --seed"):
        take("dreamerv3-torch", tmp_path / "metrics.jsonl", out=tmp_path / "other")


def message(field, wire, data):
    """One field of a protobuf message."""
    sized = bytes([len(data)]) + data if wire == 2 else data
    return bytes([field << 3 | wire]) + sized


def event(step, tag, value):
    item = message(1, 2, tag.encode()) + message(2, 5, struct.pack("<f", value))
    return message(1, 1, struct.pack("<d", 1.7e9)) + message(2, 0, bytes([step])) + message(5, 2, message(1, 2, item))


def record(data):
    length = struct.pack("<Q", len(data))
    crcs = [struct.pack("<I", _tfevents.masked_crc(part)) for part in (length, data)]
    return length + crcs[0] + data + crcs[1]


SCALARS = [(5, "scalars/train_return", 12.5), (5, "scalars/train_length", 250), (6, "scalars/fps", 9)]
SCALARS += [(9, "scalars/eval_return", 40), (9, "scalars/eval_length", 250), (9, "scalars/eval_episodes", 10)]


def test_tensorboard_events(tmp_path):
    file = tmp_path / "walker" / "3" / "events.out.tfevents.1"
    file.parent.mkdir(parents=True)
    whole = b"".join(record(event(*scalar)) for scalar in SCALARS)
    file.write_bytes(record(message(3, 2, b"brain.Event:2")) + whole + record(event(*SCALARS[0]))[:-3])
    summary = take("dreamerv3-torch", tmp_path, out=tmp_path / "in", layout="{task}/{seed}/*")
    assert summary.total["cut-off lines"] == 1 and summary.total["other scalars"] == 1
    e = load.load([tmp_path / "in"]).episodes
    rows = e.sort_values("frames")[["split", "frames", "return", "length", "episodes"]].values.tolist()
    assert rows == [["train", 5, 12.5, 250, 1], ["eval", 9, 40, 250, 10]] and set(e.train_seed) == {3}
    broken = bytearray(file.read_bytes())
    broken[60] ^= 1
    file.write_bytes(broken)
    with pytest.raises(BadInput, match=r"tfevents.1, record 2: its data do not match"):
        take("dreamerv3-torch", tmp_path, out=tmp_path / "other", layout="{task}/{seed}/*")


WRITTEN = (  # by tensorboardX 2.6.5: add_scalar of train_return, fps, eval_return, eval_episodes
    "7ytkO00000qkl^x35m7K=S;xbK^hHWa$#w1E=6`_Zge^_lg~X<D*ylh00000h8x363DEM(=S;xbK@ju<Djf<N3KVl=VQgV?b1!sqVQFq(a%FUN"
    "a&8p>07ya9?k`;;000000001Z5k3703op#)Ou*Vf5cC5o6bcdw3v**(Y+-V9FJ^Fa6#xLBK>#_4v?~Ar000000EQdGO9^%_%;!wN+CdP&ggq)8"
    "3K|L%b7Ns_VRCaXWp-g~Uvg!1b#iVM002<HsHFCYEdT%j00000JVA>43A8WF=S;xbK@h-%Jt`gw910b4V_|Gza&s?bc42H^WpHV8Z)9b26#xJr"
    "L9TE<eE"
)


def test_an_event_file_of_another_program(tmp_path):
    file = tmp_path / "events.out.tfevents.1"
    file.write_bytes(base64.b85decode(WRITTEN))
    summary = take("dreamerv3-torch", file, out=tmp_path / "in", task="gym/A", seed="0")
    assert summary.total["other scalars"] == 1 and points(tmp_path / "in") == [(500, 12.5), (1_000_000, -3.25)]


def test_checksum_has_the_published_check_value():
    crc = 0xE3069283  # CRC-32C of b"123456789", RFC 3720 and every catalogue of CRCs
    assert _tfevents.masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# Stable-Baselines3


def monitor(folder, name, start, rows, env="CartPole-v1"):
    folder.mkdir(parents=True, exist_ok=True)
    head = "#" + json.dumps({"t_start": start, "env_id": env}) + "\nr,l,t\n"
    (folder / name).write_text(head + "".join(f"{r},{l},{t}\n" for r, l, t in rows))


def test_monitors_of_one_run_are_merged_by_time(tmp_path):
    folder = tmp_path / "logs" / "ppo" / "CartPole-v1_2"
    monitor(folder, "0.monitor.csv", 100.0, [(10, 10, 1.0), (30, 30, 5.0)])
    monitor(folder, "1.monitor.csv", 100.5, [(20, 20, 1.5)])
    steps, results = np.array([40, 60]), np.array([[9.0, 11.0], [19.0, 21.0]])
    np.savez(folder / "evaluations.npz", timesteps=steps, results=results, ep_lengths=np.array([[9, 11], [19, 21]]))
    take("sb3", tmp_path / "logs", out=tmp_path / "in")
    results = load.load([tmp_path / "in"])
    run, e = results.runs.iloc[0], results.episodes
    assert (run.task, run.agent, run.train_seed) == ("gym/CartPole-v1", "ppo", 2)
    train = e[e.split == "train"].sort_values("frames")
    assert list(zip(train.frames, train["return"], train.length, strict=True)) == [(10, 10, 10), (30, 20, 20), (60, 30, 30)]
    robust = tables.build("robustness", [tmp_path / "in"], reps=100).long.iloc[0]
    assert (robust["mean"], robust.episodes, robust.eval_noise) == (20, 2, "clean") and "one_seed" in robust["flags"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r,l,t\n1,2,3\n", "line 1: a monitor file opens with"),
        ('#{"t_start": 1.0, "env_id": "A"}\nr,t\n1,2\n', "line 2: columns are r, t; needed are r, l and t"),
        ('#{"t_start": 1.0, "env_id": "A"}\nr,l,t\n1,2,3\n1,x,3\n1,2,3\n', "line 4: '1,x,3' is no row"),
    ],
)
def test_broken_monitors(tmp_path, text, message):
    (tmp_path / "monitor.csv").write_text(text)
    with pytest.raises(BadInput, match=f"monitor.csv, {message}"):
        take("sb3", tmp_path / "monitor.csv", out=tmp_path / "in", method="ppo", seed="0", task="A")


def test_a_torn_monitor_row_is_counted(tmp_path):
    monitor(tmp_path, "monitor.csv", 1.0, [(1, 2, 3)])
    (tmp_path / "monitor.csv").write_text((tmp_path / "monitor.csv").read_text() + "5,")
    summary = take("sb3", tmp_path / "monitor.csv", out=tmp_path / "in", method="ppo", seed="0")
    assert summary.total["cut-off lines"] == 1 and summary.total["rows"] == 1


def test_broken_evaluations(tmp_path):
    np.savez(tmp_path / "evaluations.npz", timesteps=np.arange(3), results=np.zeros((2, 5)))
    with pytest.raises(BadInput, match=r"timesteps \(3,\), results \(2, 5\)"):
        take("sb3", tmp_path / "evaluations.npz", out=tmp_path / "in", method="ppo", seed="0", task="A")
    (tmp_path / "evaluations.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(BadInput, match=r"evaluations.npz is not evaluations.npz"):
        take("sb3", tmp_path / "evaluations.npz", out=tmp_path / "in", method="ppo", seed="0", task="A")


# Tables


def test_tdmpc2(tmp_path):
    file = tmp_path / "tdmpc2" / "walker-walk.csv"
    file.parent.mkdir()
    file.write_text("step,reward,seed\n0,5.2,3\n100000,,3\n200000,50,3\n0,6,1\n200000,70,1\n")
    summary = take("tdmpc2", file, out=tmp_path / "in", benchmark="dmc_proprio")
    assert (summary.total["runs"], summary.total["rows"], summary.total["nulls"]) == (2, 5, 1)
    axes = {"task": "dmc/walker_walk", "agent": "tdmpc2", "train_seed": 1}
    assert points(tmp_path / "in", **axes) == [(0, 6), (200000, 70)]
    robust = tables.build("robustness", [tmp_path / "in"], reps=100).long.iloc[0]
    assert (robust["mean"], robust.seeds) == (60, 2)
    curves = tables.build("curves", [tmp_path / "in"]).long
    assert curves[curves.measure == "last tenth"].iloc[0]["mean"] == 60
    file.write_text("step,reward,seed\n0,x,3\n")
    with pytest.raises(BadInput, match=r"walker-walk.csv, line 2: '0,x,3'; step and reward are numbers"):
        take("tdmpc2", file, out=tmp_path / "in")


PLAIN = "task,method,seed,frames,return\ndmc/a,m,1,200,2.5\ndmc/a,m,0,100,1\ndmc/a,m,1,100,\ndmc/a,m,0,100,1\n"


def test_plain_csv(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(PLAIN)
    summary = take("csv", file, out=tmp_path / "in")
    assert {k: summary.total[k] for k in ("runs", "rows", "nulls", "repeated rows")} == {
        **{"runs": 2, "rows": 4, "nulls": 1, "repeated rows": 1}
    }
    assert points(tmp_path / "in", train_seed=0) == [(100, 1), (100, 1)]
    head, *rows = PLAIN.splitlines(keepends=True)
    file.write_text(head + "".join(reversed(rows)))
    assert take("csv", file, out=tmp_path / "in").existing == 2  # the order of rows is nothing


@pytest.mark.parametrize("name", benchmarks.registry())
def test_the_registry_of_benchmarks_is_the_only_source_of_the_action_repeat(tmp_path, name):
    """A table with `step` gets frames = step x repeat; `dmlab30_1b` once had two repeats, 4 and 1."""
    file = tmp_path / "a.csv"
    file.write_text("task,method,seed,step,return\nrooms_watermaze,m,0,250,1\n")
    take("csv", file, out=tmp_path / "in", benchmark=name)
    repeat = {"atari100k": 4, "atari57": 4, "dmc_proprio": 2, "dmc_vision": 2, "dmlab30": 4, "dmlab30_1b": 4}.get(name, 1)
    assert points(tmp_path / "in") == [(250 * repeat, 1)]


def test_rows_that_are_put_on_the_disk_meanwhile_come_back(tmp_path, monkeypatch):
    file = tmp_path / "a.csv"
    file.write_text(PLAIN)
    take("csv", file, out=tmp_path / "at once")
    monkeypatch.setattr("results.importers.csv.ROWS_IN_MEMORY", 1)
    take("csv", file, out=tmp_path / "one by one")
    assert content(tmp_path / "at once") == content(tmp_path / "one by one")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task,method,seed,x,return\n", "needed are task, method, seed, return, and frames or step"),
        ("task,method,seed,frames,return,return\n", "columns need names of their own; return"),
        ("task,method,seed,frames,return\na,m,1,2\n", "line 2: 4 fields, but the head has 5"),
        ("task,method,seed,frames,return\na,m,1,2,3\na,m,1,x,3\n", "line 3: frames = 'x'; allowed is a number"),
        ("task,method,seed,frames,return\na,m,1,-2,3\n", "line 2: frames = -2"),
        ("task,method,seed,frames,return\na,m,,2,3\n", "nothing says its seed"),
        ("task,method,seed,frames,return,split\na,m,1,2,3,tran\n", "No split 'tran' .* Did you mean 'train'"),
        ("task,method,seed,frames,return,steps\na,m,1,2,3,many\n", "steps = 'many'"),
        ("task,method,seed,frames,return,run\na,m,1,2,3,../x\n", "run = '../x'"),
        ("task,method,seed,frames,return,variant\na,m,1,2,3,horizon 3\n", "variant = 'horizon 3'"),
        ("task,method,seed,frames,return\n", "no row beneath the head"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        take("csv", tmp_path / "a.csv", out=tmp_path / "in")
    assert "a.csv" in str(caught.value) and not (tmp_path / "in").exists()


# There and back


def frames(root):
    """The loaded tables without paths, which differ between folders, and without columns of which nothing is known."""
    results = load.load([root])
    return [table.drop(columns="path").dropna(axis="columns", how="all") for table in (results.runs, results.episodes)]


def same(root, back):
    for a, b in zip(frames(root), frames(back), strict=True):
        pd.testing.assert_frame_equal(a, b[list(a)], check_dtype=False)


def own_runs(root):
    train = [row(100 * i, "gaussian:sigma=10", i, i / 3, split="train") for i in range(1, 4)]
    write_run(root, {"clean": [1.1, 2.5], "gaussian:sigma=10": [float("nan"), 3]}, extra=train, train_noise="gaussian:sigma=10")
    write_run(root, {"clean": [7.0, 8.0]}, seed=1, ablation="repo")
    write_run(root, {"clean": [7.0, 8.0]}, seed=1, agent={"kind": "dreamer", "horizon": 20, "core": {"kind": "gru"}}, name="v")
    write_run(root, {"clean": []}, done=False, seed=2)
    return root


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_own_runs_come_back_from_a_table(tmp_path, name):
    runs = own_runs(tmp_path / "runs")
    exporters.export("csv", [runs], tmp_path / name)
    take("csv", tmp_path / name, out=tmp_path / "back")
    same(runs, tmp_path / "back")
    for table in ("robustness", "runs", "curves"):
        assert tables.build(table, [runs], reps=200).render() == tables.build(table, [tmp_path / "back"], reps=200).render()
    again = tmp_path / f"again-{name}"
    exporters.export("csv", [tmp_path / "back"], again)
    take("csv", again, out=tmp_path / "back")
    first = again.read_bytes()
    exporters.export("csv", [tmp_path / "back"], again)
    assert again.read_bytes() == first


def test_imported_runs_come_back_from_both_layouts(tmp_path):
    take("dreamerv3", write(tmp_path, [RECORD, RECORD | {"seed": 8}]), out=tmp_path / "in")
    exporters.export("csv", [tmp_path / "in"], tmp_path / "a.csv")
    take("csv", tmp_path / "a.csv", out=tmp_path / "table")
    same(tmp_path / "in", tmp_path / "table")
    exporters.export("dreamerv3", [tmp_path / "in"], tmp_path / "logs")
    log = tmp_path / "logs" / "dmc_proprio" / "dreamproof-dmc_cartpole_swingup-dreamerv3-7" / "scores.jsonl"
    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        {"step": 0, "episode/score": None},
        {"step": 10.5, "episode/score": 3.0},
        {"step": 20, "episode/score": 4.5},
    ]
    take("dreamerv3", tmp_path / "logs", out=tmp_path / "back")
    same(tmp_path / "in", tmp_path / "back")


def test_own_runs_in_the_layout_of_dreamerv3(tmp_path):
    runs = own_runs(tmp_path / "runs")
    summary_text = exporters.export("dreamerv3", [runs], tmp_path / "logs")
    omitted = "left out: 8 evaluation episodes; left out: 3 runs without a training episode"
    assert summary_text == f"1 runs, 3 training episodes; {omitted}"
    (log,) = (tmp_path / "logs").rglob("scores.jsonl")
    assert log.parent.name == "dreamproof-dmc_cartpole_swingup-dreamer.gaussian:sigma=10-0"
    assert pd.read_json(log, lines=True)["episode/score"].tolist() == pytest.approx([1 / 3, 2 / 3, 1])


def test_parquet_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="Parquet needs pyarrow, which is not installed: pip install pyarrow, or use csv"):
        exporters.export("parquet", [own_runs(tmp_path / "runs")], tmp_path / "a.parquet")


# The command line


def invoke(*words):
    return CliRunner().invoke(cli, list(map(str, words)))


def test_command_line(tmp_path):
    file = write(tmp_path, [RECORD])
    done = invoke("import", "dreamerv3", file, "--out", tmp_path / "in")
    assert done.exit_code == 0 and "1 runs, 3 rows, 1 nulls" in done.output and "1 new runs" in done.output
    done = invoke("import", "dreamerv3", file, "--out", tmp_path / "in", "--json")
    assert json.loads(done.stdout)["known"] == 1
    done = invoke("export", "csv", tmp_path / "in", "--out", tmp_path / "a.csv.gz")
    assert done.exit_code == 0 and "1 runs, 3 rows" in done.output
    assert len(pd.read_csv(tmp_path / "a.csv.gz")) == 3
    done = invoke("import", "dreamer3", file, "--out", tmp_path / "in")
    assert isinstance(done.exception, BadInput) and "Did you mean 'dreamerv3'?" in str(done.exception)
    done = invoke("list", "importers", "--json")
    names = [item["name"] for item in json.loads(done.stdout)]
    assert names == ["csv", "dreamerv3", "dreamerv3-torch", "sb3", "tdmpc2"] == importers.names()
