"""Figures: what is drawn equals the table that is written beside it and numbers worked out here."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from scipy import stats
from test_results import write_run

from harness.errors import BadInput
from results import plots, style

NOISES = ["clean", "gaussian:sigma=10", "gaussian:sigma=20"]


@pytest.fixture(scope="module")
def robustness_figure(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for ablation, base in (("none", 400.0), ("repo", 300.0)):
        for seed in range(3):
            scores = {noise: [base - 50 * i + 10 * seed, base - 50 * i + 20] for i, noise in enumerate(NOISES)}
            write_run(root, scores, seed=seed, ablation=ablation)
    write_run(root, {"clean": [1.0]}, ablation="none", train_noise=NOISES[2], done=False)
    write_run(root, {"clean": [200.0, 210.0], NOISES[1]: [100.0, 120.0]}, ablation="repo", train_noise=NOISES[2])
    for seed in range(2):
        write_run(root, {noise: [10.0, 20.0 + seed] for noise in NOISES}, seed=seed, agent={"kind": "random"})
    return plots.build("robustness", [root], reps=200)


def panel(figure, title):
    return next(ax for ax in figure.axes if ax.get_title() == f"dmc/cartpole_swingup: {title}")


def test_heat_map_shows_the_means_and_half_widths(robustness_figure):
    ax = panel(robustness_figure[0], "none")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["clean", "gaussian:\nsigma=10", "gaussian:\nsigma=20"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["clean", "gaussian:\nsigma=20", "random agent"]
    # Seed means of the first cell: 410, 415, 420.
    half = stats.t(2).ppf(0.975) * 5 / np.sqrt(3)
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts[0.5, 0.5] == f"415\n± {half:.0f}" and texts[2.5, 0.5].startswith("315\n")
    assert texts[0.5, 1.5] == "not\ndone"


def test_colour_spans_the_task_and_marks_are_hatched(robustness_figure):
    figure, table = robustness_figure
    shade = next(child for child in panel(figure, "none").get_children() if isinstance(child, QuadMesh)).get_array()
    # All cells of the task lie between the random agent, (15 + 15.5) / 2, and 415.
    low, high = 15.25, 415
    assert shade[0].tolist() == pytest.approx([(mean - low) / (high - low) for mean in (415, 365, 315)])
    assert shade[2].tolist() == pytest.approx([0, 0, 0]) and bool(shade.mask[1, 0])
    hatched = [patch for patch in panel(figure, "repo").patches if patch.get_hatch()]
    assert len(hatched) == (table[(table.panel == "dmc/cartpole_swingup: repo")].mark != "").sum() > 0


def test_curves_show_means_bands_seeds_and_random_play(robustness_figure):
    figure, table = robustness_figure
    ax = panel(figure, "gaussian")
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    line = lines["none, clean"]
    assert list(line.get_xdata()) == [0, 10, 20] and list(line.get_ydata()) == [415, 365, 315]
    assert line.get_color() == style.COLOURS[0]
    assert set(lines["random agent"].get_ydata()) == {15.25} and lines["random agent"].get_linestyle() == "--"
    seeds = [li for li in ax.lines if li.get_label() == "_seed none, clean"]
    assert sorted(tuple(map(float, li.get_ydata())) for li in seeds)[0] == (410, 360, 310) and len(seeds) == 3
    band = ax.collections[0].get_paths()[0].vertices
    curve = table[(table.kind == "curve") & (table.series == "none, clean")]
    assert {round(y, 6) for _, y in band} == {round(y, 6) for y in [*curve.ci_low, *curve.ci_high]}
    half = stats.t(2).ppf(0.975) * 5 / np.sqrt(3)
    assert curve.ci_high.tolist() == pytest.approx([415 + half, 365 + half, 315 + half])


def test_every_row_of_the_table_is_drawn_and_nothing_else(robustness_figure):
    figure, table = robustness_figure
    ax = panel(figure, "gaussian")
    for kind, prefix in (("curve", ""), ("seed", "_seed "), ("random", "")):
        rows = table[(table.kind == kind) & table["mean"].notna()]
        expected = sorted((f"{prefix}{s}", x, y) for s, x, y in zip(rows.series, rows.x, rows["mean"], strict=True))
        actual = [
            (line.get_label(), float(x), float(y))
            for line in ax.lines
            if line.get_label() in {label for label, _, _ in expected}
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
            if not np.isnan(y)
        ]
        assert sorted(actual) == expected and expected
    cells = table[table.kind == "cell"]
    texts = [text.get_text() for ax in figure.axes if "gaussian" not in ax.get_title() for text in ax.texts]
    assert sorted(texts) == sorted(cells.text)


def test_incomplete_points_are_hollow_and_one_model_has_no_band(robustness_figure):
    ax = panel(robustness_figure[0], "gaussian")
    hollow = [line for line in ax.lines if line.get_label() == "_marks" and line.get_markerfacecolor() == "white"]
    assert sorted(y for line in hollow for y in line.get_ydata() if not np.isnan(y)) == [110, 205]
    assert sum(len(band.get_paths()) for band in ax.collections) == 2
    assert any("not done: none, gaussian:sigma=20" in text.get_text() for text in ax.texts)


def test_text_is_legible_and_says_what_the_marks_mean(robustness_figure):
    figure, _ = robustness_figure
    sizes = [text.get_fontsize() for ax in figure.axes for text in [*ax.texts, *ax.get_xticklabels(), ax.title]]
    assert min(sizes) >= 7 and figure.get_figwidth() == 2 * style.COLUMN
    caption = " ".join(figure.texts[0].get_text().split())
    for expected in ("Return per episode", "t-seeds", "last checkpoint", "one trained model only", "left out"):
        assert expected in caption


@pytest.mark.parametrize("form", plots.FORMATS)
def test_saves(robustness_figure, tmp_path, form):
    robustness_figure[0].savefig(tmp_path / f"f.{form}", format=form)
    assert (tmp_path / f"f.{form}").stat().st_size > 5000


def test_many_settings_are_split_by_ablation(tmp_path):
    for ablation in ("none", "a", "b"):
        for trained in NOISES[:2]:
            write_run(tmp_path, {"clean": [3.0, 4], "jpeg:quality=9": [1.0, 2]}, ablation=ablation, train_noise=trained)
    figure, table = plots.build("robustness", [tmp_path], reps=200)
    assert set(table[table.kind == "curve"].series) == set(NOISES[:2])
    ax = panel(figure, "none: jpeg")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["clean", "quality=9"] and ax.get_xlabel() == "tested with"


@pytest.mark.parametrize("done", [True, False])
def test_clean_only_or_nothing_done_still_draws(tmp_path, done):
    write_run(tmp_path, {"clean": [3.0, 4]}, done=done)
    figure, table = plots.build("robustness", [tmp_path], reps=200)
    figure.savefig(tmp_path / "f.png")
    assert set(table.kind) == {"cell"}


def test_unknown_figure(tmp_path):
    with pytest.raises(BadInput, match="Did you mean 'robustness'"):
        plots.build("robustnes", [tmp_path])
