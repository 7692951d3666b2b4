"""Every number of truth.json: points to 1e-9, interval ends within Monte-Carlo error, under every final-score rule."""

from functools import cache

import numpy as np
import pytest
from published import benchmark, records, truth

from results.analyses import scores
from results.scoring import run_scores, score_rules
from results.statistics import aggregates, components, contrasts, improvement, intervals

CASES = [("atari100k", "dreamerv3"), ("atari100k", "ppo_fixhp"), ("dmc_proprio", "d4pg"), ("dmc_proprio", "dreamerv3")]
CASES += [("dmc_proprio", "ppo_fixhp"), ("procgen", "dreamerv3"), ("procgen", "ppg"), ("procgen", "ppo_fixhp")]
CASES += [("minecraft_diamond", "r2d2")]
PAIRS = [("atari100k", "dreamerv3", "ppo_fixhp"), ("dmc_proprio", "dreamerv3", "d4pg")]
PAIRS += [("dmc_proprio", "dreamerv3", "ppo_fixhp"), ("procgen", "dreamerv3", "ppg"), ("procgen", "dreamerv3", "ppo_fixhp")]
SAME = {"iqm_task_balanced": "iqm_taskbalanced"}
RULES = {
    "last point": "last_point_of_each_run",
    "last 10 points": "last_10_points_of_each_run",
    "own window": "window_W_at_each_runs_own_end",
    "last tenth of budget": "last_10pct_of_budget",
    "last of 30 bins": "plot_last_bin_1/30",
    "best of 30 bins": "best_bin_per_run_of_30",
}
REPS = 50_000


@cache
def scored(name, rule="window"):
    return run_scores.score_runs(benchmark(name), rule)


@cache
def task_scores(name):
    return scores.table(benchmark(name), score_rule="window")


def exactly(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def near(expected, mcse):
    """Ours and theirs are both Monte-Carlo: five standard errors of the difference; a discrete end may move by a step."""
    return pytest.approx(expected, abs=5 * np.sqrt(2) * np.max(mcse) + 1e-12)


@pytest.mark.parametrize(("name", "method"), CASES)
def test_final_scores_of_runs_and_tasks(name, method):
    runs = scored(name)
    table = task_scores(name)
    originals = benchmark(name).runs.set_index("path").original
    for task, expected in truth()["final"][name][method].items():
        method_runs = runs[(runs.method == method) & (runs.path.map(originals) == task)]
        result = dict(zip(method_runs.train_seed.astype(str), method_runs.score, strict=True))
        stored = {seed: np.nan if value is None else value for seed, value in expected["runs"].items()}
        assert {s: v for s, v in result.items() if v == v} == exactly({s: v for s, v in stored.items() if v == v})
        assert sorted(s for s, v in result.items() if v != v) == sorted(map(str, expected["missing_seeds"]))
        (row,) = table[(table.task == method_runs.task.iloc[0]) & (table.method == method)].to_dict("records")
        assert (row["runs"], row["runs"] + row["runs_missing"]) == (expected["n_used"], expected["n_runs"])
        assert row["score"] == exactly(expected["score"])
        assert row["normalized"] == exactly(expected["normalised"])
        if expected["std1"] is not None:
            assert method_runs.score.std() == exactly(expected["std1"])


@pytest.mark.parametrize(("name", "method"), CASES)
def test_aggregates_and_their_intervals(name, method):
    expected = truth()["aggregate"][name][method]
    runs = run_scores.strata_of_methods(scored(name))[name, method]
    assert (len(runs.tasks), len(runs.values)) == (expected["tasks"], expected["runs_used"])
    for metric, of in aggregates.METRICS.items():
        assert runs.estimate(of) == exactly(expected[SAME.get(metric, metric)])
    taus = np.array([float(tau) for tau in expected["profile"]])
    assert list(runs.estimate(aggregates.profile(taus))) == exactly(list(expected["profile"].values()))
    assert runs.replicated == (expected["ci95"] is not None)
    if runs.replicated:
        named = {metric: of for metric, of in aggregates.METRICS.items() if metric in expected["ci95"]}
        replicates = runs.replicates(named | {"profile": aggregates.profile(taus)}, np.random.default_rng(0), REPS)
        for metric in named:
            assert intervals.percentile_interval(replicates[metric]) == near(
                expected["ci95"][metric], expected["ci95_mcse"][metric]
            )
        ends = np.array(intervals.percentile_interval(replicates["profile"].T)).T
        step = 1 / len(runs.values)  # a share of so many runs: its ends are discrete
        assert np.abs(ends - list(expected["ci95"]["profile"].values())).max() <= step + 1e-9


@pytest.mark.parametrize(("name", "x", "y"), PAIRS)
def test_probability_of_improvement(name, x, y):
    expected = truth()["probability_of_improvement"][name][f"{x}>{y}"]
    methods = run_scores.strata_of_methods(scored(name))
    method_runs = {method: methods[name, method] for method in (x, y)}
    result = improvement.probability_per_task(*method_runs.values())
    original = dict(zip(benchmark(name).runs.task, benchmark(name).runs.original, strict=True))
    assert {original[task]: p for task, p in result.items()} == exactly(expected["per_task"])
    assert np.mean(list(result.values())) == exactly(expected["poi"])
    streams = {method: np.random.default_rng(seed) for seed, method in enumerate(method_runs)}
    replicates = improvement.bootstrap_pairs(method_runs, streams, REPS)[x, y]
    assert intervals.percentile_interval(replicates) == near(expected["ci95"], [*expected["ci95_mcse"], 2e-4])


@pytest.mark.parametrize(("name", "method"), CASES)
@pytest.mark.parametrize("rule", RULES)
def test_other_final_score_rules(name, method, rule):
    expected = truth()["sensitivity"][name][method][RULES[rule]]
    runs = run_scores.strata_of_methods(scored(name, rule))[name, method]
    assert len(runs.values) == expected["runs_used"]
    for metric in ("iqm", "mean", "median", "capped_mean"):
        assert runs.estimate(aggregates.METRICS[metric]) == exactly(expected[metric])
    assert score_rules.canonical_name(rule.replace(" ", "-")) == rule


@pytest.mark.parametrize("method", ["dreamerv3", "ppo_fixhp"])
def test_variance_components(method):
    expected = truth()["variance_components"][method]
    runs = [run for run in records(f"atari100k-{method}.json.gz") if run["task"] == expected["task"]]
    low, high = expected["window"]
    models = [
        np.array([y for x, y in zip(run["xs"], run["ys"], strict=True) if y is not None and low <= x <= high]) for run in runs
    ]
    result = components.variance_components(models)
    assert sorted(map(len, models)) == sorted(expected["episodes_per_seed"])
    assert (result.seeds, result.episodes) == (5, sum(expected["episodes_per_seed"]))
    assert result.seed_sd == pytest.approx(expected["seed_sd"], abs=0.005)
    assert result.episode_sd == pytest.approx(expected["episode_sd"], abs=0.005)
    assert result.icc == pytest.approx(expected["icc"], abs=5e-5)
    assert result.design_effect(12) == pytest.approx(expected["design_effect_12"], abs=1e-3)


def test_contrasts_of_the_founding_study():
    expected = truth()["asterix_noise_table"]
    cells = [cell["example_sample_consistent"] for cell in expected["cells"]]
    result = [contrasts.unpaired(x, y) for i, x in enumerate(cells) for y in cells[i + 1 :]]
    p = np.array([contrast.p for contrast in result])
    assert len(p) == expected["n_pairs"]
    assert (p < 0.05).sum() == expected["pairs_p_lt_05_uncorrected"]
    assert (contrasts.holm(p) < 0.05).sum() == expected["pairs_significant_after_holm"]
    smallest = sorted(result, key=lambda contrast: contrast.p)[: len(expected["welch_smallest"])]
    for contrast, stored in zip(smallest, expected["welch_smallest"], strict=True):
        assert contrast.p == pytest.approx(stored["p"], rel=0.03)
        assert contrast.df == pytest.approx(stored["df"], abs=0.1)


def test_runs_that_are_missing_are_mostly_high_scorers():
    runs = scored("atari100k")
    method_runs = runs[runs.method == "dreamerv3"]
    assert (method_runs.score.isna().sum(), run_scores.count_leading(method_runs)) == (8, 7)
    assert list(run_scores.missing_flags(method_runs)) == ["missing_runs:8", "missing_lead"]
