"""Aggregates, contrasts, components and the jackknife: worked by hand, by brute force, and by other libraries."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from results.statistics import aggregates, components, contrasts, improvement, intervals, jackknife
from results.statistics.strata import CHUNK, Strata

STORED = json.loads((Path(__file__).parent / "rliable.json").read_text())
RAGGED = {"a": [0.1, 0.4, 0.2], "b": [1.5, 0.9], "c": [0.3, 0.3, 0.7, 0.6]}


def resampled(strata, rng):
    """One bootstrap sample of ragged scores, drawn the plain way."""
    return {
        task: rng.choice(strata.values[task_runs], task_runs.stop - task_runs.start) for task, task_runs in strata.task_slices()
    }


def by_hand(metric, scores):
    pooled = np.sort(np.concatenate(list(scores.values())))
    means = [np.mean(values) for values in scores.values()]
    return {
        "mean": lambda: np.mean(means),
        "median": lambda: np.median(means),
        "capped_mean": lambda: np.mean(np.minimum(means, 1)),
        "iqm": lambda: stats.trim_mean(pooled, 0.25),
        "optimality_gap": lambda: 1 - np.mean(np.minimum(pooled, 1)),
        "iqm_task_balanced": lambda: balanced(scores),
    }[metric]()


def balanced(scores, parts=2520):
    """Every run split into equal parts, so many that all tasks have the same: then a plain trimmed mean."""
    whole = [np.repeat(values, parts // len(values)) for values in scores.values()]
    return stats.trim_mean(np.concatenate(whole), 0.25)


@pytest.mark.parametrize("metric", aggregates.METRICS)
def test_aggregates_of_ragged_scores_by_hand_and_of_their_bootstrap_samples(metric):
    runs = Strata.of(RAGGED)
    of, rng = aggregates.METRICS[metric], np.random.default_rng(1)
    assert runs.estimate(of) == pytest.approx(by_hand(metric, RAGGED), rel=1e-12)
    counts = runs.draw_counts(rng, 40)
    for sample, value in zip(counts.T, of(runs, counts), strict=True):
        resampled = {task: np.repeat(runs.values[task_runs], sample[task_runs]) for task, task_runs in runs.task_slices()}
        assert [len(v) for v in resampled.values()] == [3, 2, 4]
        assert value == pytest.approx(by_hand(metric, resampled), rel=1e-12)


def test_draws_are_multinomial_within_each_task():
    runs = Strata.of(RAGGED)
    counts = runs.draw_counts(np.random.default_rng(0), 40_000).astype(float)
    for _, task_runs in runs.task_slices():
        n = task_runs.stop - task_runs.start
        assert (counts[task_runs].sum(axis=0) == n).all()
        expected = n * (np.eye(n) / n - 1 / n**2)  # covariance of a multinomial
        assert np.cov(counts[task_runs]) == pytest.approx(expected, abs=0.03)
        assert counts[task_runs].mean(axis=1) == pytest.approx(np.ones(n), abs=0.02)


def test_tasks_of_many_runs_are_drawn_from_whole():
    runs = Strata.of({"a": np.arange(700.0)})
    counts = runs.draw_counts(np.random.default_rng(0), 50)
    assert (counts.sum(axis=0, dtype=int) == 700).all()
    assert runs.replicates({"iqm": aggregates.iqm}, np.random.default_rng(0), 50)["iqm"].std() > 0


def test_replicates_agree_with_a_plain_bootstrap():
    runs, rng = Strata.of(RAGGED), np.random.default_rng(2)
    plain = np.array([by_hand("iqm", resampled(runs, rng)) for _ in range(4000)])
    ours = runs.replicates({"iqm": aggregates.iqm}, np.random.default_rng(3), 2 * CHUNK + 17)["iqm"]
    assert len(ours) == 2 * CHUNK + 17
    assert stats.ks_2samp(plain.round(9), ours.round(9)).pvalue > 1e-3  # few distinct values, summed in another order
    assert ours.std() == pytest.approx(plain.std(), rel=0.06)


def test_order_of_tasks_and_runs_changes_no_digit_and_nan_is_a_missing_run():
    rng = np.random.default_rng(4)
    shuffled = {task: rng.permutation([*RAGGED[task], np.nan]) for task in reversed(RAGGED)} | {"d": [np.nan]}
    one, other = Strata.of(RAGGED), Strata.of(shuffled)
    assert one.tasks == other.tasks and np.array_equal(one.values, other.values)
    first, second = (runs.replicates(aggregates.METRICS, np.random.default_rng(5), 300) for runs in (one, other))
    assert all(np.array_equal(first[metric], second[metric]) for metric in first)


def test_profiles_count_strictly_higher_runs():
    runs = Strata.of({"a": [0.5, 1.0], "b": [0.2]})
    taus = np.array([0.1, 0.2, 0.5, 1.0])
    assert list(runs.estimate(aggregates.profile(taus))) == pytest.approx([1, 2 / 3, 1 / 3, 0])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_improvement_is_mann_whitney(x, y):
    result = improvement.probability_per_task(Strata.of({"t": x}), Strata.of({"t": y, "u": [1]}))
    assert result == {"t": pytest.approx(stats.mannwhitneyu(x, y).statistic / len(x) / len(y))}


def test_improvement_replicates_by_brute_force():
    x, y = Strata.of(RAGGED), Strata.of({"a": [0.2, 0.3], "b": [1.0, 1.5, 2.0]})
    rng = np.random.default_rng(6)

    def once():
        a, b = resampled(x, rng), resampled(y, rng)
        wins = [np.mean((a[t][:, None] > b[t]) + 0.5 * (a[t][:, None] == b[t])) for t in ("a", "b")]
        return np.mean(wins)

    plain = np.array([once() for _ in range(3000)])
    streams = {"x": np.random.default_rng(7), "y": np.random.default_rng(8)}
    ours = improvement.bootstrap_pairs({"x": x, "y": y}, streams, 5000)["x", "y"]
    assert ours.mean() == pytest.approx(plain.mean(), abs=0.015)
    assert ours.std() == pytest.approx(plain.std(), rel=0.06)


def test_improvement_replicates_are_mann_whitney_of_the_runs_drawn():
    """Ties, ragged and uncommon tasks; a pair's replicates are the same beside a third method and without."""
    y = {"c": [0.3, 0.6, 0.3, 0.1, 0.6], "a": [0.2, 0.4], "d": [1.0]}
    methods = {"x": Strata.of(RAGGED), "y": Strata.of(y), "z": Strata.of({"d": [0.5, 2.0, 1.0]})}

    def streams():
        return {name: np.random.default_rng(seed) for seed, name in enumerate(methods)}

    ours = improvement.bootstrap_pairs(methods, streams(), 60)
    assert set(ours) == {("x", "y"), ("y", "z")}
    alone = improvement.bootstrap_pairs({name: methods[name] for name in "xy"}, streams(), 60)
    assert np.array_equal(ours["x", "y"], alone["x", "y"])
    counts = {name: methods[name].draw_counts(rng, 60) for name, rng in streams().items()}
    for pair, result in ours.items():
        for i in range(60):
            resampled = [
                {
                    task: np.repeat(methods[name].values[task_runs], counts[name][task_runs, i])
                    for task, task_runs in methods[name].task_slices()
                }
                for name in pair
            ]
            wins = [stats.mannwhitneyu(a, resampled[1][task]) for task, a in resampled[0].items() if task in resampled[1]]
            sizes = [len(a) * len(resampled[1][task]) for task, a in resampled[0].items() if task in resampled[1]]
            expected = np.mean([test.statistic / size for test, size in zip(wins, sizes, strict=True)])
            assert result[i] == pytest.approx(expected, rel=1e-12)


def test_a_full_matrix_agrees_with_rliable():
    """Stored numbers of rliable.metrics and its interval; `command` in rliable.json made them."""
    matrix = np.array(STORED["scores"])  # runs x tasks
    runs = Strata.of({f"t{i:02}": column for i, column in enumerate(matrix.T)})
    for metric, expected in STORED["metrics"].items():
        assert runs.estimate(aggregates.METRICS[metric]) == pytest.approx(expected, rel=1e-12)
    taus = np.array(STORED["taus"])
    assert runs.estimate(aggregates.profile(taus)) == pytest.approx(STORED["profile"], rel=1e-12)
    resampled = runs.replicates({"iqm": aggregates.iqm}, np.random.default_rng(0), 20_000)["iqm"]
    assert intervals.percentile_interval(resampled) == pytest.approx(STORED["iqm_interval"], abs=0.08 * resampled.std())
    other = Strata.of({f"t{i:02}": column for i, column in enumerate(np.array(STORED["other"]).T)})
    result = np.mean(list(improvement.probability_per_task(runs, other).values()))
    assert result == pytest.approx(STORED["probability_of_improvement"], rel=1e-12)


def test_unpaired_is_welch():
    rng = np.random.default_rng(8)
    x, y = rng.normal(1, 1, 5), rng.normal(0, 3, 8)
    theirs = stats.ttest_ind(x, y, equal_var=False)
    ours = contrasts.unpaired(x, y)
    assert (ours.p, ours.df) == pytest.approx((theirs.pvalue, theirs.df))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval()))
    ours = contrasts.unpaired(x, y, confidence=0.9)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.9)))


@pytest.mark.parametrize(("x", "y"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0]), ([], [1.0])])
def test_no_claim_without_spread_on_both_sides(x, y):
    result = contrasts.unpaired(x, y)
    assert np.isnan([result.low, result.high, result.p]).all()


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, then never falling.
    assert contrasts.holm([0.04, np.nan, 0.01, 0.03, 0.02]) == pytest.approx([0.06, np.nan, 0.04, 0.06, 0.06], nan_ok=True)
    assert contrasts.holm([0.9, 0.8]) == pytest.approx([1, 1])


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(9)
    x, y = rng.normal(0, 1, 30), rng.normal(0.1, 1, 25)
    lower = stats.ttest_ind(x + 0.8, y, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(x - 0.8, y, equal_var=False, alternative="less").pvalue
    assert contrasts.equivalence_p(contrasts.unpaired(x, y), 0.8) == pytest.approx(max(lower, upper))
    with pytest.raises(ValueError, match="above 0"):
        contrasts.equivalence_p(contrasts.unpaired(x, y), 0)


def test_components_of_a_balanced_design_by_hand():
    # Means 1 and 5, within-variance 2 each: MSB = 2 * 2 * (2^2) = 16, MSW = 2, seed variance (16 - 2) / 2 = 7.
    result = components.variance_components([np.array([0.0, 2.0]), np.array([4.0, 6.0])])
    assert (result.seed_sd**2, result.episode_sd**2, result.icc) == pytest.approx((7, 2, 7 / 9))
    assert result.design_effect(10) == pytest.approx(8)
    same = components.variance_components([np.array([0.0, 2.0]), np.array([2.0, 0.0])])
    assert (same.seed_sd, same.icc) == (0, 0)
    assert np.isnan(components.variance_components([np.array([0.0, 2.0])]).seed_sd)


def test_jackknife_of_means_and_differences_is_students_t():
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(6, 1)), rng.normal(size=(4, 1))
    assert jackknife.interval([x], lambda m: m[0]) == pytest.approx(intervals.mean_interval(x[:, 0]))
    welch = contrasts.unpaired(x[:, 0], y[:, 0])
    assert jackknife.interval([x, y], lambda a, b: a[0] - b[0]) == pytest.approx((welch.delta, welch.low, welch.high))
    assert np.isnan(jackknife.interval([x[:1]], lambda m: m[0])[1])


def test_jackknife_of_a_ratio_is_the_delta_method_for_many_units():
    rng = np.random.default_rng(11)
    clean = rng.normal(100, 10, 400)
    pairs = np.stack([0.6 * clean + rng.normal(0, 5, 400), clean], axis=1)
    value, low, high = jackknife.interval([pairs], lambda m: m[0] / m[1])
    influence = (pairs[:, 0] - value * pairs[:, 1]) / clean.mean()
    half = stats.t(399).ppf(0.975) * influence.std(ddof=1) / 20
    assert (high - low) / 2 == pytest.approx(half, rel=5e-3)
    assert value == pytest.approx(0.6, abs=0.01)


def test_nothing_is_best_by_two_runs():
    """However far apart: of two pairs of runs drawn alike, five in a hundred look so."""
    assert contrasts.best_group([[1.0, 1.01], [5.0, 5.01]]) is None
    assert contrasts.best_group([[1.0, 1.01, 0.99], [5.0, 5.01, 5.02]]) == 1


def test_linear_functions_have_the_same_jackknife_interval_all_at_once():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(9, 1))
    weights = rng.normal(size=(7, 3))
    value, low, high = jackknife.linear_interval([(x, weights), (y, np.full((7, 1), -0.5))])
    for place, row in enumerate(weights):
        result = jackknife.interval([x, y], lambda a, b, row=row: row @ a - 0.5 * b[0])
        assert (value[place], low[place], high[place]) == pytest.approx(result, rel=1e-9)


def test_two_level_replicates_have_the_variance_that_theory_gives_them():
    """Drawing S of S seeds, then E of E episodes: variance of seed means / S, and mean episode variance / (S E)."""
    rng = np.random.default_rng(0)
    models = [500 + rng.normal(rng.normal(), 2, size=e) for e in (4, 7, 3, 9)]
    expected = np.var([m.mean() for m in models]) / 4 + np.mean([m.var() / len(m) for m in models]) / 4
    replicates = intervals.two_level_means(models, 50_000, rng)
    assert replicates.mean() == pytest.approx(np.mean([m.mean() for m in models]), abs=0.02)
    assert replicates.var() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 2), (40,), (501, 3), (9_000, 2, 2)])
@pytest.mark.parametrize("kind", ["continuous", "ties", "constant", "undefined"])
def test_percentiles_are_those_of_numpy(shape, kind):
    rng = np.random.default_rng(len(shape))
    values = {"ties": rng.integers(4, size=shape).astype(float), "constant": np.full(shape, 0.1)}.get(
        kind, rng.normal(size=shape)
    )
    if kind == "undefined":
        values[-1].flat[0] = np.nan
    for confidence in (0.5, 0.95, 0.999):
        expected = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
        for end, ours in zip(expected, intervals.percentile_interval(values, confidence), strict=True):
            np.testing.assert_array_equal(ours, end)
