"""Tables over benchmarks: truth.json through `tables.build`, the contract's columns, order, marks and formats."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from published import benchmark, files, truth
from test_results import PUBLISHED, row, write_run
from test_tables import Tags

from results import tables
from results.reading import load
from results.statistics import aggregates
from results.statistics.strata import Strata, exceeds

ROOT = Path(__file__).parent.parent
NAMES = ["atari100k", "dmc_proprio", "minecraft_diamond", "procgen"]
COLUMNS = {
    "scores": "benchmark task method runs runs_missing score ci_low ci_high normalized",
    "aggregates": "benchmark method metric value ci_low ci_high runs tasks",
    "improvement": "benchmark x y probability ci_low ci_high flags",
    "profile": "benchmark method tau fraction ci_low ci_high",
    "ablations": "task ablation baseline metric delta ci_low ci_high p p_holm seeds flags",
    "variance": "task method seeds episodes seed_sd episode_sd icc design_effect",
}
SAME = {"iqm_task_balanced": "iqm_taskbalanced"}
EVERYWHERE = ["scores", "aggregates", "improvement", "profile", "ablations", "variance", "sensitivity", "measures"]


@cache
def table(name, of, reps=50_000):
    return tables.build(name, benchmark(of), reps=reps)


def exactly(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def near(ends, mcse):
    """Both are Monte-Carlo: five standard errors of the difference."""
    return pytest.approx(ends, abs=5 * np.sqrt(2) * np.max(mcse) + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_truth(name):
    original = dict(zip(benchmark(name).runs.task, benchmark(name).runs.original, strict=True))
    long = table("scores", name).long
    assert len(long) == sum(map(len, truth()["final"][name].values())) and set(long.final) == {"window"}
    for cell in long.to_dict("records"):
        expected = truth()["final"][name][cell["method"]][original[cell["task"]]]
        assert (cell["score"], cell["normalized"]) == exactly((expected["score"], expected["normalised"]))
        assert (cell["runs"], cell["runs_missing"]) == (expected["n_used"], expected["n_runs"] - expected["n_used"])


@pytest.mark.parametrize("name", NAMES)
def test_aggregates_are_those_of_truth(name):
    for cell in table("aggregates", name).long.to_dict("records"):
        expected = truth()["aggregate"][name][cell["method"]]
        assert cell["value"] == exactly(expected[SAME.get(cell["metric"], cell["metric"])])
        assert (cell["runs"], cell["tasks"]) == (expected["runs_used"], expected["tasks"])
        ends = cell["ci_low"], cell["ci_high"]
        if expected["ci95"] is None:
            assert np.isnan(ends).all() and "unreplicated" in cell["flags"]
        elif cell["metric"] in expected["ci95"]:
            assert ends == near(expected["ci95"][cell["metric"]], expected["ci95_mcse"][cell["metric"]])


@pytest.mark.parametrize("name", ["atari100k", "dmc_proprio", "procgen"])
def test_improvement_is_that_of_truth_in_both_directions(name):
    long = table("improvement", name).long.set_index(["x", "y"])
    assert len(long) == long.index.nunique() == {"atari100k": 2}.get(name, 6)
    for pair, expected in truth()["probability_of_improvement"][name].items():
        x, y = pair.split(">")
        assert long.probability[x, y] == exactly(expected["poi"]) == exactly(1 - long.probability[y, x])
        row = long.loc[(x, y)]
        assert (row.ci_low, row.ci_high) == near(expected["ci95"], [*expected["ci95_mcse"], 2e-4])
        assert (1 - long.ci_high[y, x], 1 - long.ci_low[y, x]) == exactly((row.ci_low, row.ci_high))


@pytest.mark.parametrize("name", NAMES)
def test_profile_is_that_of_truth_where_both_have_the_threshold(name):
    long, met = table("profile", name, 2000).long, 0
    for method, expected in truth()["aggregate"][name].items():
        for cell in long[long.method == method].to_dict("records"):
            for tau, share in expected["profile"].items():
                if abs(cell["tau"] - float(tau)) < 1e-12:
                    assert cell["fraction"] == exactly(share)
                    met += 1
    assert met >= 3 and len(long) == 81 * len(truth()["aggregate"][name])


@pytest.mark.parametrize("name", NAMES)
def test_sensitivity_moves_by_what_the_rules_differ(name):
    long = table("sensitivity", name, 300).long
    rules = {"last point": "last_point_of_each_run", "best of 30 bins": "best_bin_per_run_of_30"}
    for method, expected in truth()["sensitivity"][name].items():
        rows = long[(long.method == method) & (long.metric == "mean")].set_index("final")
        default = truth()["aggregate"][name][method]["mean"]
        assert rows.default["window"] and rows.change["window"] == 0
        for rule, key in rules.items():
            assert rows.value[rule] == exactly(expected[key]["mean"])
            assert rows.change[rule] == pytest.approx(expected[key]["mean"] - default, rel=1e-9, abs=1e-12)


def shuffled(results, seed=3):
    """Rows, runs and methods in another order, and the seeds under other labels."""
    rng = np.random.default_rng(seed)
    runs = results.runs.iloc[rng.permutation(len(results.runs))].reset_index(drop=True)
    episodes = results.episodes.iloc[rng.permutation(len(results.episodes))].reset_index(drop=True)
    label = dict(zip(results.runs.path, 100 - results.runs.train_seed, strict=True))
    return load.Results(runs.assign(train_seed=runs.path.map(label)), episodes.assign(train_seed=episodes.path.map(label)))


@pytest.mark.parametrize("name", ["scores", "aggregates", "improvement", "profile", "variance", "sensitivity"])
def test_order_of_rows_seeds_and_methods_changes_nothing(name):
    once, again = (
        tables.build(name, results, reps=300).long for results in (benchmark("procgen"), shuffled(benchmark("procgen")))
    )
    pd.testing.assert_frame_equal(once, again, check_exact=False, rtol=1e-12)


def test_another_method_beside_it_changes_no_number():
    alone = benchmark("procgen")
    runs = alone.runs[alone.runs.agent != "ppg"]
    alone = load.Results(runs, alone.episodes[alone.episodes.path.isin(runs.path)])
    for name in ("aggregates", "profile"):
        both, one = tables.build(name, benchmark("procgen"), reps=300).long, tables.build(name, alone, reps=300).long
        both = both[both.method != "ppg"].reset_index(drop=True)
        columns = [column for column in one if column != "best"]
        pd.testing.assert_frame_equal(both[columns], one[columns])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three tasks, two ablations, two training noises, three seeds, one run of them half done; and random play."""
    root, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    noises = ["clean", "gaussian:sigma=10", "gaussian:sigma=20"]
    for task in ("asterix", "pong", "hero"):
        for ablation in ("none", "no_symlog"):
            for trained in noises[:2]:
                for seed in range(3):
                    level = 800 - 300 * (ablation != "none") + 20 * rng.normal()
                    scores = {n: list(level - 100 * i + 30 * rng.normal(size=6)) for i, n in enumerate(noises)}
                    extra = [row(90 * k, trained, k, 50.0 * k, split="train") for k in range(1, 12)]
                    axes = {"ablation": ablation, "train_noise": trained, "seed": seed, "extra": extra}
                    done = (task, ablation, seed) != ("hero", "no_symlog", 2)
                    write_run(
                        root, scores, task=f"atari100k/{task}", done=done, name=f"{task}.{ablation}.{trained}.s{seed}", **axes
                    )
        write_run(root, {"clean": [210.0, 150.0]}, task=f"atari100k/{task}", agent={"kind": "random"}, name=f"random-{task}")
    return root


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_the_contract_come_first(study, name):
    expected = COLUMNS[name].split()
    for results in (load.load([study]), benchmark("atari100k")):
        assert list(tables.build(name, results, reps=200).long.columns[: len(expected)]) == expected
    assert set(tables.build("aggregates", study and [study], reps=200).long.metric) >= {
        "mean",
        "median",
        "iqm",
        "optimality_gap",
    }


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_format_and_what_every_caption_says(study, name, tmp_path):
    table = tables.build(name, [study], reps=200)
    assert len(table.sheets) and all(sheet.rows for sheet in table.sheets)
    for sheet in table.sheets:
        notes = " ".join(sheet.notes)
        assert "Unit: " in notes and "Final-score rule: " in notes and re.search(r"\bn\b.*training runs", notes)
        used = set(re.findall(r"\(([a-z](?:,[a-z])*)\)", " ".join(cell for cells in sheet.rows for cell in cells)))
        letters = {letter for group in used for letter in group.split(",")}
        assert letters == {note[1] for note in sheet.notes if re.match(r"\([a-z]\) ", note)}
        assert all(len(cells) == len(sheet.head) for cells in sheet.rows)
    rows = list(csv.DictReader(io.StringIO(table.render("csv"))))
    assert len(rows) == len(json.loads(table.render("json"))) == len(table.long)
    assert [line for line in table.render("md").splitlines() if line.startswith("| ---")]
    parser = Tags()
    parser.feed(table.render("html"))
    assert not parser.opened
    compiles(table.render("tex"), tmp_path)


def test_a_long_table_in_latex_goes_on_in_another_and_loses_no_row(tmp_path):
    rows = [[f"row {i}", str(i)] for i in range(80)]
    sheet = tables.Sheet("Runs", ["a", "b"], rows, ["What it says."], frozenset({(0, 1), (35, 1), (79, 1)}))
    tex = tables.Table("runs", pd.DataFrame(), [sheet]).render("tex")
    compiles(tex, tmp_path)
    assert re.findall(r"^row (\d+) &", tex, re.M) == [str(i) for i in range(80)] and tex.count("What it says.") == 1
    assert re.findall(r"textbf\{(\d+)\}", tex) == ["0", "35", "79"] and "Runs (3 of 3)." in tex


def test_captions_say_what_is_special_about_published_runs():
    (flags,) = set(table("improvement", "atari100k").long["flags"])
    assert flags == "few_runs;missing_runs:9;missing_lead"  # 8 runs of DreamerV3, 1 of PPO (truth: missing)
    alone = tables.build("sensitivity", load.load([PUBLISHED / "procgen-dreamerv3.json.gz"]), reps=200).sheets[0]
    assert not any("Brackets" in note for note in alone.notes)
    notes = " ".join(tables.build("curves", benchmark("procgen")).sheets[0].notes)
    assert "Final: clean" not in notes and "one_seed: one training run" in notes


def compiles(tex, folder):
    """By LaTeX where there is one; its structure in any case."""
    assert tex.isascii() and tex.count(r"\begin{table}") == tex.count(r"\end{table}") == tex.count(r"\toprule")
    bare = re.sub(r"\\[%&_#${}\\]", "", tex)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", tex, re.S):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows and all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in rows)
    if program := shutil.which("pdflatex"):
        page = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + tex + "\\end{document}\n"
        (folder / "page.tex").write_text(page.replace(r"\end{table}", "\\end{table}\n\\clearpage"))
        command = [program, "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-1500:]


def test_ablations_against_another_baseline_and_within_a_margin(study):
    usual = tables.build("ablations", [study]).long
    other = tables.build("ablations", [study], baseline="no_symlog", margin=0.8).long
    assert set(usual.baseline) == {"none"} and set(other.baseline) == {"no_symlog"} and set(other.ablation) == {"none"}
    key = ["task", "metric", "train_noise"]
    both = usual.merge(other, on=key, suffixes=("", "_other"))
    assert len(both) == len(usual) and np.allclose(both.delta, -both.delta_other) and np.allclose(both.p, both.p_other)
    assert other.p_equivalent.notna().any() and "p (margin)" in tables.build("ablations", [study], margin=0.8).render("md")


def test_half_finished_runs_are_named_and_their_episodes_are_in_no_score(study):
    long = tables.build("scores", [study]).long
    cell = long[(long.task == "atari100k/hero") & (long.method == "dreamer no_symlog")].iloc[0]
    assert (cell.runs, cell.runs_missing) == (2, 1) and {"missing_runs:1", "unfinished:1"} <= set(cell["flags"].split(";"))


def test_the_command_line_builds_them_from_score_files(tmp_path):
    score_files = [str(file) for file in files() if file.name.startswith("procgen")]
    command = [sys.executable, "-m", "harness", "table"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    options = ["--reps", "200", "--format", "csv", "--out", str(tmp_path / "a.csv")]
    done = subprocess.run([*command, "aggregates", *score_files, *options], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    long = pd.read_csv(tmp_path / "a.csv", keep_default_na=False, na_values=[""]).set_index(["method", "metric"])
    for method, expected in truth()["aggregate"]["procgen"].items():
        assert long.value[method, "iqm"] == exactly(expected["iqm"])
    bad = subprocess.run([*command, "scores", *score_files, "--margin", "0.1"], env=environment, capture_output=True, text=True)
    assert bad.returncode == 2 and "takes no option 'margin'" in bad.stderr


# Best cells


def test_marks_of_the_published_scores_are_those_that_a_contrast_supports():
    long = table("scores", "procgen").long
    assert not long.best.any()  # one of the three methods has one run per task: nothing is known of its spread
    long = table("scores", "atari100k").long.set_index(["task", "method"])
    assert long.best["atari100k/boxing", "dreamerv3"] and not long.best["atari100k/boxing", "ppo_fixhp"]
    assert not long.best["atari100k/freeway"].any() and not long.best["atari100k/up_n_down"].any()
    sheet = table("scores", "atari100k").sheets[0]
    assert {sheet.rows[i][0] for i, _ in sheet.best} == set(long.index[long.best].get_level_values("task"))


def test_one_seed_is_never_best(tmp_path):
    for ablation, level in (("none", 10.0), ("no_symlog", 900.0)):
        for task in ("asterix", "pong"):
            name = f"{task}-{ablation}"
            write_run(tmp_path, {"clean": [level, level + 1]}, task=f"atari100k/{task}", ablation=ablation, name=name)
    for name in ("scores", "aggregates"):
        table = tables.build(name, [tmp_path], reps=200)
        assert not table.long.best.any() and not any(sheet.best for sheet in table.sheets)


def difference(x, y, of, rng, reps):
    """Of a statistic of x and y, and its replicates."""
    first, second = (one.replicates({"": of}, rng, reps)[""] for one in (x, y))
    return float(x.estimate(of) - y.estimate(of)), first - second


@pytest.mark.parametrize(("runs", "tasks"), [(2, 1), (3, 1), (5, 1), (3, 6), (5, 26)])
def test_equal_methods_are_not_marked_more_often_than_said(runs, tasks):
    """A/A: two methods of the same distribution; one of them is marked in at most 5 % of the tables, and a little."""
    rng, marked, tables_made = np.random.default_rng(runs), 0, 300
    for _ in range(tables_made):
        x, y = (Strata.of({str(t): t + rng.normal(size=runs) for t in range(tasks)}) for _ in range(2))
        estimate, replicates = difference(x, y, aggregates.mean, rng, 500)
        marked += exceeds(x, y, estimate, replicates, 0.025) or exceeds(y, x, -estimate, -replicates, 0.025)
    assert marked <= 0.05 * tables_made + 3 * np.sqrt(0.05 * 0.95 * tables_made)


def test_a_method_that_is_clearly_better_is_marked():
    rng = np.random.default_rng(0)
    x, y = (Strata.of({str(t): level + rng.normal(size=3) for t in range(6)}) for level in (3, 0))
    estimate, replicates = difference(x, y, aggregates.iqm, rng, 2000)
    assert exceeds(x, y, estimate, replicates, 0.025)
    assert not exceeds(y, x, -estimate, -replicates, 0.025)
