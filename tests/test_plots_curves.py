"""Learning curves: bins worked out by hand, what is missing drawn as missing, references no further than our runs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_importers import write
from test_results import row, write_run

from harness.errors import BadInput
from results import plots, style
from results.analyses import curves

TASK = "dmc/cartpole_swingup"
T1, T2 = (stats.t(n).ppf(0.975) for n in (1, 2))


def train(points):
    """Training rows from (frames, return); an environment frame is half a policy step."""
    return [row(f // 2, "clean", i, y, split="train") for i, (f, y) in enumerate(points)]


def run(root, points, finals=(), **axes):
    """A run of 200 policy steps, 400 frames."""
    return write_run(root, {"clean": list(finals)}, extra=train(points), final=200, steps=200, **axes)


def study(root):
    """Three seeds, the last of which stopped half way, two episodes of the first in its first bin, and random play."""
    run(root, [(50, 0), (100, 20), (200, 20), (300, 30), (400, 40)], [40, 60], seed=0)
    run(root, [(100, 20), (200, 30), (300, 40), (400, 50)], [60, 80], seed=1)
    run(root, [(100, 30), (200, 40)], done=False, seed=2)
    write_run(root, {"clean": [4.0, 8.0]}, agent={"kind": "random"}, final=200, steps=200)
    return root


@pytest.fixture
def curves_figure(tmp_path):
    return plots.build("curves", [study(tmp_path)])


def reference(folder, **changes):
    runs = [
        {"seed": 0, "xs": [0, 50, 100, 300, 500], "ys": [None, 10, 20, None, 99]},
        {"seed": 4, "xs": [100, 200, 500], "ys": [35, 60, 99]},
        {"seed": 5, "xs": [600], "ys": [99]},
    ]
    head = {"task": "dmc_cartpole_swingup", "method": "dreamerv3"}
    return write(folder, [head | record | changes for record in runs])


def artists(figure, label, panel=0):
    return [line for line in figure.axes[panel].lines if line.get_label() == label]


def points(lines):
    """The points of lines, without the NaN that break them, each once."""
    coordinates = [xy for line in lines for xy in zip(*map(np.asarray, line.get_data()), strict=True)]
    return sorted({(float(x), float(y)) for x, y in coordinates if not np.isnan(y)})


# Bins


@pytest.mark.parametrize(("value", "width"), [(1, 1), (1.1, 2), (3, 5), (6, 10), (10, 10), (10_001, 20_000), (12_500, 20_000)])
def test_widths_are_round(value, width):
    assert curves._round_up(value) == width


def test_bins_hold_their_right_edge_and_the_first_holds_zero():
    bins = curves.Bins(100, 400)
    assert list(bins.left_edges(pd.Series([0, 1, 100, 101, 400]))) == [0, 0, 0, 100, 300]


def test_bins_are_no_narrower_than_episodes_and_at_most_forty():
    long = pd.DataFrame({"path": "a", "frames": [3000, 6000, 9000]})
    assert curves.Bins.of(long, 9000) == curves.Bins(5000, 9000)
    short = pd.DataFrame({"path": "a", "frames": range(10, 90_001, 10)})
    assert curves.Bins.of(short, 0).width == 5000
    lanes = pd.DataFrame({"path": "a", "frames": np.repeat([4000, 8000], 16)})
    assert curves.Bins.of(lanes, 0).width == 5000


# Marks


def test_means_and_bands_by_hand(curves_figure):
    figure, table = curves_figure
    curve = table[table.kind == "curve"]
    # Bins of 100 frames. First bin: seed means (0 + 20) / 2, 20, 30 at frames 75, 100, 100; then two seeds are left.
    assert list(curve["mean"]) == [20, 30, 35, 45] and list(curve.seeds) == [3, 3, 2, 2]
    assert list(curve.x) == pytest.approx([275 / 3, 200, 300, 400])
    halves = [T2 * 10 / np.sqrt(3)] * 2 + [T1 * np.sqrt(50) / np.sqrt(2)] * 2
    assert list(curve.ci_high - curve["mean"]) == pytest.approx(halves)
    assert points(artists(figure, "dreamer")) == points(artists(figure, "_sparse dreamer"))
    assert points(artists(figure, "dreamer")) == sorted(zip(curve.x, curve["mean"], strict=True))
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert {round(y, 6) for _, y in band} == {round(y, 6) for y in [*curve.ci_low, *curve.ci_high]}


def test_missing_runs_are_dashed_and_hollow(curves_figure):
    figure, _ = curves_figure
    solid, dashed = (artists(figure, label)[0] for label in ("dreamer", "_sparse dreamer"))
    assert np.isnan(solid.get_ydata()).tolist() == [False, False, True, False, True, False]
    assert np.isnan(dashed.get_ydata()).tolist() == [False, True, False, False, False]
    assert dashed.is_dashed() and not solid.is_dashed()
    (hollow,) = artists(figure, "_missing dreamer")
    assert points([hollow]) == [(300, 35), (400, 45)] and hollow.get_markerfacecolor() == "white"


def test_single_runs_end_where_they_end(curves_figure):
    figure, table = curves_figure
    seeds = [points([line]) for line in artists(figure, "_seed dreamer")]
    assert seeds[0] == [(75, 10), (200, 20), (300, 30), (400, 40)] and seeds[2] == [(100, 30), (200, 40)]
    assert points(artists(figure, "_stopped dreamer")) == [(200, 40)]
    assert list(table[table.kind == "stopped"].note) == ["running at step 200 of 200"]


def test_final_evaluation_and_random_play(curves_figure):
    figure, table = curves_figure
    final = table[table.kind == "final"].iloc[0]
    # Seed means 50 and 70 of the two runs that are done.
    assert (final.x, final["mean"], final.seeds, final.of, final.mark) == (400, 60, 2, 3, "runs missing")
    assert final.ci_high - 60 == pytest.approx(T1 * 10)
    (mark,) = artists(figure, "_final dreamer")
    assert points([mark]) == [(400, 60)] and mark.get_markerfacecolor() == "white"
    bottom, top = mark.axes.get_ylim()  # the bar, 127 wide, is cut where the frame ends
    assert final.ci_low < bottom < top < final.ci_high
    assert points(artists(figure, "_interval dreamer")) == [(400, bottom), (400, top)]
    (random,) = artists(figure, "random agent")
    assert points([random]) == [(0, 6), (400, 6)] and random.is_dashed()


def test_axis_and_caption_state_the_rule(curves_figure):
    figure, _ = curves_figure
    assert figure.axes[0].get_xlabel() == "environment frames (= 2 × policy steps), bins of 100"
    caption = " ".join(figure.texts[0].get_text().split())
    for phrase in (
        "under the training noise",
        "(left, right]",
        "95 % t-seeds",
        "runs are missing",
        "not done",
        "clean evaluation",
    ):
        assert phrase in caption
    sizes = [text.get_fontsize() for ax in figure.axes for text in [*ax.get_xticklabels(), ax.title, ax.xaxis.label]]
    assert min(sizes) >= 7 and figure.get_figwidth() == style.COLUMN


def test_every_row_is_drawn(curves_figure, tmp_path):
    figure, table = plots.build("curves", [tmp_path], reference=[reference(tmp_path)])
    labels = {"seed": "_seed dreamer", "curve": "dreamer", "stopped": "_stopped dreamer", "final": "_final dreamer"}
    labels |= {"random": "random agent", "reference": "dreamerv3 (dmc_proprio protocol)"}
    for kind, label in labels.items():
        rows = table[table.kind == kind]
        assert points(artists(figure, label)) == sorted(set(zip(rows.x, rows["mean"], strict=True))) != []


def test_one_seed_has_no_band_and_says_so(tmp_path):
    run(tmp_path, [(100, 10), (200, 20)], [5.0, 6.0])
    figure, table = plots.build("curves", [tmp_path])
    assert table[table.kind.isin(["curve", "final"])].ci_low.isna().all()
    (band,) = figure.axes[0].collections
    assert not any(len(path.vertices) for path in band.get_paths())
    assert points(artists(figure, "dreamer")) == [(100, 10), (200, 20)]
    assert "one training run there, no claim about the method" in " ".join(figure.texts[0].get_text().split())


def test_a_run_without_episodes_is_named(tmp_path):
    run(tmp_path, [(100, 10)], [5.0], seed=0)
    run(tmp_path, [], done=False, seed=1)
    figure, table = plots.build("curves", [tmp_path])
    assert "no training episode yet: dreamer (seed 1)" in figure.axes[0].texts[0].get_text()
    assert list(table[table.kind == "curve"].of) == [2]


def test_nothing_but_unstarted_runs_or_random_play_still_draws(tmp_path):
    run(tmp_path / "a", [], done=False)
    write_run(tmp_path / "b", {"clean": [4.0, 8.0]}, agent={"kind": "random"}, extra=train([(100, 3.0)]))
    for folder, kinds in (("a", ["stopped"]), ("b", ["seed", "curve", "final", "random", "random"])):
        figure, table = plots.build("curves", [tmp_path / folder])
        figure.savefig(tmp_path / f"{folder}.png")
        assert list(table.kind) == kinds and (tmp_path / f"{folder}.png").stat().st_size > 1000


def test_repeats_and_broken_returns_are_told_and_left_out(tmp_path):
    run(tmp_path, [(100, 10), (200, float("nan"))], [5.0], name="a")
    run(tmp_path, [(100, 70)], [9.0], name="b")
    figure, table = plots.build("curves", [tmp_path])
    assert list(table[table.kind == "curve"]["mean"]) == [10]
    caption = " ".join(figure.texts[0].get_text().split())
    assert "1 repeated runs left out; 1 returns not finite, left out" in caption


def test_tasks_are_panels_and_lines_keep_their_colour(tmp_path):
    for task in (TASK, "atari100k/asterix"):
        for ablation in ("none", "repo"):
            run(tmp_path, [(100, 10)], [5.0], task=task, ablation=ablation, name=f"{task[:3]}{ablation}")
    figure, table = plots.build("curves", [tmp_path])
    assert [ax.get_title() for ax in figure.axes] == ["atari100k/asterix", TASK]
    colours = [[artists(figure, name, i)[0].get_color() for name in ("none", "repo")] for i in (0, 1)]
    looks = style.looks_of(["none", "repo"])
    assert colours[0] == colours[1] == [looks["none"][0], looks["repo"][0]] and looks["none"][0] == style.COLOURS[0]
    assert set(table[table.kind == "random"].series) == {"random agent (stored score)"}


def test_many_lines_are_split_by_ablation(tmp_path):
    for ablation in ("none", "a"):
        for sigma in range(4):
            run(tmp_path, [(100, 10)], [5.0], ablation=ablation, train_noise=f"g:sigma={sigma}")
    figure, _ = plots.build("curves", [tmp_path])
    assert [ax.get_title() for ax in figure.axes] == [f"{TASK}: none", f"{TASK}: a"]
    assert artists(figure, "g:sigma=3")


def test_order_changes_no_digit(tmp_path):
    rng, places = np.random.default_rng(0), [tmp_path / "a", tmp_path / "b"]
    for seed in (2, 0, 1):
        ends = [(100 * i + int(j), y) for i in range(1, 6) for j, y in enumerate(rng.normal(size=3))]
        finals = list(rng.normal(size=4))
        for place, name in zip(places, (None, f"z{9 - seed}"), strict=True):
            path = run(place, ends, finals, seed=seed, name=name)
            lines = (path / "episodes.jsonl").read_text().splitlines()
            (path / "episodes.jsonl").write_text("\n".join(rng.permutation(lines)) + "\n")
    first, second = (plots.build("curves", [place])[1] for place in places)
    assert first.equals(second) and len(first) > 10


def test_company_changes_no_number(tmp_path):
    run(tmp_path / "a", [(100, 10), (200, 20)])
    run(tmp_path / "b", [(100, 10), (200, 20)])
    run(tmp_path / "b", [(100, 10), (200, 20)], [5.0, 6.0], ablation="repo")
    alone, beside = (plots.build("curves", [tmp_path / folder])[1] for folder in "ab")
    shared = [c for c in alone if c != "series"]
    first, second = (t[(t.kind == "curve") & (t.ablation == "none")][shared].to_csv(index=False) for t in (alone, beside))
    assert first == second


# References


def test_reference_is_binned_clipped_and_labelled(tmp_path):
    figure, table = plots.build("curves", [study(tmp_path)], reference=[reference(tmp_path)])
    stored = table[table.kind == "reference"]
    # First bin: seed 0 (10 + 20) / 2 at frame 75 and seed 4 35 at frame 100; second: seed 4 alone; 500 lies beyond us.
    assert list(stored["mean"]) == [25, 60] and list(stored.x) == [87.5, 200]
    assert list(stored.seeds) == [2, 1] and set(stored.of) == {3} and set(stored.mark) == {"runs missing"}
    assert set(stored.note) == {"dmc_proprio-dreamerv3.json.gz; 2 nulls left out"}
    (line, *_) = artists(figure, "dreamerv3 (dmc_proprio protocol)")
    assert points([line]) == [(87.5, 25), (200, 60)] and line.get_color() == style.STORED[0]
    assert figure.axes[0].get_xlim()[1] == 400


def test_reference_without_a_point_in_range_is_said_not_drawn(tmp_path):
    path = reference(tmp_path, xs=[700, 800], ys=[5, 6])
    figure, table = plots.build("curves", [study(tmp_path)], reference=[path])
    stored = table[table.kind == "reference"]
    assert len(stored) == 1 and stored.x.isna().all()
    assert "no point up to frame 400, the first is at 700" in " ".join(figure.texts[0].get_text().split())
    assert not artists(figure, "dreamerv3 (dmc_proprio protocol)")


def test_bad_references(tmp_path):
    study(tmp_path)
    with pytest.raises(BadInput, match=rf"has no task of these runs \({TASK}\), but dmc/walker_run"):
        plots.build("curves", [tmp_path], reference=[reference(tmp_path, task="dmc_walker_run")])
    with pytest.raises(BadInput, match="record 1: lacks xs"):
        record = {"task": "t", "method": "m", "seed": 0, "ys": []}
        plots.build("curves", [tmp_path], reference=[write(tmp_path, [record])])
    with pytest.raises(BadInput, match="'robustness' takes no option 'reference'"):
        plots.build("robustness", [tmp_path], reference=["x"])


def test_training_rows_without_frames_are_named(tmp_path):
    rows = [{k: v for k, v in r.items() if k != "frames"} for r in train([(100, 1.0)])]
    write_run(tmp_path, {"clean": [1.0]}, extra=rows)
    with pytest.raises(BadInput, match=r"episodes\.jsonl: a training episode lacks frames"):
        plots.build("curves", [tmp_path])
