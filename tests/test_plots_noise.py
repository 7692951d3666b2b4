"""Figures of ablations and noise: differences, forests and severities hold numbers that scipy finds from the same runs."""

import itertools

import numpy as np
import pandas as pd
import pytest
from looks import SIGHTS, caption_text, check, lab, lines, points
from matplotlib.collections import QuadMesh
from scipy import stats
from test_results import write_run

from harness.errors import BadInput
from results import plots, style

TASKS = ("dmc/cartpole_swingup", "dmc/walker_walk")
FAMILIES = ("gaussian", "jpeg", "salt_pepper")
NOISES = ["clean", *(f"{family}@{level}" for family in FAMILIES for level in range(1, 6))]
SETTINGS = list(itertools.product(("none", "repo", "short"), ("clean", "gaussian@3")))
SEEDS = 4
FIGURES = ("difference", "ablations", "severity", "robustness", "variance", "curves")


def value(task, ablation, trained, tested, seed):
    """Mean return of one model, which its episodes lie evenly around."""
    strength = 0 if tested == "clean" else int(tested[-1])
    lost = (40 if trained == "clean" else 20) * strength
    level = {"none": 700, "repo": 650, "short": 300}[ablation] - 50 * (trained != "clean")
    return level - lost + 17 * (seed * 7 % 5) + 3 * seed * TASKS.index(task)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """repo trained under noise has an unfinished run, short trained under noise one run only."""
    root = tmp_path_factory.mktemp("runs")
    for task, (ablation, trained), seed in itertools.product(TASKS, SETTINGS, range(SEEDS)):
        if (ablation, trained) == ("short", "gaussian@3") and seed:
            continue
        done = not ((ablation, trained) == ("repo", "gaussian@3") and seed == 3)
        means = {noise: value(task, ablation, trained, noise, seed) for noise in NOISES}
        episodes = {noise: [mean - 20, mean, mean + 20] for noise, mean in means.items()} if done else {"clean": [1.0]}
        name = f"{task[4:]}.{ablation}.{trained}.s{seed}"
        write_run(root, episodes, done, task=task, ablation=ablation, train_noise=trained, seed=seed, name=name)
    for task, seed in itertools.product(TASKS, range(2)):
        write_run(
            root, {"clean": [10.0, 30.0]}, task=task, agent={"kind": "random"}, seed=seed, name=f"{task[4:]}.random.s{seed}"
        )
    return root


@pytest.fixture(scope="module")
def figures(root):
    return {name: plots.build(name, [root], reps=100) for name in FIGURES if name != "curves"}


def models(task, ablation, trained, tested):
    seeds = (
        1 if (ablation, trained) == ("short", "gaussian@3") else 3 if (ablation, trained) == ("repo", "gaussian@3") else SEEDS
    )
    return np.array([value(task, ablation, trained, tested, seed) for seed in range(seeds)], float)


def welch(x, y):
    test = stats.ttest_ind(x, y, equal_var=False)
    return [x.mean() - y.mean(), *test.confidence_interval(0.95)], test.pvalue


@pytest.mark.parametrize("name", FIGURES[:-1])
def test_every_text_can_be_read(figures, name):
    check(figures[name][0])


@pytest.mark.parametrize("name", FIGURES[:-1])
def test_captions_and_tables(figures, root, name):
    figure, table = figures[name]
    text = caption_text(figure)
    assert "95 %" in text or "t-seeds" in text or name == "variance"
    assert "checkpoint" in text and "return" in text.lower()
    assert not table.astype(str).apply(lambda column: column.str.contains(str(root))).any(axis=None)


def test_forest_is_welch_with_holm(figures):
    figure, table = figures["ablations"]
    contrasts, p = {}, {}
    for task, (ablation, trained) in itertools.product(TASKS, SETTINGS[2:]):
        x, y = models(task, ablation, trained, "clean"), models(task, "none", trained, "clean")
        if len(x) > 1:
            contrasts[task, f"{ablation} ({trained})"], p[task, f"{ablation} ({trained})"] = welch(x, y)
    for task in TASKS:
        (ax,) = [ax for ax in figure.axes if ax.get_title() == task]
        rows = [label.get_text() for label in ax.get_yticklabels()]
        assert rows == ["repo (clean)", "repo (gaussian@3)", "short (clean)", "short (gaussian@3)"]
        for ablation in ("repo", "short"):
            faces = [line.get_markerfacecolor() for line in lines(ax, f"_value {ablation}") for _ in line.get_xdata()]
            for (x, y), face in zip(points(ax, f"_value {ablation}"), faces, strict=True):
                row = rows[int(y)]
                single = row == "short (gaussian@3)"
                expected = value(task, "short", "gaussian@3", "clean", 0) - models(task, "none", "gaussian@3", "clean").mean()
                assert x == pytest.approx(expected if single else contrasts[task, row][0])
                assert (face == "white") == ("gaussian" in row)
                ends = [x for x, at in points(ax, f"_interval {ablation}") if at == y]
                assert ends == ([] if single else pytest.approx(contrasts[task, row][1:]))
        assert list(lines(ax, "_zero")[0].get_xdata()) == [0, 0]
    # Holm over the 9 contrasts that have a p: 3 of either task, and the 3 over both tasks.
    stars = {(ax.get_title(), round(text.xy[1])) for ax in figure.axes for text in ax.texts if text.get_text() == "*"}
    both = table[table.task == "all tasks"]
    every = pd.Series([*p.values(), *both.p.dropna()]).sort_values()
    holm = (every * np.arange(len(every), 0, -1)).cummax()
    limit = every[holm < 0.05].max()
    rows = ["repo (clean)", "repo (gaussian@3)", "short (clean)"]
    significant = {(task, rows.index(row)) for (task, row), chance in p.items() if chance <= limit}
    assert significant == {star for star in stars if star[0] in TASKS}
    assert "after Holm's correction for 9 contrasts" in caption_text(figure)
    assert "Unfinished (repo (gaussian@3): 1)" in caption_text(figure)


def test_difference_maps_are_welch_against_their_reference(figures):
    figure, table = figures["difference"]
    largest = {task: rows.delta.abs().max() for task, rows in table.groupby("task")}
    comparisons = {
        "dmc/cartpole_swingup: repo minus none": [
            ("repo", "clean", "none", "clean"),
            ("repo", "gaussian@3", "none", "gaussian@3"),
        ],
        "dmc/cartpole_swingup: none: noisy minus clean training": [("none", "gaussian@3", "none", "clean")],
    }
    for title, rows in comparisons.items():
        (ax,) = [ax for ax in figure.axes if ax.get_title().replace("\n", " ") == title]
        assert [label.get_text() for label in ax.get_xticklabels()] == NOISES
        assert [label.get_text() for label in ax.get_yticklabels()] == [row[1] for row in rows]
        shade = next(child for child in ax.get_children() if isinstance(child, QuadMesh)).get_array()
        dots = {(int(x), int(y)) for x, y in points(ax, "_excludes zero")}
        for i, (ablation, trained, other, from_noise) in enumerate(rows):
            for j, noise in enumerate(NOISES):
                x, y = models(TASKS[0], ablation, trained, noise), models(TASKS[0], other, from_noise, noise)
                (delta, low, high), p = welch(x, y)
                assert shade[i, j] == pytest.approx(0.5 + delta / largest[TASKS[0]] / 2)
                assert ((j, i) in dots) == (low > 0 or high < 0)
                mark = table[(table.panel == title) & (table.series == trained) & (table.eval_noise == noise)].iloc[0]
                assert mark[["delta", "ci_low", "ci_high", "p"]].tolist() == pytest.approx([delta, low, high, p])
    assert len(figure.axes) == 2 * (2 + 3)
    (single,) = [ax for ax in figure.axes if ax.get_title() == "dmc/walker_walk: short minus none"]
    assert len([patch for patch in single.patches if patch.get_hatch()]) == len(NOISES)


def test_few_noises_have_their_numbers_in_the_cells(tmp_path):
    for ablation, mean in (("none", 100.0), ("repo", 130.0)):
        for seed in range(3):
            write_run(tmp_path, {"clean": [mean + seed], "jpeg@2": [mean - 10 * seed]}, ablation=ablation, seed=seed)
    figure, _ = plots.build("difference", [tmp_path])
    check(figure)
    (ax,) = figure.axes
    half = welch(np.array([130.0, 131, 132]), np.array([100.0, 101, 102]))[0][2] - 30
    assert {text.get_position(): text.get_text() for text in ax.texts}[0.5, 0.5] == f"+30.0\n± {half:.1f}"


def test_severity_panels_hold_means_and_student_intervals(figures):
    figure, _ = figures["severity"]
    assert len(figure.axes) == len(TASKS) * 3 * len(FAMILIES)
    (ax,) = [ax for ax in figure.axes if ax._left_title.get_text() == "dmc/walker_walk: repo\ngaussian"]
    assert ax.get_xlabel() == "severity" and [label.get_text() for label in ax.get_xticklabels()] == list("012345")
    for trained in ("clean", "gaussian@3"):
        tested = ["clean", *(f"gaussian@{level}" for level in range(1, 6))]
        seeds = [models(TASKS[1], "repo", trained, noise) for noise in tested]
        coordinates = points(ax, trained)
        assert [y for _, y in coordinates] == pytest.approx([means.mean() for means in seeds])
        assert [round(x) for x, _ in coordinates] == list(range(6))
        (bars,) = [bars for bars in ax.collections if bars.get_label() == f"_interval {trained}"]
        ends = [path[:, 1].tolist() for path in bars.get_segments()]
        for means, end in zip(seeds, ends, strict=True):
            half = stats.t(len(means) - 1).ppf(0.975) * means.std(ddof=1) / np.sqrt(len(means))
            assert end == pytest.approx([means.mean() - half, means.mean() + half])
    (alone,) = [ax for ax in figure.axes if ax._left_title.get_text() == "dmc/walker_walk: short\ngaussian"]
    (bars,) = [bars for bars in alone.collections if bars.get_label() == "_interval gaussian@3"]
    assert not bars.get_segments()  # one model: no interval about the method
    assert {y for _, y in points(ax, "random agent")} == {20}


def test_variance_by_hand(figures):
    figure, _ = figures["variance"]
    (ax,) = [ax for ax in figure.axes if ax.get_title() == "dreamer on dmc_proprio"]
    for y, task in enumerate(TASKS):
        means = models(task, "none", "clean", "clean")
        within = 400.0  # of m - 20, m, m + 20 with ddof 1
        between = means.var(ddof=1) - within / 3
        (bars,) = [bars for bars in ax.containers if bars.get_label() == "_runs"]
        bar = bars.patches[y]
        assert bar.get_width() == pytest.approx(max(between, 0) / (max(between, 0) + within))


@pytest.mark.parametrize("name", ["difference", "ablations", "severity"])
def test_nothing_to_compare_is_said(name, tmp_path):
    write_run(tmp_path, {"clean": [3.0, 4]})
    with pytest.raises(BadInput, match="None of these runs has "):
        plots.build(name, [tmp_path])


def test_a_baseline_that_is_not_there(root):
    with pytest.raises(BadInput, match="Did you mean 'short'"):
        plots.build("difference", [root], baseline="shor")


def test_colours_go_with_the_name_and_not_with_the_company():
    names = ["dreamer", "dreamer repo", "ppo", "dreamer short gaussian@3", "dreamer no_free_bits"]
    looks = style.looks_of(names)
    assert len({colour for colour, _ in looks.values()}) == len(names) and list(style.looks_of(reversed(names))) != []
    preferred = {name: style.looks_of([name])[name] for name in names}
    for absent in names:
        others = [name for name in names if name != absent]
        looks_without = style.looks_of(others)
        unmoved = [name for name in others if looks_without[name] == looks[name]]
        assert set(unmoved) >= {name for name in others if looks[name] == preferred[name]} != set()  # the others may move
    assert (
        style.looks_of(["none, clean", "repo, clean"])["repo, clean"]
        == looks["dreamer repo"]
        == style.looks_of(["repo"])["repo"]
    )
    many = style.looks_of([f"method {i}" for i in range(20)])
    assert len(set(many.values())) == 20


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_stay_apart_for_every_sight(sight):
    lab_colours = [lab(colour, sight) for colour in style.COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab_colours, 2)) > 16
