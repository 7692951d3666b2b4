"""The strength of a noise: what its class says decides area, half-lost strength and severity plot, by hand-computed numbers."""

import numpy as np
import pytest
from test_results import write_run

from harness import noise, plugins
from results import plots, style, tables
from results.scoring.noises import noise_family, noise_strengths

# Per family: strengths of severities 1 to 5, mean returns without noise and under each, and by hand: the area under the
# curve over its range, and where the score falls to 50, half of what the agent has over random play (0).
BY_HAND = {
    # (0.01 * 95 + 0.01 * 85 + 0.03 * 70 + 0.03 * 45 + 0.06 * 20) / 0.14;  0.05 + 0.03 * (60 - 50) / (60 - 30)
    "salt_pepper": ([0.01, 0.02, 0.05, 0.08, 0.14], [100, 90, 80, 60, 30, 10], 6.45 / 0.14, 0.06),
    # (0.01 * 95 + 0.02 * 85 + 0.02 * 70 + 0.02 * 50 + 0.03 * 30) / 0.1;  0.05 + 0.02 * (60 - 50) / (60 - 40)
    "blackout": ([0.01, 0.03, 0.05, 0.07, 0.1], [100, 90, 80, 60, 40, 20], 59.5, 0.06),
    # 0.1 * 97.5 + 0.15 * 92.5 + 0.25 * 75 + 0.25 * 40 + 0.25 * 10;  0.5 + 0.25 * (60 - 50) / (60 - 20)
    "distractor": ([0.1, 0.25, 0.5, 0.75, 1.0], [100, 95, 90, 60, 20, 0], 54.875, 0.5625),
}


@pytest.fixture(params=BY_HAND)
def study(request, tmp_path):
    """Three runs whose means lie evenly around BY_HAND, noises spelled as runs store them, and random play."""
    _, means, _, _ = BY_HAND[request.param]
    spelled = ["clean", *(str(noise.parse(f"{request.param}@{level}")) for level in range(1, 6))]
    for seed, shift in enumerate((-5, 0, 5)):
        scores = {name: [mean + shift - 1, mean + shift + 1] for name, mean in zip(spelled, means, strict=True)}
        write_run(tmp_path, scores, seed=seed)
    write_run(tmp_path, {"clean": [-1.0, 1.0]}, agent={"kind": "random"})
    return request.param, tmp_path


def test_area_and_half_lost_by_hand(study):
    family, root = study
    _, _, area, half = BY_HAND[family]
    long = tables.build("measures", [root], reps=100).long.set_index("measure")
    assert long.loc["area", "eval_noise"] == long.loc["half lost", "eval_noise"] == family
    assert long.loc["area", "value"] == pytest.approx(area)
    assert long.loc["half lost", "value"] == pytest.approx(half)
    assert long.loc["half lost", "ci_low"] < half < long.loc["half lost", "ci_high"]
    # Models differ by a shift, which moves the area as much: Student's t of -5, 0, 5 around it.
    assert long.loc["area", "ci_high"] - area == pytest.approx(4.302652729749464 * 5 / np.sqrt(3))


def test_the_severity_plot_stands_at_the_strengths(study):
    family, root = study
    strengths, means, _, _ = BY_HAND[family]
    figure, marks = plots.build("severity", [root], reps=100)
    curve = marks[marks.kind == "curve"].sort_values("x")
    assert curve.x.tolist() == pytest.approx([0, *strengths]) and curve["mean"].tolist() == pytest.approx(means)
    assert marks[marks.kind == "random"].x.tolist() == pytest.approx([0, strengths[-1]])
    (ax,) = figure.axes
    assert ax.get_xlabel() == "strength" and style.are_apart(ax.get_xticks()) and ax.get_xticks().max() == strengths[-1]


@pytest.mark.parametrize("family", [name for name in plugins.names("harness.noise") if name != "clean"])
def test_every_noise_says_its_strength_and_severities_raise_it(family):
    kind = noise.noise_types()[family]
    assert kind.STRENGTH in kind.model_fields
    for table in (kind.SEVERITY, kind.NATIVE_SEVERITY):
        strengths = [table[level][kind.STRENGTH] for level in sorted(table)]
        assert strengths == sorted(set(strengths)) and all(strength > 0 for strength in strengths)


def test_one_curve_is_one_family_that_differs_in_strength_only():
    assert noise_strengths(["clean", "g10", "gaussian:sigma=20"]) == {"clean": 0, "g10": 10, "gaussian:sigma=20": 20}
    assert noise_strengths(["g0", "g10", "g20"]) == {"clean": 0, "g10": 10, "g20": 20}  # g0 is clean by another name
    assert noise_strengths(["salt_pepper@1", "salt_pepper:p=0.05"]) == {
        "clean": 0, "salt_pepper@1": 0.01, "salt_pepper:p=0.05": 0.05,
    }  # fmt: skip
    assert noise_strengths(["distractor:where=dark", "distractor:share=0.1,where=dark"]) == {
        "clean": 0, "distractor:where=dark": 1, "distractor:share=0.1,where=dark": 0.1,
    }  # fmt: skip
    # Severities alone: their own scale, whoever's noise it is.
    assert noise_strengths(["salt_pepper@1", "salt_pepper@3"]) == {"clean": 0, "salt_pepper@1": 1, "salt_pepper@3": 3}
    assert noise_strengths(["fog@2", "fog@5"]) == {"clean": 0, "fog@2": 2, "fog@5": 5}
    assert noise_family("black6") == "blackout" and noise_family("g10") == "gaussian" and noise_family("fog@2") == "fog"


@pytest.mark.parametrize(
    "noises",
    [
        ["gaussian:sigma=10", "gaussian:sigma=20,edge=reflect"],  # another noise
        ["gaussian:sigma=10", "gaussian:sigma=20,at=native"],
        ["black6", "blackout:length=3,chance=0.1"],  # two lengths, no severities
        ["distractor@1", "distractor:share=0.5,where=dark"],
        ["gaussian:sigma=10+blackout@1", "gaussian:sigma=20+blackout@1"],  # at 0 of one part the other remains
        ["gaussian:sigma=10", "salt_pepper:p=0.1"],
        ["gaussian:sigma=10", "g10"],  # one strength twice
        ["g0"],
        ["clean"],
    ],
)
def test_noises_that_are_no_curve(noises):
    assert noise_strengths(noises) is None


def test_ticks_have_room():
    assert style.labelled_ticks([0, 0.01, 0.02, 0.05, 0.08, 0.14]) == [0, 0.02, 0.05, 0.08, 0.14]
    assert style.labelled_ticks([3, 1, 2, 0, 2]) == [0, 1, 2, 3]
    assert style.are_apart([0, 10, 20]) and not style.are_apart([0, 1, 2, 50])


def test_clean_by_another_name_stays_out_of_the_curve(tmp_path):
    for seed, shift in enumerate((-5, 0, 5)):
        means = {"clean": 100, "g0": 0, "g10": 80, "g20": 40}
        write_run(tmp_path, {name: [mean + shift] for name, mean in means.items()}, seed=seed)
    long = tables.build("measures", [tmp_path], reps=100).long.set_index("measure")
    assert long.loc["area", "value"] == pytest.approx((10 * 90 + 10 * 60) / 20)
    _, marks = plots.build("severity", [tmp_path], reps=100)
    assert marks[marks.kind == "curve"].x.tolist() == [0, 10, 20]
    _, marks = plots.build("robustness", [tmp_path], reps=100)
    assert marks[marks.kind == "curve"].x.tolist() == [0, 1, 2, 3] and marks.axis.unique()[-1] == "order"
