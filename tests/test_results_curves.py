"""The table of learning: tenths of training episodes by hand, and stored results at the same frames."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats
from test_importers import write
from test_plots_curves import reference, run
from test_results import PUBLISHED, published

from harness.cli import cli
from results import tables

T1 = stats.t(1).ppf(0.975)


@pytest.fixture
def study(tmp_path):
    """Seed 0 with 20 episodes (tenths of 2), seed 1 with 5 (tenths of 1), and a third that is not done."""
    run(tmp_path, [(20 * i, float(i)) for i in range(1, 21)], [40.0, 60.0], seed=0)
    run(tmp_path, [(80 * i, 10.0 * i) for i in range(1, 6)], [60.0, 80.0], seed=1)
    run(tmp_path, [(100, 900.0)], done=False, seed=2)
    return tmp_path


def number(long, measure):
    (row,) = [row for row in long.to_dict("records") if row["measure"] == measure]
    return row


def test_tenths_by_hand(study):
    long = tables.build("curves", [study]).long
    first, last, final = (number(long, name) for name in ("first tenth", "last tenth", "final"))
    # Seed 0: episodes 1, 2 and 19, 20; seed 1: 10 and 50.
    assert first["mean"] == (1.5 + 10) / 2 and last["mean"] == (19.5 + 50) / 2 and final["mean"] == 60
    assert last["ci_high"] - last["mean"] == pytest.approx(T1 * (50 - 19.5) / 2)
    assert (last["seeds"], last["of"], last["episodes"], last["flags"]) == (2, 3, 3, "unfinished:1")
    assert (last["frames_low"], last["frames_high"]) == (320, 400) and (first["frames_low"], first["frames_high"]) == (0, 80)


def test_reference_at_the_same_frames(study):
    path = reference(study, xs=[320, 350, 400, 401], ys=[1, None, 7, 1000])
    table = tables.build("curves", [study], reference=[path])
    row = number(table.long, "reference")
    assert (row["mean"], row["seeds"], row["episodes"]) == (7, 3, 3)
    assert "dreamerv3 (dmc_proprio protocol)" in table.render("md")


def test_reference_that_ends_before_is_said(study):
    table = tables.build("curves", [study], reference=[reference(study, xs=[10, 20], ys=[1, 2])])
    assert np.isnan(number(table.long, "reference")["mean"])
    assert "no point at those frames" in table.render("md")


def test_one_seed_has_no_interval_and_nothing_done_no_number(tmp_path):
    run(tmp_path, [(100, 10.0), (200, 20.0)], [5.0])
    run(tmp_path, [(100, 10.0)], done=False, ablation="repo")
    table = tables.build("curves", [tmp_path])
    one = table.long[table.long.ablation == "none"]
    assert number(one, "last tenth")["mean"] == 20 and one.ci_low.isna().all() and set(one["flags"]) == {"one_seed"}
    text = table.render("md")
    assert "20.00 ± ?" in text and "unfinished:1" in text and "0 of 1" in text
    for form in ("csv", "tex", "html", "json"):
        assert table.render(form)


def test_random_play_and_official_values_of_a_published_file(tmp_path):
    run(tmp_path, [(f, 1.0) for f in range(40_000, 400_001, 40_000)], [5.0], task="atari100k/asterix")
    records = [r for r in published("atari100k-dreamerv3.json.gz") if r["task"] == "atari_asterix"]
    long = tables.build("curves", [tmp_path], reference=[PUBLISHED / "atari100k-dreamerv3.json.gz"]).long
    means = [np.mean([y for x, y in zip(r["xs"], r["ys"], strict=True) if 360_000 < x <= 400_000]) for r in records]
    assert number(long, "reference")["mean"] == pytest.approx(np.mean(means))
    assert number(long, "random")["mean"] == 210 and number(long, "random")["source"] == "atari_gamer_v1"


def test_command_line(study):
    path = write(
        study, [{"task": "dmc_cartpole_swingup", "method": "m", "seed": 1, "xs": [400], "ys": [3]}], "dmc_proprio-m.json.gz"
    )
    out = study / "f.png"
    done = CliRunner().invoke(cli, ["plot", "curves", str(study), "--reference", str(path), "--out", str(out)])
    assert done.exit_code == 0 and out.stat().st_size > 5000 and "m (dmc_proprio protocol)" in (study / "f.csv").read_text()
    done = CliRunner().invoke(cli, ["table", "curves", str(study), "--reference", str(path), "--format", "json"])
    assert [row["mean"] for row in json.loads(done.stdout) if row["measure"] == "reference"] == [3]
