"""Figures of methods over a benchmark: the drawn artists hold the published results' numbers, and can be read."""

from functools import cache

import numpy as np
import pytest
from looks import caption_text, check, lines, points
from published import benchmark, truth
from test_results import row, write_run

from harness.errors import BadInput
from results import plots, style
from results.scoring import run_scores

NAMES = ("intervals", "bars", "profile", "improvement", "learning", "efficiency", "sensitivity", "variance")
BENCHMARKS = ("dmc_proprio", "procgen", "atari100k")
REPS = 300


@cache
def cached_figure(name, of="dmc_proprio", reps=REPS):
    return plots.build(name, benchmark(of), reps=reps)


def panel(figure, title):
    (ax,) = [ax for ax in figure.axes if ax.get_title() == title]
    return ax


def exactly(value):
    return pytest.approx(value, rel=1e-9)


def ends(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    ((low, high),) = table[["ci_low", "ci_high"]].to_numpy()
    return [low, high]


@pytest.mark.parametrize("of", BENCHMARKS)
@pytest.mark.parametrize("name", [*NAMES, "curves"])
def test_every_text_can_be_read(name, of):
    check(cached_figure(name, of)[0])


@pytest.mark.parametrize("name", NAMES)
def test_captions_say_unit_n_rule_and_interval_and_tables_no_paths(name):
    figure, table = cached_figure(name)
    text = caption_text(figure)
    assert "n = " in text and "training runs" in text
    assert "rule" in text or name in ("learning", "efficiency")
    assert {"variance": "return", "improvement": "Probability"}.get(
        name, "Normalised score, 0 and 1 = dmc_proprio: 0 and"
    ) in text
    assert name == "variance" or "95 % percentile interval, stratified bootstrap" in text
    assert "path" not in table and "dmc_proprio/dmc" not in table.to_csv()


def test_interval_estimates_are_the_published_aggregates():
    figure, table = cached_figure("intervals")
    methods = ["dreamerv3", "d4pg", "ppo_fixhp"]
    for metric in ("median", "iqm", "mean", "optimality_gap"):
        ax = panel(figure, "dmc_proprio\n" + {"iqm": "IQM"}.get(metric, metric.replace("_", " ")))
        for y, method in enumerate(methods):
            expected = truth()["aggregate"]["dmc_proprio"][method][metric]
            assert points(ax, f"_value {method}") == [(exactly(expected), y)]
            interval = points(ax, f"_interval {method}")
            assert [x for x, _ in interval] == ends(table, method=method, metric=metric)
            assert interval[0][0] < expected < interval[1][0] and {at for _, at in interval} == {y}
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == methods


def test_one_run_per_task_is_hollow_and_has_no_interval():
    figure, _ = cached_figure("intervals", "procgen")
    ax = panel(figure, "procgen\nmean")
    assert lines(ax, "_value dreamerv3")[0].get_markerfacecolor() == "white" and not lines(ax, "_interval dreamerv3")
    assert lines(ax, "_value ppg")[0].get_markerfacecolor() != "white" and lines(ax, "_interval ppg")
    assert "Unreplicated (dreamerv3)" in caption_text(figure)
    bars = {bar.get_label(): bar.patches[0] for bar in cached_figure("bars", "procgen")[0].axes[0].containers}
    assert bars["_bar dreamerv3"].get_hatch() and not bars["_bar ppg"].get_hatch()
    assert "no interval" in caption_text(cached_figure("profile", "procgen")[0])
    assert "No band, one run per task: dreamerv3" in caption_text(cached_figure("learning", "procgen")[0])


def test_bars_are_as_high_as_the_published_aggregates():
    figure, table = cached_figure("bars")
    (ax,) = figure.axes
    methods = ["dreamerv3", "d4pg", "ppo_fixhp"]
    assert [bars.get_label() for bars in ax.containers] == [f"_bar {method}" for method in methods]
    for i, metric in enumerate(("mean", "median", "capped_mean")):
        group = [bars.patches[i] for bars in ax.containers]
        assert sorted(group, key=lambda bar: bar.get_x()) == group
        for bar, method in zip(group, methods, strict=True):
            middle = bar.get_center()[0]
            assert abs(middle - ax.get_xticks()[i]) < 0.5
            assert bar.get_height() == exactly(truth()["aggregate"]["dmc_proprio"][method][metric])
            (interval,) = [line for line in lines(ax, f"_interval {method}") if line.get_xdata()[0] == pytest.approx(middle)]
            assert list(interval.get_ydata()) == ends(table, method=method, metric=metric)
    assert ax.get_ylim()[0] == 0


def test_profiles_are_the_published_ones():
    figure, table = cached_figure("profile")
    for method, expected in truth()["aggregate"]["dmc_proprio"].items():
        (line,) = lines(figure.axes[0], method)
        values = dict(zip(np.round(line.get_xdata(), 6), line.get_ydata(), strict=True))
        truths = {float(tau): share for tau, share in expected["profile"].items() if float(tau) in values}
        assert len(truths) > 3 and {tau: values[tau] for tau in truths} == exactly(truths)
        (band,) = [band for band in figure.axes[0].collections if band.get_label() == f"_band {method}"]
        rows = table[table.method == method]
        assert {round(y, 9) for _, y in band.get_paths()[0].vertices} == {round(y, 9) for y in [*rows.ci_low, *rows.ci_high]}


def test_improvement_is_the_published_probability():
    figure, table = cached_figure("improvement")
    (ax,) = figure.axes
    assert list(lines(ax, "_zero")[0].get_xdata()) == [0.5, 0.5]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows == ["dreamerv3 > d4pg", "dreamerv3 > ppo_fixhp", "d4pg > ppo_fixhp"] == list(table.x + " > " + table.y)
    first, second = points(ax, "_value dreamerv3")
    truths = truth()["probability_of_improvement"]["dmc_proprio"]
    assert first == (exactly(truths["dreamerv3>d4pg"]["poi"]), 0)
    assert second == (exactly(truths["dreamerv3>ppo_fixhp"]["poi"]), 1)
    scored = run_scores.score_runs(benchmark("dmc_proprio"))
    wins = []
    for _, rows in scored.groupby("task"):
        x, y = (rows[rows.method == method].score.dropna().to_numpy() for method in ("d4pg", "ppo_fixhp"))
        wins.append(np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y]))
    assert points(ax, "_value d4pg") == [(exactly(np.mean(wins)), 2)]
    hollow = lines(cached_figure("improvement", "procgen")[0].axes[0], "_value dreamerv3")
    assert {line.get_markerfacecolor() for line in hollow} == {"white"}


def test_sensitivity_shows_every_rule_and_the_one_in_use():
    figure, _ = cached_figure("sensitivity")
    ax = panel(figure, "dmc_proprio: mean")
    rules = [label.get_text() for label in ax.get_yticklabels()]
    assert rules[0] == "window *" and rules.count("last point") == 1 and len(rules) == 7
    for method, truths in truth()["sensitivity"]["dmc_proprio"].items():
        values = {rules[round(y)]: x for x, y in points(ax, f"_value {method}")}
        assert values["last point"] == exactly(truths["last_point_of_each_run"]["mean"])
        assert values["best of 30 bins"] == exactly(truths["best_bin_per_run_of_30"]["mean"])
        (default,) = lines(ax, f"_default {method}")
        assert default.get_xdata()[0] == values["window *"] == exactly(truth()["aggregate"]["dmc_proprio"][method]["mean"])
    assert "Best of many" in caption_text(figure)


def test_variance_of_asterix_is_the_published_decomposition():
    figure, _ = cached_figure("variance", "atari100k")
    for method, truths in truth()["variance_components"].items():
        ax = panel(figure, f"{method} on atari100k")
        row = [label.get_text() for label in ax.get_yticklabels()].index("asterix")
        (runs,), (whole,) = (
            [bars.patches[row] for bars in ax.containers if bars.get_label() == kind] for kind in ("_runs", "_episodes")
        )
        assert abs(runs.get_center()[1] - row) < 0.1 and abs(whole.get_center()[1] - row) < 0.1
        assert runs.get_width() == pytest.approx(truths["icc"], abs=0.005)
        assert (runs.get_x(), whole.get_x(), whole.get_width()) == (0, 0, 1) and runs.get_zorder() >= whole.get_zorder()
        assert ax.texts[row].get_text().endswith(f"| {truths['episode_sd']:.0f}")


def train(points):
    return [row(frames // 2, "clean", i, value, split="train") for i, (frames, value) in enumerate(points)]


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Two tasks, two runs each; bins of dmc_proprio are 500k/30 frames wide. In the third bin only one task is left."""
    root = tmp_path_factory.mktemp("runs")
    for task, seed, values in (
        ("a", 0, [100, 200, 300]),
        ("a", 1, [200, 300, 400]),
        ("b", 0, [600, 700]),
        ("b", 1, [800, 500]),
    ):
        frames = [10_000, 20_000, 40_000]
        extra = train(zip(frames, values, strict=False))
        done = (task, seed) != ("b", 1)
        write_run(
            root, {"clean": [1.0]} if done else {}, done, extra=extra, task=f"dmc/{task}", seed=seed, name=f"{task}{seed}"
        )
    return root


def test_curves_of_a_benchmark_by_hand(grown):
    figure, table = plots.build("learning", [grown], reps=200)
    mean = panel(figure, "dmc_proprio: mean")
    width = 500_000 / 30
    coordinates = [(x, y) for x, y in points(mean, "dreamer") if y == y]
    # Task means 150, 700 and 250, 600 of 1000; then task a alone, 350.
    expected = [(exactly(width / 2), exactly(0.425)), (exactly(1.5 * width), exactly(0.425)), (exactly(2.5 * width), 0.35)]
    assert coordinates == expected
    assert points(mean, "_missing dreamer") == [(exactly(2.5 * width), 0.35)]
    dashed = [(x, y) for x, y in points(mean, "_sparse dreamer") if y == y]
    assert dashed[-1] == coordinates[-1] and lines(mean, "_sparse dreamer")[0].get_linestyle() == "--"
    assert points(mean, "_unfinished dreamer") == [coordinates[-1]]
    assert "×: end of a method with runs that are not done (dreamer 1)" in caption_text(figure)
    assert set(table.mark) == {"", "tasks missing"}
    iqm, _ = plots.build("efficiency", [grown], reps=200)
    # Of 100, 200, 600, 800 and of 200, 300, 500, 700 the two in the middle; of two runs both.
    assert [y for _, y in points(iqm.axes[0], "dreamer") if y == y] == exactly([0.4, 0.4, 0.35])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_draw_is_said(name, tmp_path):
    write_run(tmp_path, {}, done=False)
    with pytest.raises(BadInput, match="None of these runs has "):
        plots.build(name, [tmp_path], reps=20)


def test_a_method_has_one_colour_in_all_figures():
    looks = {}
    for name in ("intervals", "bars", "profile", "improvement", "learning", "efficiency", "sensitivity", "curves"):
        figure, _ = cached_figure(name)
        for ax in figure.axes:
            for method in ("dreamerv3", "d4pg", "ppo_fixhp"):
                values = [line for label in (method, f"_value {method}") for line in lines(ax, label)]
                looks.setdefault(method, set()).update(line.get_color() for line in values)
    assert all(len(colours) == 1 for colours in looks.values()) and len(set.union(*looks.values())) == 3
    assert looks["dreamerv3"] == {style.COLOURS[0]}
    (others,) = {
        line.get_color() for ax in cached_figure("intervals", "procgen")[0].axes for line in lines(ax, "_value ppo_fixhp")
    }
    assert {others} == looks["ppo_fixhp"]
