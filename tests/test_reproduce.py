"""A list of tables and figures comes back byte for byte, and only from the data that it was made from."""

import gzip
import hashlib
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from test_import import own_runs, take
from test_importers import RECORD, write
from test_results import PUBLISHED, published

from harness import strict_yaml
from harness.cli import cli
from harness.errors import BadInput, RunFailed
from results import exporters, reproduce, tables
from results.exporters import _tidy
from results.reading import load

ROOT = Path(__file__).parent.parent
LIST = [
    {"verb": "table", "name": "robustness", "runs": "study", "options": {"reps": 200}, "out": "t.tex"},
    {"verb": "plot", "name": "robustness", "runs": ["study"], "options": {"reps": 200}, "out": "figures/f.png"},
    {"verb": "plot", "name": "curves", "runs": "study", "out": "figures/c.svg"},
    {"verb": "plot", "name": "curves", "runs": "study", "out": "figures/d.pdf"},
]


def rebuild(content, data, out, **options):
    return list(reproduce.rebuild(reproduce.parse(content, "list.yaml"), data, out, **options))


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    own_runs(folder / "study")
    return folder


def test_the_same_bytes_from_runs_and_from_their_stored_form(study, tmp_path):
    rebuild(LIST, study, tmp_path / "a")
    shutil.copytree(study / "study", tmp_path / "elsewhere")
    exporters.export("stored", [tmp_path / "elsewhere"], tmp_path / "study.csv.gz")
    stored = [entry | {"runs": "study.csv.gz"} for entry in LIST]
    rebuild(stored, tmp_path, tmp_path / "b")
    first = files(tmp_path / "a")
    assert len(first) == 7 and first == files(tmp_path / "b")
    lines = rebuild(stored, tmp_path, tmp_path / "b")
    assert all("unchanged" in line for line in lines)


def test_the_hash_is_of_the_stored_rows(study, tmp_path):
    exporters.export("stored", [study / "study"], tmp_path / "s.csv.gz")
    text = gzip.decompress((tmp_path / "s.csv.gz").read_bytes())
    digest = hashlib.sha256(text).hexdigest()
    assert _tidy.digest(load.load([study / "study"])) == digest == _tidy.digest(load.load([tmp_path / "s.csv.gz"]))
    assert b"host" not in text.splitlines()[0] and b"h1" not in text
    (line,) = rebuild([LIST[0] | {"data": digest}], study, tmp_path / "out")
    assert line == f"t.tex: written, data {digest}"


def test_other_data_are_refused(study, tmp_path):
    shutil.copytree(study / "study", tmp_path / "study")
    digest = _tidy.digest(load.load([tmp_path / "study"]))
    rows = next((tmp_path / "study").rglob("dreamer.repo*/episodes.jsonl"))
    rows.write_text(rows.read_text().replace('"return": 7.0', '"return": 7.5'))
    entries = [LIST[0] | {"data": digest}, LIST[2]]
    with pytest.raises(RunFailed, match=f"list.yaml, entry 1 expects {digest}"):
        rebuild(entries, tmp_path, tmp_path / "out")
    assert set(files(tmp_path / "out")) == {Path("figures/c.svg"), Path("figures/c.csv")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verb": "tabel"}, "No verb 'tabel' in list.yaml, entry 1.* Did you mean 'table'"),
        ({"name": "robustnes"}, "Did you mean 'robustness'"),
        ({"outt": "x"}, "No key 'outt'.* Did you mean 'out'"),
        ({"runs": []}, "runs = \\[\\]"),
        ({"runs": 3}, "runs = 3"),
        ({"out": "t.png"}, "out = t.png; a table ends in .md"),
        ({"options": {"rep": 3}}, "No option 'rep'.* Did you mean 'reps'"),
        ({"options": {"reps": "many"}}, "option reps = 'many'"),
        ({"data": 3}, "data = 3"),
        ({"runs": "nothing"}, "entry 1: nothing at .*nothing. --data"),
    ],
)
def test_bad_entries_are_named(study, tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        rebuild([LIST[0] | change], study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "a list of entries"),
        (["x"], "entry 1: an entry holds"),
        ([{"verb": "table"}], "lacks name, runs, out"),
        ([LIST[1], LIST[0] | {"name": "runs", "out": "figures/f.csv"}], "entry 2: figures/f.csv is written by .* entry 1"),
    ],
)
def test_bad_lists(content, message):
    with pytest.raises(BadInput, match=message):
        reproduce.parse(content, "list.yaml")


def test_score_files_are_runs(tmp_path):
    file = write(tmp_path, [RECORD, RECORD | {"seed": 8}])
    take("dreamerv3", file, out=tmp_path / "in")
    assert tables.build("curves", [file]).render() == tables.build("curves", [tmp_path / "in"]).render()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match=r"notes\.txt is no run directory; a file is"):
        load.load([tmp_path / "notes.txt"])


def test_command_line_and_what_is_not_there(study, tmp_path):
    missing = LIST[0] | {"runs": "absent-*.json.gz", "out": "m.md"}
    (tmp_path / "list.yaml").write_text(yaml.safe_dump([LIST[0], missing]))
    words = ["reproduce", str(tmp_path / "list.yaml"), "--data", str(study)]
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, BadInput) and "entry 2: nothing at" in str(done.exception)
    done = CliRunner().invoke(cli, [*words, "--available", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0 and "m.md: left out, nothing at absent-*.json.gz" in done.output
    assert set(files(tmp_path / "out")) == {Path("t.tex")}


def test_the_list_of_the_dreamerv3_paper(tmp_path):
    published("procgen-dreamerv3.json.gz")
    entries = reproduce.parse(strict_yaml.read(ROOT / "figures" / "dreamerv3.yaml"), "dreamerv3.yaml")
    table_entries = [entry for entry in entries if "procgen" in entry.out and entry.verb == "table"]
    lines = list(reproduce.rebuild(table_entries, PUBLISHED, tmp_path))
    assert len(lines) == len(table_entries) > 0 and all("written, data" in line for line in lines)
    assert "ppo_fixhp" in (tmp_path / "procgen-curves.md").read_text()


def test_the_list_of_the_docs_finds_its_data():
    entries = reproduce.parse(strict_yaml.read(ROOT / "figures" / "docs.yaml"), "docs.yaml")
    for entry in entries:
        for run in entry.runs:
            assert entry.data == reproduce.data_hash(entry, load.load([ROOT / "figures" / run])), entry.where
