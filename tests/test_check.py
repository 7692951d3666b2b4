"""`check`: every planted defect is found by name and place, a clean set gives nothing, the founding study's flaws are named."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import make_founding
import numpy as np
import pytest
from published import files, truth
from test_results import row, write_run

from harness import plugins
from harness.errors import BadInput
from results import check, tables
from results.statistics import contrasts, grim

ROOT = Path(__file__).parent.parent
STORED = ROOT / "results" / "stored"
TASKS = ["dmc/walker_walk", "dmc/cartpole_swingup"]
NOISES = ["clean", "gaussian:sigma=10"]
PROVENANCE = {
    "environment": {"simulators": {"mujoco": "3.17.0"}, "rom": None, "frames": "aa"},
    "versions": {"torch": "2.13.0"},
    "git": {"commit": "c1", "dirty": None},
    "gl_backend": "egl",
    "compile": "none",
}


def name(task, ablation, seed):
    return f"{task.split('/')[1]}.{ablation}.s{seed}"


def plant(root, task=TASKS[0], ablation="none", seed=0, provenance=PROVENANCE, ends=1000, points=20, shift=0.0, **axes):
    """A run like all others but for what is said: training points up to step `ends`, two noises, provenance."""
    rng = np.random.default_rng([TASKS.index(task), ablation == "none", seed])
    scores = {noise: [float(shift + 500 + 100 * rng.normal()) for _ in range(5)] for noise in NOISES}
    training = [
        row(round(ends * k / points), "clean", k, float(500 + 90 * rng.normal()), split="train") for k in range(1, points + 1)
    ]
    axes = {"name": name(task, ablation, seed), "extra": training} | axes
    path = write_run(root, axes.pop("scores", scores), task=task, ablation=ablation, seed=seed, final=ends, **axes)
    (path / "provenance.json").write_text(json.dumps(provenance))
    return path


@pytest.fixture
def clean(tmp_path):
    for task in TASKS:
        for ablation in ("none", "no_symlog"):
            for seed in range(3):
                plant(tmp_path, task, ablation, seed)
    return tmp_path


def findings_by_name(*roots):
    return {finding.name: finding for finding in check.check(roots)}


def test_a_clean_set_gives_nothing(clean):
    assert check.check([clean]) == []


def mixed(**changes):
    return PROVENANCE | changes


def rewrite(path, change):
    rows = [json.loads(line) for line in (path / "episodes.jsonl").read_text().splitlines()]
    (path / "episodes.jsonl").write_text("".join(json.dumps(one) + "\n" for one in change(rows)))


def copied(root):
    """Seed 7 of the baseline is seed 1 under another label."""
    path = plant(root, seed=7, name="walker_walk.none.s7")
    (path / "episodes.jsonl").write_bytes((root / "s" / name(TASKS[0], "none", 1) / "episodes.jsonl").read_bytes())
    (
        plant(root, seed=7, ablation="no_symlog"),
        plant(root, TASKS[1], seed=7),
        plant(root, TASKS[1], seed=7, ablation="no_symlog"),
    )


def everywhere(root, seed=8, **first):
    """One run more of every method and task, so that nothing is ragged; the first as said."""
    for task in TASKS:
        for ablation in ("none", "no_symlog"):
            plant(root, task, ablation, seed, **(first if (task, ablation) == (TASKS[0], "none") else {}))


def run_of(root, seed=0):
    return root / "s" / name(TASKS[0], "none", seed)


def blind(rows):
    """The rows of a policy that does not see: each evaluation episode returns under noise what it returns without."""
    clean = {one["seed"]: one["return"] for one in rows if (one["split"], one["noise"]) == ("eval", "clean")}
    return [one | {"return": clean[one["seed"]]} if one["split"] == "eval" else one for one in rows]


# name of the finding -> level, how it is planted, words that its place and its text must hold
PLANTED = {
    "duplicated_run": ("problem", copied, "dmc/walker_walk, dreamer, seeds 1, 7", "walker_walk.none.s1.*walker_walk.none.s7"),
    "repeated_seed": (
        "problem",
        lambda root: plant(root, seed=0, name="again", shift=3.0),
        "dmc/walker_walk, dreamer",
        "1 more runs than settings and seeds",
    ),
    "constant_run": (
        "note",
        lambda root: rewrite(run_of(root), lambda rows: [one | {"return": 7.0} for one in rows]),
        "dmc_proprio, dreamer",
        "every return is the same in 1 runs: s/walker_walk.none.s0",
    ),
    "nulls": (
        "note",
        lambda root: rewrite(run_of(root), lambda rows: [rows[0] | {"return": None}, *rows[1:]]),
        "dmc_proprio, dreamer",
        "1 rows without a return in 1 runs: s/walker_walk.none.s0",
    ),
    "single_point": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: rows[19:20]),
        "dmc_proprio, dreamer",
        "s/walker_walk.none.s0",
    ),
    "empty_run": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: []),
        "dmc_proprio, dreamer",
        "1 runs are done but have no return: s/walker_walk.none.s0",
    ),
    "insensitive": (
        "problem",
        lambda root: rewrite(run_of(root), blind),
        "dmc_proprio, dreamer",
        "in 1 runs every evaluation episode returns the same under every noise: s/walker_walk.none.s0",
    ),
    "no_updates": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: [one | {"updates": 0} for one in rows]),
        "dmc_proprio, dreamer",
        "1 runs ended without a single update: s/walker_walk.none.s0",
    ),
    "one_seed_differences": (
        "problem",
        lambda root: [plant(root, ablation=ablation, shift=shift) for ablation, shift in (("elu", 1.0), ("gelu", 2.0))],
        "s, dmc/walker_walk",
        "2 of 4 settings have one training run each: dreamer elu, trained clean, dreamer gelu, trained clean",
    ),
    "repeated_episodes": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: [*rows, rows[-1]]),
        "dmc_proprio, dreamer",
        "1 evaluation episodes are recorded more than once in 1 runs: s/walker_walk.none.s0",
    ),
    "one_seed": (
        "problem",
        lambda root: plant(root, ablation="elu"),
        "dmc_proprio, dreamer elu",
        "on 1 of 1 tasks: dmc/walker_walk",
    ),
    "ragged_runs": (
        "note",
        lambda root: plant(root, seed=5),
        "dmc_proprio, dreamer",
        "3 to 4 runs per task; fewer than 4 on dmc/cartpole_swingup",
    ),
    "stopped_early": (
        "problem",
        lambda root: everywhere(root, ends=500),
        "dmc_proprio, dreamer",
        "1 of 8 runs end before 90% .* s/walker_walk.none.s8 at 1000",
    ),
    "unequal_budgets": (
        "problem",
        lambda root: [plant(root, task, "long", seed, ends=10_000) for task in TASKS for seed in range(3)],
        "dmc_proprio",
        "dreamer 2000, dreamer long 20000",
    ),
    "fast_counter": (
        "note",
        lambda root: [plant(root, TASKS[1], "fast", seed, ends=1002, points=2) for seed in range(3)],
        "dmc_proprio, dreamer fast",
        r"cartpole_swingup.fast.s0 \(last frame 2004, usual distance 1002\)",
    ),
    "unfinished": (
        "note",
        lambda root: everywhere(root, done=False),
        "dmc_proprio, dreamer",
        r"1 of 8 runs are not done: s/walker_walk.none.s8 \(running\)",
    ),
    "mixed_precision": (
        "problem",
        lambda root: everywhere(root, precision="bfloat16"),
        "tasks dmc/walker_walk",
        r"bfloat16 in 1 runs \(s/walker_walk.none.s8\); float32 in 7 runs",
    ),
    "mixed_simulators": (
        "problem",
        lambda root: everywhere(
            root, provenance=mixed(environment=PROVENANCE["environment"] | {"simulators": {"mujoco": "3.18.0"}})
        ),
        "tasks dmc/walker_walk",
        r'"mujoco": "3.18.0"} in 1 runs \(s/walker_walk.none.s8\)',
    ),
    "mixed_frames": (
        "problem",
        lambda root: everywhere(root, provenance=mixed(environment=PROVENANCE["environment"] | {"frames": "bb"})),
        "tasks dmc/walker_walk",
        r"bb in 1 runs \(s/walker_walk.none.s8\)",
    ),
    "mixed_compile": (
        "problem",
        lambda root: everywhere(root, provenance=mixed(compile="cells")),
        "tasks dmc/walker_walk",
        r"cells in 1 runs \(s/walker_walk.none.s8\); none in 7 runs",
    ),
    "mixed_torch": (
        "note",
        lambda root: everywhere(root, provenance=mixed(versions={"torch": "2.9.0"})),
        "walker_walk",
        "2.9.0 in 1 runs",
    ),
    "mixed_code": (
        "note",
        lambda root: everywhere(root, provenance=mixed(git={"commit": "c2"})),
        "walker_walk",
        "c2 in 1 runs",
    ),
    "mixed_renderers": (
        "note",
        lambda root: everywhere(root, provenance=mixed(gl_backend="osmesa")),
        "walker_walk",
        "osmesa in 1 runs",
    ),
    "missing_cells": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: [one for one in rows if one["noise"] == "clean"]),
        "dmc/walker_walk, dreamer",
        "none, trained clean, tested gaussian:sigma=10",
    ),
    "early_checkpoint": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: [r | {"step": 950} if r["split"] == "eval" else r for r in rows]),
        "dmc/walker_walk, dreamer",
        "none, trained clean, tested clean",
    ),
    "unequal_episodes": (
        "note",
        lambda root: rewrite(run_of(root), lambda rows: rows[:-1]),
        "dmc/walker_walk, dreamer",
        "tested gaussian:sigma=10",
    ),
    "nonfinite": (
        "problem",
        lambda root: rewrite(run_of(root), lambda rows: [*rows[:-1], rows[-1] | {"return": None}]),
        "dmc/walker_walk, dreamer",
        "tested gaussian:sigma=10",
    ),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_found_by_name_and_place(clean, defect):
    level, put, place, words = PLANTED[defect]
    put(clean)
    met = findings_by_name(clean)
    assert defect in met, sorted(met)
    assert met[defect].level == level and met[defect].where.endswith(place)
    assert re.search(words, met[defect].what), met[defect].what
    assert all(getattr(met[defect], part) for part in ("why", "do"))


# A run that stopped early was evaluated early; runs of two precisions are two methods; and so on.
TOGETHER = {"single_point", "empty_run", "nonfinite", "early_checkpoint", "constant_run", "one_seed", "unequal_budgets"}
TOGETHER |= {"one_seed_differences"}
ALONE = set(PLANTED) - TOGETHER - {"stopped_early", "mixed_precision"}


@pytest.mark.parametrize("defect", sorted(ALONE))
def test_and_nothing_else_is_found(clean, defect):
    PLANTED[defect][1](clean)
    assert set(findings_by_name(clean)) - {"ragged_runs"} == {defect} - {"ragged_runs"}


def test_all_defects_in_one_set(clean):
    for seed, defect in enumerate(("mixed_precision", "mixed_simulators", "mixed_frames", "unfinished", "stopped_early"), 20):
        put = {"mixed_precision": {"precision": "bfloat16"}, "unfinished": {"done": False}, "stopped_early": {"ends": 500}}
        provenance = {
            "mixed_simulators": mixed(environment=PROVENANCE["environment"] | {"simulators": {"mujoco": "3.18.0"}}),
            "mixed_frames": mixed(environment=PROVENANCE["environment"] | {"frames": "bb"}),
        }
        everywhere(clean, seed, **put.get(defect, {}), provenance=provenance.get(defect, PROVENANCE))
    for defect in ("duplicated_run", "one_seed", "unequal_budgets", "nulls", "repeated_seed"):
        PLANTED[defect][1](clean)
    expected = {"mixed_precision", "mixed_simulators", "mixed_frames", "unfinished", "stopped_early", "duplicated_run"}
    assert expected | {"one_seed", "unequal_budgets", "nulls", "repeated_seed"} <= set(findings_by_name(clean))


def test_a_policy_that_one_episode_betrays_is_no_blind_one(clean):
    rewrite(run_of(clean), lambda rows: [*blind(rows)[:-1], rows[-1]])
    assert "insensitive" not in findings_by_name(clean)


def test_random_play_is_not_blamed_for_not_looking(tmp_path):
    for seed in range(2):
        path = plant(tmp_path, seed=seed, agent={"kind": "random"})
        rewrite(path, lambda rows: [one | {"updates": 0} for one in blind(rows)])
    assert not {"insensitive", "no_updates"} & set(findings_by_name(tmp_path))


def test_constant_copies_are_no_duplicates(clean):
    for seed in (0, 1):
        rewrite(run_of(clean, seed), lambda rows: [one | {"return": 0.0} for one in rows])
    met = findings_by_name(clean)
    assert "duplicated_run" not in met and "in 2 runs" in met["constant_run"].what


def score_runs(root, levels, ends):
    """Runs of score files: training points only; a run's last point is at frame `ends`."""
    for seed, (level, end) in enumerate(zip(levels, ends, strict=True)):
        steps = [end // 2 * k // 20 for k in range(1, 21)]
        extra = [row(step, "clean", k, level + k % 3, split="train") for k, step in enumerate(steps)]
        axes = {"task": "atari100k/asterix", "name": f"a.s{seed}", "steps": 0, "final": end // 2}
        write_run(root, {}, seed=seed, extra=extra, **axes)


def test_runs_that_are_missing_because_they_were_good(tmp_path):
    score_runs(tmp_path, levels=[100, 110, 120, 900, 950], ends=[399_000, 398_000, 399_500, 384_000, 380_000])
    finding = findings_by_name(tmp_path)["missing_not_at_random"]
    assert (finding.level, finding.where) == ("problem", "atari100k, dreamer")
    assert "2 of 5 runs have no score by the rule 'window': s/a.s3, s/a.s4. 2 of them scored above" in finding.what


def test_runs_that_are_missing_and_were_not_good(tmp_path):
    score_runs(tmp_path, levels=[900, 910, 920, 100, 150], ends=[399_000, 398_000, 399_500, 384_000, 380_000])
    met = findings_by_name(tmp_path)
    assert "missing_not_at_random" not in met and met["missing_runs"].level == "note"


def test_what_the_published_score_files_hold():
    met = {(one.name, one.where): one.what for one in check.check(files())}
    assert "8 of 130 runs" in met["missing_not_at_random", "atari100k, dreamerv3"]
    assert "7 of them scored above" in met["missing_not_at_random", "atari100k, dreamerv3"]
    assert "up_n_down.dreamerv3.s1" in met["stopped_early", "atari100k, dreamerv3"]
    assert "on 16 of 16 tasks" in met["one_seed", "procgen, dreamerv3"] and "16 rows" in met["nulls", "procgen, dreamerv3"]
    assert not [place for name, place in met if name in ("duplicated_run", "unequal_budgets", "impossible_mean")]


# Tables of means


def test_the_founding_study_is_stored_as_truth_has_it(tmp_path):
    truth()
    make_founding.make(tmp_path)
    assert (tmp_path / "founding-means.csv").read_text() == (STORED / "founding-means.csv").read_text()
    once, again = (tables.build("runs", [folder / "founding.csv.gz"]).long.drop(columns="run") for folder in (tmp_path, STORED))
    assert once.equals(again)


def cut(value):
    """Two decimals, the others dropped."""
    return np.floor(value * 100 + 1e-9) / 100


def test_the_founding_table_comes_back_from_the_stored_runs():
    """As printed; where the print dropped digits instead of rounding (truth.json says which means), so is ours cut."""
    long = tables.build("robustness", [STORED / "founding.csv.gz"], interval="normal", reps=200).long
    half = (long.ci_high - long.ci_low) / 2
    expected = {
        (make_founding.NOISES[cell["train"]], make_founding.NOISES[cell["test"]]): (cell, printed)
        for cell, printed in zip(truth()["asterix_noise_table"]["cells"], truth()["asterix_noise_table"]["grim"], strict=True)
    }
    for trained, tested, mean, width in zip(long.train_noise, long.eval_noise, long["mean"], half, strict=True):
        cell, printed = expected[trained, tested]
        assert cut(width) == cell["half_width_reported"]
        published_mean = cell["mean"] if printed["ok"] else 966.67
        assert (cut(mean) if printed["truncated_last_digit"] else round(mean, 2)) == published_mean
    assert len(long) == 9


def test_the_flaws_of_the_founding_table_are_named():
    met = findings_by_name(STORED / "founding-means.csv")
    assert {name: finding.level for name, finding in met.items()} == {
        **{"impossible_mean": "problem", "one_seed": "problem", "uncorrected_family": "problem", "cut_digits": "note"}
    }
    assert met["impossible_mean"].where.endswith("line 3 (trained clean, tested gaussian:sigma=10)")
    assert "996.67 cannot be the mean of 12 multiples of 50" in met["impossible_mean"].what
    assert re.search(r"966\.67 .*can, with one digit changed, and fit the half width 141\.36", met["impossible_mean"].what)
    assert "9 of 9 rows rest on one trained model" in met["one_seed"].what
    stored = truth()["asterix_noise_table"]
    overlap = f"{stored['pairs_with_overlapping_CIs']} of {stored['n_pairs']} pairs of intervals overlap"
    assert overlap in met["uncorrected_family"].what
    assert "10 of 36 pairs have p < .05 uncorrected (Welch's t), none after Holm" in met["uncorrected_family"].what
    assert met["cut_digits"].what.startswith("916.66, 916.66:")


def test_candidates_for_the_impossible_mean_are_those_of_truth():
    half, factor = 141.36, 1.959964 / np.sqrt(12)
    ends = (half - 0.005) / factor, (half + 0.01) / factor
    fits = [total * 50 / 12 for total in range(200, 273) if grim.sd_fits(total * 50 / 12, *ends, 2, 12, 50)]
    assert [round(mean, 2) for mean in fits] == truth()["asterix_noise_table"]["candidates_for_996_67_given_its_half_width"]


def test_which_printed_means_can_be():
    assert grim.roundings(1091.67, 2, 12, 50) == {"rounded"} and grim.roundings(1091.66, 2, 12, 50) == {"cut"}
    assert grim.roundings(1083.33, 2, 12, 50) == {"rounded", "cut"} and grim.roundings(950.0, 2, 12, 50) == {"rounded", "cut"}
    assert not grim.roundings(996.67, 2, 12, 50) and not grim.roundings(-3.4, 1, 3, 1) and grim.roundings(-3.3, 1, 3, 1)
    rng = np.random.default_rng(0)
    for _ in range(200):
        scores = 5 * rng.integers(-20, 20, size=7)
        sd = scores.std(ddof=1)
        assert "rounded" in grim.roundings(round(scores.mean(), 2), 2, 7, 5)
        assert grim.sd_fits(scores.mean(), sd - 1e-9, sd + 1e-9, 2, 7, 5)


def test_a_spread_that_cannot_belong_to_its_mean(tmp_path):
    """0, 0, 1: mean 0.33, sd 0.577. No three zeros and ones have that mean and sd 0.40."""
    path = tmp_path / "m.csv"
    path.write_text("what,mean,half_width,interval,n,granularity\na,0.33,0.58,sd,3,1\nb,0.33,0.40,sd,3,1\n")
    (finding,) = check.check([path])
    assert finding.name == "impossible_spread" and finding.where.endswith("line 3 (what b)")


def test_contrasts_of_summaries_are_those_of_the_values():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=6), rng.normal(1, 2, size=9)
    summaries = [(v.mean(), v.std(ddof=1), len(v)) for v in (x, y)]
    assert contrasts.unpaired_from_summaries(*summaries) == contrasts.unpaired(x, y)


BAD = {
    "mean,n\nx,12\n": r"line 2: mean = 'x'; allowed is a number",
    "mean,n\n1.5,2.5\n": r"line 2: mean = '1.5', n = '2.5'; n is a whole number",
    "mean,n,interval\n1.5,2,95\n": r"No interval '95' in .*line 2. Allowed: normal, t, se, sd",
}


@pytest.mark.parametrize("content", BAD)
def test_bad_tables_of_means(tmp_path, content):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(BadInput, match=BAD[content]):
        check.check([tmp_path / "m.csv"])


# The command


def dreamproof(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "harness", "check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_exit_status_and_text(clean):
    done = dreamproof(clean)
    assert (done.returncode, done.stdout) == (0, f"0 problems, 0 notes in {clean}.\n")
    PLANTED["nulls"][1](clean)
    done = dreamproof(clean)
    assert done.returncode == 0 and "note: nulls in dmc_proprio, dreamer\n  what: 1 rows" in done.stdout
    done = dreamproof(clean, STORED / "founding-means.csv", "--json")
    assert done.returncode == 1
    levels = [one["level"] for one in json.loads(done.stdout)]
    assert levels == sorted(levels, reverse=True) and set(levels) == {"problem", "note"}
    done = dreamproof(clean / "absent")
    assert done.returncode == 2 and "No such run directory" in done.stderr and not done.stdout


def test_every_check_says_what_it_looks_for():
    names = {"means", "duplicates", "missing", "machines", "budgets", "seeds", "points", "evaluation", "insensitive", "updates"}
    assert names == set(plugins.names("results.check"))
    assert all(plugins.caption(plugins.load("results.check", name)).endswith(".") for name in plugins.names("results.check"))
