"""Other people's score files: every point is kept, nulls are counted, and what is malformed is named."""

import gzip
import json
import math

import pytest
from test_results import PUBLISHED, published

from harness.errors import BadInput
from results.importers import dreamerv3

RECORD = {"task": "dmc_cartpole_swingup", "method": "dreamerv3", "seed": 7, "xs": [0, 10.5, 20], "ys": [None, 3, 4.5]}


def write(folder, content, name="dmc_proprio-dreamerv3.json.gz"):
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_points_nulls_and_labels_are_kept(tmp_path):
    table = dreamerv3.read(write(tmp_path, [RECORD, RECORD | {"seed": 12, "xs": [5], "ys": [1]}]))
    assert list(table.columns) == dreamerv3.COLUMNS
    assert list(table.x) == [0, 10.5, 20, 5] and list(table.seed) == ["7", "7", "7", "12"]
    assert math.isnan(table.y[0]) and list(table.y[1:]) == [3, 4.5, 1] and table.y.isna().sum() == 1


def test_plain_json_and_a_run_of_nulls(tmp_path):
    path = write(tmp_path, [RECORD | {"ys": [None] * 3}], "dmc_vision-a.json")
    assert dreamerv3.read(path).y.isna().all() and dreamerv3.benchmark(path) == "dmc_vision"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([RECORD, {"task": "a"}], "record 2: lacks method, seed, xs, ys"),
        ([RECORD, 3], "record 2: '3' is not a record"),
        ([RECORD | {"xs": [0, 10]}], r"record 1 \(dmc_cartpole_swingup, seed 7\): xs and ys are arrays of the same length"),
        ([RECORD | {"xs": [0, 20, 20]}], "strictly increasing"),
        ([RECORD | {"xs": [-1, 2, 3]}], "at least 0"),
        ([RECORD | {"xs": [0, None, 20]}], r"xs\[1\] = null; allowed is a finite number\."),
        ([RECORD | {"ys": [1, "2", 3]}], r'ys\[1\] = "2"; allowed is a finite number or null'),
        ([RECORD | {"ys": [1, True, 3]}], r"ys\[1\] = true"),
        ([RECORD | {"ys": [1, math.nan, 3]}], r"ys\[1\] = NaN"),
        ([RECORD | {"xs": [], "ys": []}], "at least 1"),
        ([RECORD, RECORD], "record 2: a second run of dmc_cartpole_swingup, dreamerv3, seed 7"),
        ([], "an empty array"),
        ({"a": 1}, "one JSON array of records, not dict"),
        ("[{", "is not JSON"),
    ],
)
def test_malformed_files_are_named_with_their_record(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(BadInput, match=message) as caught:
        dreamerv3.read(path)
    assert str(path) in str(caught.value)


def test_files_that_are_cut_off_missing_or_misnamed(tmp_path):
    path = write(tmp_path, [RECORD])
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(BadInput, match="cut off"):
        dreamerv3.read(path)
    path.write_bytes(gzip.compress(b"[]")[:10] + b"\xff" * 20)
    with pytest.raises(BadInput, match="is not JSON, plain or gzipped"):
        dreamerv3.read(path)
    with pytest.raises(BadInput, match="Cannot read"):
        dreamerv3.read(tmp_path / "a-b.json.gz")
    with pytest.raises(BadInput, match=r"BENCHMARK-METHOD\.json\.gz"):
        dreamerv3.benchmark(tmp_path / "scores.json.gz")


@pytest.mark.parametrize(
    ("task", "benchmark", "ours"),
    [
        ("dmc_cartpole_swingup", "dmc_proprio", "dmc/cartpole_swingup"),
        ("dmc_cartpole_swingup", "dmc_vision", "dmc_vision/cartpole_swingup"),
        ("atari_asterix", "atari100k", "atari100k/asterix"),
        ("atari_asterix", "atari57", "atari/asterix"),
        ("procgen_bigfish", "procgen", "procgen/bigfish"),
    ],
)
def test_tasks_have_our_names(task, benchmark, ours):
    assert dreamerv3.suite_task(task, benchmark) == ours


@pytest.mark.parametrize("name", ["atari100k-dreamerv3", "dmc_proprio-d4pg", "procgen-dreamerv3", "minecraft_diamond-r2d2"])
def test_published_files_are_read_whole(name):
    records = published(f"{name}.json.gz")
    table = dreamerv3.read(PUBLISHED / f"{name}.json.gz")
    assert len(table) == sum(len(record["xs"]) for record in records)
    assert table.y.isna().sum() == sum(record["ys"].count(None) for record in records)
    assert table.y.sum() == pytest.approx(sum(y for record in records for y in record["ys"] if y is not None))
    assert len(table[["task", "method", "seed"]].drop_duplicates()) == len(records)
