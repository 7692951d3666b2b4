"""The fault campaign in its short form; `make evidence` runs it in full."""

import campaign
import cluster
import pytest

pytestmark = pytest.mark.xdist_group("slurm")


def test_a_grid_under_faults_ends_like_its_undisturbed_twin(tmp_path):
    with cluster.running(tmp_path / "dev"):
        figures = campaign.run(tmp_path, seconds=25, learners=3, steps=400, minutes=3)
    assert figures["done"] == figures["runs"] == 6
    assert len(figures["faults"]) >= 3 and figures["attempts"] > 6
