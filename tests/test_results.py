"""Reading runs, intervals and cells: hand-computed numbers, what the flags say, and that order changes nothing."""

import gzip
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.errors import BadInput
from results.analyses import robustness
from results.benchmarks import references
from results.reading import load
from results.scoring.noises import noise_order, noise_strengths
from results.statistics import intervals

PUBLISHED = Path(os.environ.get("DREAMPROOF_PUBLISHED", Path(__file__).parents[2] / "shared" / "published"))


def published(name):
    path = PUBLISHED / name
    if not path.exists():
        assert not os.environ.get("CI"), f"{path} must be present in CI"
        pytest.skip(f"{path} is absent: stored results of others, DREAMPROOF_PUBLISHED names their folder")
    return json.loads(gzip.open(path).read() if name.endswith(".gz") else path.read_text())


def row(step, noise, episode, value, split="eval", policy="sample"):
    return {
        **{"split": split, "step": step, "frames": 2 * step, "updates": step, "task": "", "noise": noise},
        **{"episode": episode, "seed": 2**30 + episode, "return": value, "length": 9, "terminated": False},
        **{"truncated": True, "policy": policy, "seconds": 1.0},
    }


def write_run(root, scores, done=True, final=1000, extra=(), name=None, **axes):
    """A run directory with `scores`: evaluation noise -> returns of the last checkpoint."""
    config = {
        **{"version": 1, "study": "s", "task": "dmc/cartpole_swingup", "preset": "v3", "size": "nano"},
        **{"ablation": "none", "train_noise": "clean", "seed": 0, "steps": 1000, "precision": "float32"},
        **{"agent": {"kind": "dreamer", "horizon": 15}, "env": {}, "train": {}, "replay": {}},
        "evaluate": {"noise": list(scores), "episodes": 1, "every": 0, "policy": "sample"},
    } | axes
    kind = config["agent"]["kind"]
    name = name or f"{kind}.{config['ablation']}.{config['train_noise']}.{config['size']}.s{config['seed']}"
    path = Path(root) / config["study"] / name.replace(":", "-")
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    state = {"state": "done" if done else "running", "step": final, "updates": 7, "attempt": 1, "host": "h1"}
    (path / "state.json").write_text(json.dumps(state | {"started": 50.0, "updated": 3711.0, "job": None, "message": ""}))
    rows = [row(final, noise, i, v) for noise, values in scores.items() for i, v in enumerate(values)]
    (path / "episodes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*extra, *rows]))
    if done:
        (path / "done").touch()
    return path


def cells(root, reps=500, seed=0, **options):
    return robustness.table(load.load([root]), np.random.default_rng(seed), reps=reps, **options)


def cell(table, noise="clean", **axes):
    noise_cell = table[table.eval_noise == noise]
    for axis, value in axes.items():
        noise_cell = noise_cell[noise_cell[axis] == value]
    assert len(noise_cell) == 1
    return noise_cell.iloc[0]


def flags(noise_cell):
    return set(filter(None, noise_cell["flags"].split(";")))


# Intervals


def test_t_interval_by_hand():
    # 1, 2, 3, 4: mean 2.5, s = sqrt(5/3), t(3) at 97.5 % = 3.18245 (tables)
    mean, low, high = intervals.mean_interval([1, 2, 3, 4])
    assert mean == 2.5
    assert high - mean == pytest.approx(3.18245 * np.sqrt(5 / 3) / 2, rel=1e-5)
    assert mean - low == pytest.approx(high - mean)


def test_one_value_has_no_interval():
    mean, low, high = intervals.mean_interval([3.0])
    assert mean == 3 and np.isnan(low) and np.isnan(high)


def test_founding_table_comes_back():
    for noise_cell in published("truth.json")["asterix_noise_table"]["cells"]:
        scores = noise_cell["example_sample_consistent"]
        mean, _, high = intervals.mean_interval(scores, quantile="normal")
        assert mean == pytest.approx(noise_cell["mean_used"], abs=0.005)
        assert high - mean == pytest.approx(noise_cell["half_width_reported"], abs=0.011)
        t_high = intervals.mean_interval(scores)[2]
        assert t_high - mean == pytest.approx(noise_cell["half_width_t11"], abs=0.06)
        assert (t_high - mean) / (high - mean) == pytest.approx(1.123, abs=0.001)


@pytest.mark.parametrize("task", ["atari_asterix", "atari_pong", "atari_boxing", "atari_krull"])
def test_two_level_bootstrap_of_stored_runs(task):
    expected = published("truth.json")["hierarchical"]["tasks"][task]
    runs = [run for run in published("atari100k-dreamerv3.json.gz") if run["task"] == task]
    models = [
        np.array([y for x, y in zip(run["xs"], run["ys"], strict=True) if y is not None and 360_000 <= x <= 400_000])
        for run in sorted(runs, key=lambda run: int(run["seed"]))
    ]
    assert [len(m) for m in models] == expected["episodes"]
    replicates = intervals.two_level_means(models, 50_000, np.random.default_rng(0))
    assert replicates.std() == pytest.approx(expected["exact_sd_two_level"], rel=0.01)
    ends = np.array(intervals.percentile_interval(replicates))
    slack = 5 * np.maximum(expected["two_level"]["mcse"], 0.002 * replicates.std())
    assert (np.abs(ends - expected["two_level"]["ci95"]) <= slack).all()
    t = intervals.mean_interval([m.mean() for m in models])
    assert t[1:] == pytest.approx(expected["t_on_seed_means"])


def test_replicates_share_their_draws():
    data = np.random.default_rng(0)
    models = [data.normal(size=(8, 1)) for _ in range(4)]
    boot = intervals.TwoLevelBootstrap(np.random.default_rng(0), 400)
    first = boot.means(models)
    assert np.array_equal(boot.means(models), first)
    assert boot.means([m + 1 for m in models]) == pytest.approx(first + 1)


def test_seed_interval_covers_the_method_and_episodes_of_one_model_do_not():
    rng, n, S, E = np.random.default_rng(7), 1500, 5, 12
    models = rng.normal(0, 270, (n, S))
    episodes = models[:, :, None] + rng.normal(0, 263, (n, S, E))
    over_seeds = [intervals.mean_interval(e.mean(axis=1)) for e in episodes]
    one_model = [intervals.mean_interval(e[0]) for e in episodes]
    pooled = [intervals.mean_interval(e.ravel()) for e in episodes]
    covers = [np.mean([low <= 0 <= high for _, low, high in kind]) for kind in (over_seeds, one_model, pooled)]
    assert 0.92 <= covers[0] <= 0.98
    assert covers[1] < 0.55 and covers[2] < 0.75


# Cells


def test_a_cell_by_hand(tmp_path):
    write_run(tmp_path, {"clean": [10, 20], "g:sigma=1": [8, 12]}, seed=0)
    write_run(tmp_path, {"clean": [30, 40, 50], "g:sigma=1": [20, 20, 35]}, seed=1)
    write_run(tmp_path, {"clean": [4, 8], "g:sigma=1": [5, 7]}, seed=0, agent={"kind": "random"})
    write_run(tmp_path, {"clean": [0, 4], "g:sigma=1": [1, 1]}, seed=1, agent={"kind": "random"})
    noise_cell = cell(cells(tmp_path), "g:sigma=1", agent="dreamer")
    # Seeds 10 and 25 noisy, 15 and 40 clean; random: seeds 6 and 2.
    assert (noise_cell.seeds, noise_cell.episodes, noise_cell.interval) == (2, 5, "t-seeds")
    assert noise_cell["mean"] == 17.5
    half = stats.t(1).ppf(0.975) * np.std([10, 25], ddof=1) / np.sqrt(2)
    assert (noise_cell.ci_low, noise_cell.ci_high) == pytest.approx((17.5 - half, 17.5 + half))
    assert noise_cell.random == 4 and noise_cell.random_source == "runs"
    # The clean interval over two such seeds reaches below random: no retention.
    assert np.isnan(noise_cell.retention)
    assert flags(noise_cell) == {"unequal_episodes", "clean_touches_random"}


def test_retention_by_hand_and_paired_within_the_model(tmp_path):
    rng = np.random.default_rng(0)
    for seed, model in enumerate([90.0, 100.0, 110.0]):
        clean = model + rng.normal(0, 1, 40)
        write_run(tmp_path, {"clean": list(clean), "g:sigma=1": list(0.5 * clean + 5)}, seed=seed)
    write_run(tmp_path, {"clean": [10.0] * 5}, agent={"kind": "random"})
    table = cells(tmp_path, reps=2000)
    noise_cell = cell(table, "g:sigma=1")
    # noisy - random = clean / 2 - 5 = (clean - random) / 2 in every episode: paired, the ratio has no spread at all.
    assert noise_cell.retention == pytest.approx(0.5)
    assert (noise_cell.retention_low, noise_cell.retention_high) == pytest.approx((0.5, 0.5))
    assert noise_cell.boot_high - noise_cell.boot_low > 5
    assert cell(table, agent="dreamer").retention == 1


def test_no_retention_where_the_uncertain_random_score_may_be_as_good_as_clean(tmp_path):
    for seed, clean in enumerate([100.0, 100.5]):
        write_run(tmp_path, {"clean": [clean, clean], "g:sigma=1": [50.0, 50.0]}, seed=seed)
    for seed, random in enumerate([0.0, 190.0]):
        write_run(tmp_path, {"clean": [random, random]}, seed=seed, agent={"kind": "random"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        noise_cell = cell(cells(tmp_path, reps=2000), "g:sigma=1")
    # The clean interval, 97.1 to 103.4, lies above the random mean of 95, but a quarter of its replicates are 190.
    assert np.isnan([noise_cell.retention, noise_cell.retention_low, noise_cell.retention_high]).all()
    assert "clean_touches_random" in flags(noise_cell)


def test_more_than_ten_seeds_use_the_two_level_bootstrap(tmp_path):
    for seed in range(12):
        write_run(tmp_path, {"clean": [seed, seed + 2.0]}, seed=seed)
    noise_cell = cell(cells(tmp_path))
    assert noise_cell.interval == "bootstrap-two-level"
    assert (noise_cell.ci_low, noise_cell.ci_high) == (noise_cell.boot_low, noise_cell.boot_high)
    # sd of the bootstrap: sqrt((V + mean(s_i^2 / n_i)) / k), V = 143/12 (0 to 11), s_i^2 = 1, n_i = 2
    sd = np.sqrt((143 / 12 + 0.5) / 12)
    assert noise_cell.ci_high - noise_cell.ci_low == pytest.approx(2 * 1.96 * sd, rel=0.12)


def test_rows_runs_and_company_change_no_digit(tmp_path):
    rng = np.random.default_rng(3)
    for where in ("a", "b"):
        (tmp_path / where).mkdir()
    for seed in (2, 0, 1):
        scores = {noise: list(rng.normal(500, 50, 9)) for noise in ("clean", "g:sigma=1")}
        write_run(tmp_path / "a", scores, seed=seed)
        path = write_run(tmp_path / "b", scores, seed=seed, name=f"z{9 - seed}")
        lines = (path / "episodes.jsonl").read_text().splitlines()
        (path / "episodes.jsonl").write_text("\n".join(rng.permutation(lines)) + "\n")
    first, second = cells(tmp_path / "a"), cells(tmp_path / "b")
    assert first.equals(second)
    assert not first.equals(cells(tmp_path / "a", seed=1))
    write_run(tmp_path / "a", {"clean": [1.0, 2.0, 3.0]}, ablation="repo")
    beside = cells(tmp_path / "a")
    beside = beside[beside.ablation == "none"].reset_index(drop=True)
    assert beside.drop(columns="flags").equals(first.drop(columns="flags"))


def test_unfinished_runs_are_counted_and_left_out(tmp_path):
    write_run(tmp_path, {"clean": [10, 20]}, seed=0)
    write_run(tmp_path, {"clean": [20, 30]}, seed=1)
    write_run(tmp_path, {"clean": [900, 900]}, seed=2, done=False)
    write_run(tmp_path, {"clean": [900]}, seed=0, done=False, ablation="repo")
    table = cells(tmp_path)
    assert cell(table, ablation="none")["mean"] == 20
    assert "unfinished:1" in flags(cell(table, ablation="none"))
    waiting = cell(table, ablation="repo")
    assert waiting.seeds == 0 and np.isnan(waiting["mean"]) and waiting.interval == ""
    assert {"unfinished:1", "unequal_seeds"} <= flags(waiting)


def test_only_the_last_checkpoint_counts(tmp_path):
    early = [row(500, "clean", i, 1.0) for i in range(3)] + [row(100, "clean", 0, 5.0, split="train")]
    write_run(tmp_path, {"clean": [10, 30]}, extra=early)
    noise_cell = cell(cells(tmp_path))
    assert noise_cell["mean"] == 20 and noise_cell.episodes == 2 and noise_cell.final == "last checkpoint"
    write_run(tmp_path, {"clean": [10, 30]}, seed=1, final=800)
    assert "early_checkpoint" in flags(cell(cells(tmp_path)))


def test_one_model_is_called_one_model(tmp_path):
    scores = [950, 1000, 1000, 1050, 1050, 1050, 1100, 1150, 1150, 1150, 1200, 1250]
    write_run(tmp_path, {"clean": scores}, task="atari100k/asterix")
    noise_cell = cell(cells(tmp_path))
    assert noise_cell.interval == "t-episodes-one-model"
    assert noise_cell.ci_high - noise_cell["mean"] == pytest.approx(57.2, abs=0.01)
    assert flags(noise_cell) == {"one_seed", "stored_random"}
    normal = cell(cells(tmp_path, quantile="normal"))
    assert normal.interval == "normal-episodes-one-model"
    assert normal.ci_high - normal["mean"] == pytest.approx(50.94, abs=0.005)


def test_stored_random_score(tmp_path):
    assert references.reference_score("atari100k/asterix") == (210.0, "atari_gamer_v1")
    assert references.reference_score("atari57/asterix", "human") == (8503.3, "atari_gamer_v1")
    assert references.reference_score("dmc/asterix") is None
    for seed in range(3):
        write_run(tmp_path, {"clean": [1000 + seed, 1020], "g:sigma=1": [600, 620]}, seed=seed, task="atari100k/asterix")
    noise_cell = cell(cells(tmp_path), "g:sigma=1")
    assert noise_cell.retention == pytest.approx((610 - 210) / (1010.5 - 210))
    assert "stored_random" in flags(noise_cell) and noise_cell.random_source == "atari_gamer_v1"


def test_no_random_score_means_no_retention(tmp_path):
    write_run(tmp_path, {"clean": [100, 101], "g:sigma=1": [50, 51]})
    noise_cell = cell(cells(tmp_path), "g:sigma=1")
    assert np.isnan(noise_cell.retention) and np.isnan(noise_cell.random)
    assert {"no_random", "one_seed"} <= flags(noise_cell)


def test_no_clean_evaluation_means_no_retention(tmp_path):
    write_run(tmp_path, {"g:sigma=1": [50, 51]}, task="atari100k/asterix")
    noise_cell = cell(cells(tmp_path), "g:sigma=1")
    assert np.isnan(noise_cell.retention) and "no_clean" in flags(noise_cell)


def test_a_seed_counts_once(tmp_path):
    write_run(tmp_path, {"clean": [10, 20]}, name="a")
    write_run(tmp_path, {"clean": [70, 80]}, name="b")
    write_run(tmp_path, {"clean": [90, 90]}, name="0", done=False)
    noise_cell = cell(cells(tmp_path))
    assert noise_cell["mean"] == 15 and noise_cell.seeds == 1
    assert {"duplicate_seed", "one_seed"} <= flags(noise_cell) and "unfinished:1" not in flags(noise_cell)


@pytest.mark.parametrize(
    ("axis", "value"),
    [("size", "12m"), ("precision", "bfloat16"), ("preset", "v2"), ("steps", 2000), ("study", "t")],
)
def test_settings_are_never_pooled(tmp_path, axis, value):
    write_run(tmp_path, {"clean": [10, 20]}, seed=0, name="a")
    write_run(tmp_path, {"clean": [70, 80]}, seed=1, name="b", **{axis: value})
    table = cells(tmp_path)
    assert sorted(table["mean"]) == [15, 75]
    assert all(f"mixed_{axis}" in f for f in table["flags"])


def test_other_settings_make_a_variant_that_is_named(tmp_path):
    write_run(tmp_path, {"clean": [10, 20]}, seed=0, name="a")
    write_run(tmp_path, {"clean": [70, 80]}, seed=1, name="b", agent={"kind": "dreamer", "horizon": 5})
    table = cells(tmp_path)
    assert dict(zip(table.variant, table["mean"], strict=True)) == {"agent.horizon=15": 15, "agent.horizon=5": 75}
    assert all("mixed_variant" in f for f in table["flags"])


def test_policies_are_never_pooled(tmp_path):
    write_run(tmp_path, {"clean": [10, 20]}, extra=[row(1000, "clean", i, 90.0, policy="mode") for i in range(2)])
    table = cells(tmp_path)
    assert dict(zip(table.policy, table["mean"], strict=True)) == {"mode": 90, "sample": 15}
    assert all("mixed_policy" in f for f in table["flags"])


def test_gaps_repeats_and_broken_returns_are_told(tmp_path):
    write_run(tmp_path, {"clean": [10, 20], "g:sigma=1": [5, 5]}, seed=0, extra=[row(1000, "clean", 0, 10.0)])
    write_run(tmp_path, {"clean": [30, float("nan")], "g:sigma=1": []}, seed=1)
    table = cells(tmp_path)
    clean, noisy = cell(table), cell(table, "g:sigma=1")
    assert clean["mean"] == (15 + 30) / 2
    assert {"repeated_episodes:1", "nonfinite:1", "unequal_episodes"} <= flags(clean)
    assert {"missing_cells:1", "one_seed", "unequal_seeds", "no_spread"} <= flags(noisy)


def test_retention_over_common_seeds_and_episodes_that_do_not_match(tmp_path):
    write_run(tmp_path, {"clean": [1000, 1002], "g:sigma=1": [600, 602]}, seed=0, task="atari100k/asterix")
    write_run(tmp_path, {"clean": [1010, 1012], "g:sigma=1": [620]}, seed=1, task="atari100k/asterix")
    write_run(tmp_path, {"clean": [1005, 1007], "g:sigma=1": []}, seed=2, task="atari100k/asterix")
    noise_cell = cell(cells(tmp_path), "g:sigma=1")
    assert noise_cell.retention == pytest.approx((610.5 - 210) / (1006 - 210))
    assert {"unpaired", "fewer_common_seeds", "missing_cells:1", "unequal_seeds"} <= flags(noise_cell)


# Files


def test_a_torn_line_is_dropped_and_a_broken_one_is_named(tmp_path):
    path = write_run(tmp_path, {"clean": [10, 20]}) / "episodes.jsonl"
    whole = path.read_text()
    path.write_text(whole + json.dumps(row(1000, "clean", 2, 99.0))[:40])
    assert cell(cells(tmp_path)).episodes == 2
    path.write_text("{broken\n" + whole)
    with pytest.raises(BadInput, match=r"episodes.jsonl, line 1"):
        load.load([tmp_path])
    path.write_text(json.dumps({"split": "eval", "step": 1}) + "\n")
    with pytest.raises(BadInput, match=r"episodes.jsonl, row 1: lacks noise"):
        load.load([tmp_path])


def test_runs_and_their_scores(tmp_path):
    training = [row(10 * i, "clean", i, float(i), split="train") for i in range(20)]
    write_run(tmp_path, {"clean": [10, 20], "g:sigma=1": [1, 1]}, seed=0, extra=training)
    write_run(tmp_path, {"clean": [10, 20]}, seed=1, extra=training, done=False)
    write_run(tmp_path, {"clean": []}, seed=2, done=False)
    noise_cell = load.with_final_scores(load.load([tmp_path])).set_index("train_seed")
    assert noise_cell.final_score[0] == 15 and noise_cell.final_rule[0] == "last checkpoint"
    assert noise_cell.final_score[1] == 14.5 and noise_cell.final_rule[1] == "last 10 training episodes"
    assert np.isnan(noise_cell.final_score[2]) and noise_cell.final_rule[2] == ""
    assert noise_cell.wall_seconds[0] == 3661 and noise_cell.host[0] == "h1" and noise_cell.state[1] == "running"


def test_order_of_noises():
    ordered = ["clean", "blackout:length=6,chance=0.05", "gaussian@2", "gaussian@3", "gaussian:sigma=9"]
    ordered += ["gaussian:sigma=10", "blackout:length=6,chance=0.05+gaussian:sigma=1"]
    shuffled = np.random.default_rng(0).permutation(ordered)
    assert sorted(map(str, shuffled), key=noise_order) == ordered


def test_strengths_are_numbers_only_where_they_mean_it():
    assert noise_strengths(["clean", "g:sigma=10", "g:sigma=20"]) == {"clean": 0, "g:sigma=10": 10, "g:sigma=20": 20}
    assert noise_strengths(["clean", "jpeg:quality=10", "jpeg:quality=50"]) is None
    assert noise_strengths(["clean", "b:length=6,chance=0.1", "b:length=3,chance=0.5"]) is None
    assert noise_strengths(["g:sigma=1", "g:sigma=50"]) == {"clean": 0, "g:sigma=1": 1, "g:sigma=50": 50}


def test_a_hundred_runs_in_seconds(tmp_path):
    rng, noises = np.random.default_rng(0), ["clean", "g:sigma=1", "g:sigma=2"]
    for seed in range(5):
        for ablation in "abcde":
            for trained in ("clean", "g:sigma=1", "g:sigma=2", "g:sigma=3"):
                scores = {noise: list(rng.normal(500, 50, 100)) for noise in noises}
                write_run(tmp_path, scores, seed=seed, ablation=ablation, train_noise=trained)
    assert len(cells(tmp_path, reps=50_000)) == 60
