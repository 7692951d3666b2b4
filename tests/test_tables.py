"""Tables as they are read: the contract's columns, every format, and what stands beneath the numbers."""

import csv
import html.parser
import io
import json
import subprocess
import sys
import types

import pytest
from test_results import published, write_run

from harness import plugins
from harness.errors import BadInput
from results import check, exporters, importers, plots, tables

TABLES = ["ablations", "aggregates", "curves", "improvement", "measures", "profile", "repo", "robustness", "runs"]
TABLES += ["scores", "sensitivity", "variance"]
CONTRACT = [
    "task",
    "agent",
    "ablation",
    "train_noise",
    "eval_noise",
    "seeds",
    "episodes",
    "mean",
    "ci_low",
    "ci_high",
    "interval",
]
CONTRACT += ["retention", "retention_low", "retention_high", "flags"]


@pytest.fixture(scope="module")
def asterix(tmp_path_factory):
    """The founding study: one model per training noise, twelve episodes per evaluation noise."""
    root, noise = tmp_path_factory.mktemp("asterix"), ["clean", "gaussian:sigma=10", "gaussian:sigma=20"]
    published_cells = published("truth.json")["asterix_noise_table"]["cells"]
    for trained in (0, 10, 20):
        tested = [cell for cell in published_cells if cell["train"] == trained]
        scores = {noise[cell["test"] // 10]: cell["example_sample_consistent"] for cell in tested}
        write_run(root, scores, task="atari100k/asterix", train_noise=noise[trained // 10])
    return root


@pytest.fixture
def study(tmp_path):
    for ablation, score in (("none", 800.0), ("no_symlog", 600.0)):
        for seed in range(3):
            scores = {"clean": [score + 10 * seed, score + 40], "g:x_y=1": [score / 2, score / 2 + 30 + seed]}
            write_run(tmp_path, scores, seed=seed, ablation=ablation)
    write_run(tmp_path, {"clean": [5.0, 6.0]}, seed=3, done=False)
    write_run(tmp_path, {"clean": [10.0, 20.0, 30.0]}, agent={"kind": "random"})
    return tmp_path


def test_long_form_has_the_columns_of_the_contract_first(study):
    long = tables.build("robustness", [study], reps=200).long
    assert list(long.columns[: len(CONTRACT)]) == CONTRACT
    assert len(long) == 5
    assert list(long.eval_noise[:2]) == ["clean", "g:x_y=1"] and list(long.ablation[:2]) == ["none", "none"]


def test_csv_and_json_hold_the_long_form(study):
    table = tables.build("robustness", [study], reps=200)
    rows = list(csv.DictReader(io.StringIO(table.render("csv"))))
    records = json.loads(table.render("json"))
    assert [float(r["mean"]) for r in rows] == [r["mean"] for r in records] == list(table.long["mean"])
    assert [r["retention"] for r in records if r["agent"] == "random"] == [None]
    assert table.render("csv").count("\n") == 6


def test_markdown_of_the_founding_table(asterix):
    text = tables.build("robustness", [asterix], reps=200, interval="normal").render("md")
    grid = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert grid[0] == ["trained with \\ tested with", "clean", "gaussian:sigma=10", "gaussian:sigma=20"]
    assert grid[2][1].startswith("1091.67 ± 50.94 (a)") and grid[4][3].startswith("958.33 ± 83.4")
    assert grid[5] == ["random agent (atari_gamer_v1)", "210.00", "-", "-"]
    assert "(a) one_seed: one trained model: the interval is the evaluation precision of that model" in text
    assert "Final-score rule: last checkpoint." in text and "Training seeds S = 1" in text and "n = 12" in text
    assert "normal-episodes-one-model" in text and "no claim about the method" in text
    assert "Unit: return per episode" in text and "stored one from the literature" in text


def test_default_interval_is_twelve_percent_wider(asterix):
    normal, t = (tables.build("robustness", [asterix], reps=200, interval=kind).long for kind in ("normal", "t"))
    ratio = (t.ci_high - t.ci_low) / (normal.ci_high - normal.ci_low)
    assert ratio.min() == pytest.approx(ratio.max()) == pytest.approx(1.123, abs=0.001)


def test_markdown_shows_random_play_and_what_is_not_done(study):
    text = tables.build("robustness", [study], reps=200).render("md")
    assert "| random agent (S = 1, n = 3) | 20.00 ± 24.84" in text
    assert "unfinished (1)" in text and "policy sample" in text and "size nano" in text
    assert text.count("**dmc/cartpole_swingup · dreamer · ") == 4  # returns and retention of two ablations
    assert "Student's t on the jackknife over training runs, paired within each model" in text


def test_nothing_measured_yet_is_said(tmp_path):
    write_run(tmp_path, {"clean": []}, done=False)
    text = tables.build("robustness", [tmp_path], reps=200).render("md")
    assert "No run has been evaluated here yet." in text and "| clean" in text


def test_latex_is_escaped_and_uses_booktabs(study):
    text = tables.build("robustness", [study], reps=200).render("tex")
    for columns in (r"\toprule", r"\midrule", r"\bottomrule", r"no\_symlog", r"g:x\_y=1", r"95 \%", r"$\pm$"):
        assert columns in text
    assert text.isascii() and "{lrr}" in text
    body = text.split("\n", 1)[1]
    assert not any(body[i - 1] != "\\" for i, character in enumerate(body) if character in "%_")


class Tags(html.parser.HTMLParser):
    """Tags that are open; an end that is not that of the last one fails."""

    def __init__(self):
        super().__init__()
        self.opened = []

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag


def test_html_is_well_formed(study):
    write_run(study, {"clean": [1.0]}, study="<b>&")
    text = tables.build("robustness", [study], reps=200).render("html")
    parser = Tags()
    parser.feed(text)
    assert not parser.opened and "&lt;b&gt;&amp;" in text and "±" in text


def test_runs_table(study):
    table = tables.build("runs", [study])
    assert len(table.long) == 8
    columns = ["run", "task", "agent", "ablation", "train_noise", "seed", "size", "precision", "steps", "state", "step"]
    assert set(columns) | {"final_score", "final_rule", "wall_seconds", "host"} <= set(table.long.columns)
    text = table.render("md")
    assert "7 of 8 runs are done." in text and "1:01:01" in text and "running" in text
    for form in ("csv", "tex", "html", "json"):
        assert "no" in table.render(form)


def test_the_same_data_and_seed_give_the_same_text(study):
    once, again = (tables.build("robustness", [study], reps=300, seed=4).render("csv") for _ in range(2))
    assert once == again
    assert once != tables.build("robustness", [study], reps=300, seed=5).render("csv")


def test_confidence_widens_the_interval(study):
    narrow, wide = (tables.build("robustness", [study], reps=300, confidence=c).long for c in (0.8, 0.99))
    assert (wide.ci_high > narrow.ci_high).all() and (wide.boot_high >= narrow.boot_high).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("robustnes", {}, "Did you mean 'robustness'"),
        ("robustness", {"final": "best"}, "last checkpoint"),
        ("robustness", {"confidence": 95}, "between 0 and 1"),
        ("robustness", {"reps": 0}, "at least 1"),
        ("robustness", {"seed": -1}, "at least 0"),
        ("robustness", {"interval": "z"}, "Allowed: t, normal"),
    ],
)
def test_bad_input_is_named(study, name, options, message):
    with pytest.raises(BadInput, match=message):
        tables.build(name, [study], **options)


def test_a_format_that_is_not_there(study):
    with pytest.raises(BadInput, match="Did you mean 'html'"):
        tables.build("runs", [study]).render("htm")


def test_listing_tables_and_figures_loads_no_library():
    assert plugins.names("results.tables") == TABLES
    code = (
        "import sys; from harness import plugins\n"
        "for package in ('results.tables', 'results.plots'):\n"
        "    for name in plugins.names(package): assert plugins.caption(plugins.load(package, name))\n"
        "heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


CONTRACTS = {
    "results.tables": tables.TableModule,
    "results.plots": plots.PlotModule,
    "results.importers": importers.Importer,
    "results.exporters": exporters.Exporter,
    "results.check": check.Check,
}


@pytest.mark.parametrize("package", CONTRACTS)
def test_every_file_meets_the_contract_of_its_folder(package):
    names = plugins.names(package)
    assert names and all(isinstance(plugins.load(package, name), CONTRACTS[package]) for name in names)


def test_a_file_without_a_part_of_the_contract_does_not_meet_it():
    incomplete = types.ModuleType("incomplete")
    incomplete.make = lambda results, rng: None
    assert not isinstance(incomplete, tables.TableModule)
