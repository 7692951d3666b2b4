"""The page of stored runs: the tables' numbers in words, nothing from elsewhere, nothing that a file could smuggle in."""

import base64
import json
import math
import shutil
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from scipy import stats
from test_import import own_runs, take
from test_importers import RECORD, write
from test_results import PUBLISHED, published, write_run

from harness.cli import cli
from results import check, exporters, report, tables

NOISE = "gaussian:sigma=10"
SMALL = ["--reps", "200"]


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, the cells of every table, the text by section."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.texts, self.section, self.cell = [], [], {}, "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "section":
            self.section = dict(attributes)["id"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = True
            self.rows[-1].append("")

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data
        if self.cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in ("td", "th")

    def all(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    def text(self, section):
        return " ".join(self.texts[section].split())


def page(tmp_path, *roots, options=SMALL):
    out = tmp_path / "made" / "report.html"
    done = CliRunner().invoke(cli, ["report", *map(str, roots), "--out", str(out), *options], catch_exceptions=False)
    assert done.exit_code == 0 and str(out) in done.output
    return Page(out.read_text())


def refused(*arguments):
    done = CliRunner().invoke(cli, ["report", *map(str, arguments)])
    assert done.exit_code != 0
    return str(done.exception) if done.exception else done.output


@pytest.fixture
def study(tmp_path):
    """Two seeds of three arms and of random play; 11 and 15 are the seed means of the base without noise."""
    root = tmp_path / "runs"
    provenance = {"command": ["dreamproof", "run", "s"], "git": {"commit": "abc", "dirty": "d1"}, "versions": {"torch": "2.9"}}
    for seed, base in ((0, 11.0), (1, 15.0)):
        dreamer = {"kind": "dreamer", "horizon": 15, "kl": {"kind": "balanced", "free_nats": 1.0}}
        scores = {"clean": [base - 1, base + 1], NOISE: [base - 5, base - 5]}
        paths = [write_run(root, scores, seed=seed, agent=dreamer)]
        repo = dreamer | {"kl": {"kind": "repo", "target": 3.0}}
        paths.append(write_run(root, {"clean": [110 + seed] * 2, NOISE: [90.0, 94.0]}, seed=seed, agent=repo, ablation="repo"))
        paths.append(write_run(root, scores, seed=seed, agent=dreamer, train_noise=NOISE))
        paths.append(write_run(root, {"clean": [1.0, 1.5], NOISE: [1.0, 1.5]}, seed=seed, agent={"kind": "random"}))
        for path in paths:
            changed_provenance = provenance | {"versions": {"torch": f"2.{9 + seed}"}}
            (path / "provenance.json").write_text(json.dumps(changed_provenance))
    return root


def test_the_words_say_the_tables_numbers(tmp_path, study):
    document = page(tmp_path, study)
    half = stats.t.ppf(0.975, 1) * math.sqrt(8) / math.sqrt(2)
    clean, noisy = (f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]" for mean in (13, 8))
    words = document.text("summary")
    assert f"dmc/cartpole_swingup · dreamer · none, trained with clean: {clean} without noise; {noisy} under {NOISE}" in words
    assert "6 training runs, 2 per task and method, and 2 runs of random play. 8 of 8 runs are done" in words
    long = tables.build("ablations", [study]).long
    score = long[(long.metric == "score") & (long.p_holm < 0.05)]
    assert len(score) == 1 and f"p (Holm) {score.p_holm.iloc[0]:.3f}" in words
    clear, tested = (long.p_holm < 0.05).sum(), long.p_holm.notna().sum()
    assert f"Ablations against the base (none): {clear} of {tested} contrasts differ from 0 after Holm's correction" in words
    assert "repo on dmc/cartpole_swingup, trained with clean, score: 97.50 [" in words
    assert "2 training runs per setting: only large differences" in words


def test_every_table_is_there_and_its_data(tmp_path, study):
    document = page(tmp_path, study)
    for name in ("robustness", "measures", "ablations", "scores", "variance", "curves", "runs"):
        table = tables.build(name, [study], reps=200)
        for sheet in table.sheets:
            assert all(row in document.rows for row in [sheet.head, *sheet.rows]), f"{name}: {sheet.title}"
        (link,) = [a["href"] for _, a in document.tags if a.get("download") == f"table-{name}.csv"]
        assert base64.b64decode(link.partition(",")[2]).decode() == table.render("csv")
    assert "repo: None of these runs has metrics of RePo" in document.text("table-runs")


def test_what_was_run_and_what_each_arm_changes(tmp_path, study):
    rows = page(tmp_path, study).rows
    assert ["trained with", f"clean, {NOISE}"] in rows and ["training seeds", "0, 1"] in rows
    repo = next(i for i, row in enumerate(rows) if row[0].startswith("dreamer · repo"))
    assert [row[-3:] for row in rows[repo : repo + 2]] == [
        ["agent.kl.kind", "balanced", "repo"],
        ["agent.kl.target", "absent", "3.0"],
    ]
    assert rows[repo + 2][1:] == ["agent.kind", "dreamer", "random"]


def test_where_runs_differ_is_marked(tmp_path, study):
    document = page(tmp_path, study)
    assert ["command", "dreamproof run s", "8"] in document.rows and ["git.dirty", "d1", "8"] in document.rows
    torch = next(i for i, row in enumerate(document.rows) if row[0] == "versions.torch differs")
    assert document.rows[torch][1] == "2.10" and document.rows[torch + 1][0] == "2.9"
    assert sum(attributes.get("class") == "differs" for _, attributes in document.tags) == 2


def test_warnings_are_those_of_check(tmp_path, study):
    document, findings = page(tmp_path, study), check.check([study])
    assert findings and all(finding.what in document.text("warnings") for finding in findings)
    assert f"Warnings ({len(findings)})" in document.text("")


def test_nothing_comes_from_elsewhere_and_every_anchor_leads_somewhere(tmp_path, study):
    document = page(tmp_path, study)
    links = document.all("href") + document.all("src")
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert {"script", "link", "iframe", "object", "base"}.isdisjoint(tag for tag, _ in document.tags)
    ids = document.all("id")
    assert len(ids) == len(set(ids)) and {link[1:] for link in links if link.startswith("#")} <= set(ids)
    style = (report.Path(report.__file__).parent / "page.css").read_text()
    assert "url(" not in style and "@import" not in style


def test_what_files_say_is_text(tmp_path):
    evil = "<script>alert('&amp;')</script>"
    path = write_run(tmp_path / "runs", {"clean": [1.0]}, name="x", study="a<b", task=f"dmc/{evil[:16]}", ablation=evil[:8])
    other = {"train_noise": "a<img src=x onerror=b>", "agent": {"kind": evil}}
    write_run(tmp_path / "runs", {"clean": []}, done=False, name="y", **other)
    (path / "provenance.json").write_text(json.dumps({"command": [evil], "environment": {evil: evil}}))
    document = page(tmp_path, tmp_path / "runs")
    assert "script" not in {tag for tag, _ in document.tags} and all("data:" in source for source in document.all("src"))
    assert evil in document.text("provenance") and "a<b" in document.text("summary") and not document.all("onerror")


def test_the_same_data_give_the_same_bytes(tmp_path, study):
    first = report.build([study], reps=200)
    shutil.copytree(study, tmp_path / "elsewhere")
    assert report.build([tmp_path / "elsewhere"], reps=200) == first
    assert str(tmp_path) not in first
    file = write(tmp_path, [RECORD, RECORD | {"seed": 8}])
    assert report.build([file], reps=200) == report.build([file], reps=200)


def test_unfinished_runs_and_single_models_claim_nothing(tmp_path):
    words = page(tmp_path, own_runs(tmp_path / "runs")).text("summary")
    assert "1 of 4 runs are not done (1 running): they are in no final score." in words
    assert "One training run for" in words and "one model, no claim about the method" in words


def test_scores_of_others(tmp_path):
    published("procgen-dreamerv3.json.gz")
    words = page(tmp_path, PUBLISHED / "procgen-dreamerv3.json.gz").text("summary")
    assert "interquartile mean of scores normalised by min and max" in words
    assert "dreamerv3 0.698 (16 runs on 16 tasks; no interval; flagged unreplicated)" in words
    assert "One training run for 16 of 16 pairs of method and task" in words


def test_what_imported_runs_do_not_say_is_not_called_nothing(tmp_path, study):
    exporters.export("stored", [study], tmp_path / "s.csv.gz")
    document = page(tmp_path, tmp_path / "s.csv.gz")
    assert next(row for row in document.rows if row[0].startswith("dreamer · repo"))[1:] == ["no recorded change"]
    assert "8 runs are imported. Settings that their files do not hold are unknown." in document.text("design")


def test_runs_without_any_score(tmp_path):
    file = write(tmp_path, [RECORD | {"ys": [None] * 3}])
    take("dreamerv3", file, out=tmp_path / "in")
    assert "No scores to compare yet." in page(tmp_path, tmp_path / "in").text("summary")


def test_bad_input(tmp_path, study):
    assert "No such run directory" in refused(tmp_path / "nothing")
    assert "No baseline ablation 'rep'" in refused(study, "--baseline", "rep")
    assert "Did you mean" in refused(study, "--final", "last checkpoin")
    assert "Cannot write" in refused(study, "--out", "/proc/none/x.html", *SMALL)
    (tmp_path / "means.csv").write_text("mean,n\n1,3\n")
    assert "A report needs runs" in refused(tmp_path / "means.csv")
