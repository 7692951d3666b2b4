"""RePo's table and figure: numbers of planted runs by hand, and every broken bound is seen."""

import io
import json
import math
import tarfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_results import write_run

from harness.errors import BadInput
from results import exporters, plots, reproduce, tables
from results.reading import load

KL = {"kind": "repo", "target": 3.0, "init": 1e-3, "floor": 1e-6, "ceiling": 10.0}
AGENT = {
    "kind": "dreamer",
    "kl": KL | {"dual": {"kind": "proportional", "e_folds": 10.0, "limit": 1.0}},
    "latent": {"kind": "categorical", "latents": 32, "classes": 32, "unimix": 0.01},
}
GOOD = {"repo/kl": 3.0, "repo/beta": 2e-3, "repo/loss": 0.0, "repo/beta_at_cap": 0.0, "repo/low_kl": 0.0, "kl/max": 40.0}
GOOD |= {"repo/kl_of_bound": 0.2, "loss/reward": 0.1, "reward/constant": 0.5, "optimizer/skipped": 0.0, "loss/total": 5.0}


def planted(root, late=(), early=(), agent=AGENT, **axes):
    """Eight intervals; `late` changes the last two, `early` the first."""
    path = write_run(root, {"clean": [1.0]}, agent=agent, ablation="repo", **axes)
    rows = [{"step": 100 * i, "updates": 50 * i, "seconds": i, **GOOD} for i in range(1, 9)]
    rows[0] |= dict(early)
    for row in rows[-2:]:
        row |= dict(late)
    lines = [{"step": 50, "updates": 0, "seconds": 0.5}, *rows]  # before the first update there is nothing to say
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return path


def only(root):
    long = tables.build("repo", [root]).long
    assert len(long) == 1
    return long.iloc[0]


def test_numbers_by_hand(tmp_path):
    planted(tmp_path, late={"repo/kl": 3.3, "repo/loss": -0.25, "repo/beta": 1e-3 * math.e**2}, early={"repo/kl": 90.0})
    row = only(tmp_path)
    assert (row.kl, row.updates, row.loss_max, row["flags"]) == (pytest.approx(3.3), 400, 0.25, "")
    assert row.moved == pytest.approx(2.0) and (row.beta_low, row.beta_high) == (2e-3, pytest.approx(7.389e-3, rel=1e-3))
    assert row.kl_bound == pytest.approx(255.38, abs=5e-3) and row.loss_bound == pytest.approx(10 * 252.38, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"repo/kl": 4.0}, "above_target"),
        ({"repo/kl": 2.0}, "below_target"),
        ({"kl/max": 256.0}, "kl_above_bound"),
        ({"repo/beta": 11.0}, "beta_outside"),
        ({"repo/beta": 5e-7}, "beta_outside"),
        ({"repo/loss": -3000.0}, "loss_above_bound"),
        ({"repo/beta_at_cap": 1.0}, "at_cap"),
        ({"optimizer/skipped": 2.0}, "updates_skipped"),
        ({"loss/total": None}, "not_finite"),
        ({"repo/low_kl": 1.0, "loss/reward": 0.5}, "collapsed"),
    ],
)
def test_what_is_wrong_is_flagged(tmp_path, changes, flag):
    planted(tmp_path, late=changes)
    assert flag in only(tmp_path)["flags"].split(";")


def test_beta_that_still_grows_is_flagged(tmp_path):
    """Over the last two of eight intervals from 2e-3 to 6e-3, a factor of 3 > e, while K is above its target."""
    path = planted(tmp_path, late={"repo/kl": 3.1})
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    rows[-1]["repo/beta"] = 6e-3
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert only(tmp_path)["flags"] == "beta_growing"


def test_beta_that_moves_faster_than_its_rate_is_flagged(tmp_path):
    slow = AGENT | {"kl": AGENT["kl"] | {"dual": {"kind": "proportional", "e_folds": 0.5, "limit": 1.0}}}
    planted(tmp_path, agent=slow)  # 0.69 e-folds from 1e-3 to 2e-3
    assert only(tmp_path)["flags"] == "beta_too_fast"


def test_text_and_figure_show_every_run(tmp_path):
    for seed in range(3):
        planted(tmp_path, seed=seed)
    text = tables.build("repo", [tmp_path]).render("md")
    assert "0 of 3 runs left a bound; in 3 the KL ended within 25% of its target" in text
    figure = plots.build("repo", [tmp_path])[0]
    lines = [line for line in figure.axes[0].get_lines() if not line.get_label().startswith("_")]
    assert len(lines) == 3 and all(np.allclose(line.get_ydata(), 3.0) for line in lines)
    assert figure.axes[0].get_ylabel() == "K, nats per step" and figure.axes[0].get_yscale() == "log"
    plt.close(figure)


def test_runs_without_repo_are_an_error(tmp_path):
    write_run(tmp_path, {"clean": [1.0]})
    with pytest.raises(BadInput, match="None of these runs"):
        tables.build("repo", [tmp_path])


def test_adaptations_of_two_seeds_are_one_method(tmp_path):
    """Seed s of an adapted method begins with seed s of its source; sources trained differently are other methods."""
    for seed in range(2):
        for noise in ("clean", "g10"):
            source = f"s/x.repo.{noise}.s{seed}-0123abc{seed}"
            write_run(tmp_path, {"clean": [1.0]}, ablation="repo+finetune", seed=seed, source=source, name=f"{noise}{seed}")
    variants = load.load([tmp_path]).runs.groupby("train_seed").variant.apply(list)
    assert variants[0] == variants[1] and len(set(variants[0])) == 2


def test_an_archive_holds_all_but_checkpoints(tmp_path):
    run = planted(tmp_path / "runs" / "study")
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "weights").write_text("large")
    (run / "provenance.json").write_text('{"command": ["dreamproof"]}')
    table = tables.build("repo", [tmp_path / "runs"]).render("md")
    exporters.export("archive", [tmp_path / "runs"], tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        names = {Path(name) for name in archive.getnames()}
    assert {name.name for name in names} == {path.name for path in run.iterdir()} - {"checkpoint"}
    assert tables.build("repo", [tmp_path / "a.tar.gz"]).render("md") == table
    exporters.export("archive", [tmp_path / "a.tar.gz"], tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()

    # Another file under the same name is read anew.
    planted(tmp_path / "more" / "study", late={"repo/kl": 30.0})
    exporters.export("archive", [tmp_path / "more"], tmp_path / "a.tar.gz")
    assert tables.build("repo", [tmp_path / "a.tar.gz"]).render("md") != table


def packed(file, name, content=b"{}"):
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def test_broken_archives(tmp_path):
    with pytest.raises(BadInput, match=r"name of an archive ends in \.tar\.gz"):
        exporters.export("archive", [planted(tmp_path / "runs" / "study")], tmp_path / "a.zip")
    again = planted(tmp_path / "again" / "study")
    with pytest.raises(BadInput, match="is there twice"):
        exporters.export("archive", [tmp_path / "runs", again], tmp_path / "a.tar.gz")
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(BadInput, match=r"a\.tar\.gz is no archive"):
        load.load([tmp_path / "a.tar.gz"])
    exporters.export("archive", [tmp_path / "runs"], tmp_path / "b.tar.gz")
    (tmp_path / "b.tar.gz").write_bytes((tmp_path / "b.tar.gz").read_bytes()[:-200])
    with pytest.raises(BadInput, match=r"b\.tar\.gz is no archive"):
        load.load([tmp_path / "b.tar.gz"])
    packed(tmp_path / "c.tar.gz", "notes.txt")
    with pytest.raises(BadInput, match="holds no run directory"):
        load.load([tmp_path / "c.tar.gz"])
    packed(tmp_path / "d.tar.gz", "../../outside/config.json")
    with pytest.raises(BadInput, match="is no archive"):
        load.load([tmp_path / "d.tar.gz"])


def test_the_hash_of_a_figure_of_metrics_counts_them(tmp_path):
    entry = {"verb": "table", "name": "repo", "runs": "runs", "out": "repo.md"}
    (entry,) = reproduce.parse([entry], "list.yaml")
    run = planted(tmp_path / "runs" / "study")
    before = reproduce.data_hash(entry, load.load([run]))
    assert before == reproduce.data_hash(entry, load.load([run]))
    rows = run / "metrics.jsonl"
    rows.write_text(rows.read_text().replace('"repo/beta": 0.002', '"repo/beta": 0.003'))
    assert before != reproduce.data_hash(entry, load.load([run]))
