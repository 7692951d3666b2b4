"""Noise: a battery over every file of harness/noise, the moments each promises, and what is refused."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

from harness import noise, plugins
from harness.errors import BadInput
from harness.noise import blackout, gaussian, state_gaussian
from harness.rng import Key

pytestmark = pytest.mark.numeric

KEY = Key(seed=7, purpose="noise", index=1, episode=3)
GREY = np.full((64, 64, 3), 128, np.uint8)
BLACK = np.zeros((64, 64, 3), np.uint8)
# One strong and one silent setting of every noise; a new file without an entry here fails the battery.
STRONG = {
    "blackout": "blackout:length=3,chance=0.3",
    "clean": "clean",
    "distractor": "distractor:share=0.5,where=all",
    "gaussian": "gaussian:sigma=20",
    "salt_pepper": "salt_pepper:p=0.2",
    "state_gaussian": "state_gaussian:std=0.5,unit=absolute",
}
SILENT = {
    "blackout": "blackout:length=3,chance=0",
    "clean": "clean",
    "distractor": "distractor:share=0,where=all",
    "gaussian": "gaussian:sigma=0",
    "salt_pepper": "salt_pepper:p=0",
    "state_gaussian": "state_gaussian:std=0,unit=absolute",
}
NAMES = plugins.names("harness.noise")
ACTIVE = [name for name in NAMES if name != "clean"]


def example(parsed: noise.Noise) -> np.ndarray:
    generator = np.random.default_rng(0)
    if parsed.on == "vectors":
        return generator.standard_normal(17).astype(np.float32)
    return generator.integers(0, 256, (64, 64, 3)).astype(np.uint8)


def frames(text: str, base: np.ndarray, count: int) -> np.ndarray:
    parsed = noise.parse(text)
    return np.stack([parsed.apply(base, KEY, step) for step in range(count)])


# ---- Every noise


def test_every_file_is_in_the_battery():
    assert set(STRONG) == set(SILENT) == set(NAMES) == set(noise.noise_types())


@pytest.mark.parametrize("name", NAMES)
def test_type_and_shape_are_kept_and_the_input_is_untouched(name):
    parsed = noise.parse(STRONG[name])
    array = example(parsed)
    before = array.copy()
    for step in range(20):
        result = parsed.apply(array, KEY, step)
        assert result.dtype == array.dtype and result.shape == array.shape
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_is_bit_identical_and_keeps_its_label(name):
    parsed = noise.parse(SILENT[name])
    array = example(parsed)
    for step in range(50):
        assert parsed.apply(array, KEY, step).tobytes() == array.tobytes()
    assert str(parsed) == SILENT[name]


@pytest.mark.parametrize("name", ACTIVE)
def test_what_happens_at_a_step_does_not_depend_on_the_steps_before(name):
    array = example(noise.parse(STRONG[name]))
    forward = [noise.parse(STRONG[name]).apply(array, KEY, step) for step in range(40)]
    backward = [noise.parse(STRONG[name]).apply(array, KEY, step) for step in reversed(range(40))]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ACTIVE)
def test_other_keys_and_steps_draw_other_noise(name):
    parsed = noise.parse(STRONG[name])
    array = example(parsed)
    keys = [KEY, Key(8, "noise", 1, 3), Key(7, "eval", 1, 3), Key(7, "noise", 2, 3), Key(7, "noise", 1, 4)]
    episodes = [np.stack([parsed.apply(array, key, step) for step in range(60)]) for key in keys]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(episodes, 2))
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(episodes[0]))


@pytest.mark.parametrize("name", ACTIVE)
def test_the_same_key_meets_the_same_noise_whatever_is_observed(name):
    parsed = noise.parse(STRONG[name])
    low, high = (100, 140) if parsed.on == "pixels" else (0, 1)
    dtype, shape = (np.uint8, (64, 64, 3)) if parsed.on == "pixels" else (np.float32, (9,))
    first, second = np.full(shape, low, dtype), np.full(shape, high, dtype)
    for step in range(30):
        a, b = parsed.apply(first, KEY, step), parsed.apply(second, KEY, step)
        if name in ("gaussian", "state_gaussian"):
            inside = (a > 0) & (b < 255) & (a < 255) & (b > 0) if parsed.on == "pixels" else np.ones(shape, bool)
            tolerance = 0 if parsed.on == "pixels" else 1e-6
            difference = b.astype(np.float64) - a.astype(np.float64)
            np.testing.assert_allclose(difference[inside], high - low, atol=tolerance)
        elif name == "distractor":  # half of the film, half of the frame, rounded
            np.testing.assert_allclose(b.astype(float) - a, (high - low) / 2, atol=1)
        else:
            np.testing.assert_array_equal(a != first, b != second)


@pytest.mark.parametrize("name", NAMES)
def test_severities_resolve_to_parameters(name):
    noise_type = noise.noise_types()[name]
    for table, suffix in ((noise_type.SEVERITY, ""), (noise_type.NATIVE_SEVERITY, ":at=native")):
        for level, values in table.items():
            resolved = noise.parse(f"{name}@{level}{suffix}")
            assert "@" not in str(resolved)
            assert {n: getattr(resolved, n) for n in values} == values


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_says_its_unit_and_range(name):
    noise_type = noise.noise_types()[name]
    for parameter in noise_type.model_fields:
        assert len(noise.describe_parameter(noise_type, parameter)) > 10


# ---- Spelling


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("clean", "clean"),
        (" gaussian:sigma=10 ", "gaussian:sigma=10"),
        ("gaussian:sigma=10.0,edge=clip,at=agent", "gaussian:sigma=10"),
        ("gaussian:at=native,sigma=1e1", "gaussian:sigma=10,at=native"),
        ("gaussian@1", "gaussian:sigma=10.2"),
        ("gaussian@1:at=native", "gaussian:sigma=20.4,at=native"),
        ("gaussian@2:edge=reflect", "gaussian:sigma=20.4,edge=reflect"),
        ("gaussian:sigma=0", "gaussian:sigma=0"),
        ("g20", "gaussian:sigma=20"),
        ("black6", "blackout:length=6,chance=0.05"),
        ("salt_pepper@3", "salt_pepper:p=0.05"),
        ("state_gaussian:std=1e-1", "state_gaussian:std=0.1"),
        ("gaussian:sigma=1e+1+black6", "gaussian:sigma=10+blackout:length=6,chance=0.05"),
        ("clean+g10+clean", "gaussian:sigma=10"),
        ("clean+clean", "clean"),
    ],
)
def test_one_canonical_spelling(text, canonical):
    parsed = noise.parse(text)
    assert str(parsed) == canonical
    again = noise.parse(canonical)
    assert again == parsed and hash(again) == hash(parsed) and str(again) == canonical
    assert pickle.loads(pickle.dumps(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gausian:sigma=3", ["No noise 'gausian'", "Did you mean 'gaussian'"]),
        ("gaussian:sgma=3", ["No parameter 'sgma'", "sigma, edge, at", "Did you mean 'sigma'"]),
        ("gaussian:sigma=-1", ["sigma=-1", "0 to 255"]),
        ("gaussian:sigma=300", ["sigma=300", "0 to 255"]),
        ("gaussian:sigma=much", ["sigma=much", "grey levels"]),
        ("gaussian:sigma=nan", ["sigma=nan"]),
        ("gaussian:sigma=1,sigma=2", ["twice"]),
        ("gaussian:sigma=1,edge=wrap", ["edge=wrap", "clip or reflect"]),
        ("gaussian:sigma=1,at=moon", ["at=moon", "agent, native"]),
        ("gaussian", ["needs sigma", "0 to 255"]),
        ("gaussian:sigma", ["key=value"]),
        ("gaussian:", ["key=value"]),
        ("gaussian@9", ["severity '9'", "1 to 5"]),
        ("clean@1", ["no severities"]),
        ("salt_pepper:p=2", ["p=2", "0 to 1"]),
        ("blackout:length=0,chance=0.1", ["length=0", "whole number"]),
        ("blackout:length=2.5,chance=0.1", ["length=2.5"]),
        ("blackout:length=6,chance=2", ["chance=2", "0 to 1"]),
        ("state_gaussian:std=-0.1", ["std=-0.1", "0 to"]),
        ("gaussian sigma 10", ["Cannot read"]),
        ("", ["A noise is text"]),
        (10, ["A noise is text"]),
    ],
)
def test_bad_input_says_what_is_allowed(text, words):
    with pytest.raises(BadInput) as error:
        noise.parse(text)
    for word in words:
        assert word in str(error.value)


def test_a_noise_must_have_something_to_perturb():
    noise.check_modality(noise.parse("gaussian:sigma=3"), pixels=True, vectors=False)
    noise.check_modality(noise.parse("clean"), pixels=False, vectors=True)
    noise.check_modality(noise.parse("g10+state_gaussian:std=1"), pixels=True, vectors=True)
    with pytest.raises(BadInput, match=r"gaussian:sigma=3.*'dmc/walker_walk' hold vectors.*clean, state_gaussian"):
        noise.check_modality(noise.parse("gaussian:sigma=3"), pixels=False, vectors=True, task="dmc/walker_walk")
    with pytest.raises(BadInput, match="hold pixels"):
        noise.check_modality(noise.parse("g10+state_gaussian:std=1"), pixels=True, vectors=False)


# ---- Observations


def test_observe_perturbs_what_fits_and_passes_the_rest_on():
    obs = {"image": GREY, "position": np.ones(3, np.float32), "count": np.int32(2)}
    observed = noise.perturb_observation(noise.parse("gaussian:sigma=20"), obs, KEY, 5)
    assert not np.array_equal(observed["image"], GREY)
    assert observed["position"] is obs["position"] and observed["count"] is obs["count"]
    observed = noise.perturb_observation(noise.parse("state_gaussian:std=1,unit=absolute"), obs, KEY, 5)
    assert observed["image"] is GREY and not np.array_equal(observed["position"], obs["position"])
    assert noise.perturb_observation(noise.parse("clean"), obs, KEY, 5) == obs


def test_every_observation_key_has_its_own_stream():
    obs = {"left": GREY, "right": GREY}
    observed = noise.perturb_observation(noise.parse("gaussian:sigma=20"), obs, KEY, 0)
    assert np.mean(observed["left"] == observed["right"]) < 0.1


def test_a_part_of_a_chain_draws_what_it_draws_alone():
    alone = noise.perturb_observation(noise.parse("gaussian:sigma=5"), {"image": GREY}, KEY, 9)["image"]
    chained = noise.perturb_observation(noise.parse("salt_pepper:p=0.1+gaussian:sigma=5"), {"image": GREY}, KEY, 9)["image"]
    assert 0.85 < np.mean(alone == chained) < 0.95


def test_two_of_a_kind_are_independent():
    twice = noise.perturb_observation(noise.parse("gaussian:sigma=10+gaussian:sigma=10"), {"image": GREY}, KEY, 0)["image"]
    assert np.std(twice.astype(float)) == pytest.approx(10 * np.sqrt(2), rel=0.03)


def test_the_order_of_a_chain_matters():
    key = Key(0, "noise")
    step = next(s for s in range(1000) if blackout.Blackout(length=1, chance=0.5).black(key.child("blackout/image"), s))
    first = noise.perturb_observation(noise.parse("blackout:length=1,chance=0.5+gaussian:sigma=9"), {"image": GREY}, key, step)
    last = noise.perturb_observation(noise.parse("gaussian:sigma=9+blackout:length=1,chance=0.5"), {"image": GREY}, key, step)
    assert first["image"].any() and not last["image"].any()


def test_native_noise_leaves_the_observation_alone_and_keeps_the_frame_size():
    parsed = noise.parse("gaussian:sigma=20,at=native+salt_pepper:p=0.1")
    frame = np.full((210, 160, 3), 128, np.uint8)
    noisy = noise.native_perturbation(parsed, KEY, 2)(frame)
    assert noisy.shape == frame.shape and noisy.dtype == np.uint8
    assert np.std(noisy.astype(float)) == pytest.approx(20, rel=0.03)
    observed = noise.perturb_observation(parsed, {"image": GREY}, KEY, 2)["image"]
    assert set(np.unique(observed)) == {0, 128, 255}
    assert noise.native_perturbation(noise.parse("salt_pepper:p=0.1"), KEY, 2) is None


# ---- Moments


def test_gaussian_has_the_sigma_it_says():
    z = frames("gaussian:sigma=20", GREY, 40).astype(np.float64) - 128
    assert z.mean() == pytest.approx(0, abs=4 * 20 / np.sqrt(z.size))
    assert z.std() == pytest.approx(np.sqrt(20**2 + 1 / 12), rel=0.005)
    assert np.mean(np.abs(z) > 40.5) == pytest.approx(0.0429, abs=0.001)  # P(|N(0, 1)| > 40.5 / 20)
    channels = z.reshape(-1, 3)
    assert abs(np.corrcoef(channels.T)[0, 1]) < 0.01
    assert abs(np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]) < 0.01


def test_gaussian_brightens_black_by_what_clipping_predicts():
    black = frames("gaussian:sigma=20", BLACK, 40).mean()
    assert black == pytest.approx(20 / np.sqrt(2 * np.pi), rel=0.01)  # 0.399 sigma
    white = frames("gaussian:sigma=20", np.full_like(BLACK, 255), 40).mean()
    assert white == pytest.approx(255 - 20 / np.sqrt(2 * np.pi), rel=0.001)
    folded = frames("gaussian:sigma=20,edge=reflect", BLACK, 40).mean()
    assert folded == pytest.approx(20 * np.sqrt(2 / np.pi), rel=0.01)


def test_gaussian_never_wraps():
    for text in ("gaussian:sigma=255", "gaussian:sigma=255,edge=reflect"):
        levels = frames(text, BLACK, 5)
        assert levels.min() >= 0 and levels.max() <= 255
    pixel = np.full((64, 64, 3), 250, np.int16)
    pixel += 100
    gaussian._fold(pixel)
    assert (pixel == 160).all()  # 350 folded at 255


def test_gaussian_quantiles_are_normal():
    z = gaussian._normal()
    assert z.std() == pytest.approx(1, abs=2e-5) and np.mean(z**4) == pytest.approx(3, abs=2e-3)
    assert np.array_equal(z, -z[::-1]) and np.all(np.diff(z) > 0)


def test_gaussian_equals_adding_in_float32_and_rounding_half_to_even():
    words = KEY.generator(4).bit_generator.random_raw(GREY.size // 4).view(np.uint16)
    z = gaussian._normal()[words].astype(np.float32).reshape(GREY.shape)
    expected = np.clip(np.rint(example(noise.parse("g10")) + np.float32(10) * z), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(noise.parse("g10").apply(example(noise.parse("g10")), KEY, 4), expected)


def test_a_distractor_is_behind_what_matters():
    """Blue ground with an orange thing on it; a white thing on black; the film's moments; smooth in space and time."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 2] = 90
    frame[10:20, 30:40] = (230, 150, 80)
    observed = noise.parse("distractor").apply(frame, KEY, 5)
    thing = np.zeros((64, 64), bool)
    thing[10:20, 30:40] = True
    assert (observed[thing] == (230, 150, 80)).all()
    ground = observed[~thing]
    assert (ground == ground[:, :1]).all() and ground.std() > 20  # grey
    assert noise.parse("distractor:where=dark").apply(GREY, KEY, 5) is not None
    np.testing.assert_array_equal(noise.parse("distractor:where=dark").apply(GREY, KEY, 5), GREY)
    films = [noise.parse("distractor:where=all,contrast=20").apply(BLACK, Key(s, "noise"), 0)[..., 0] for s in range(200)]
    assert np.mean(films) == pytest.approx(127.5, abs=1) and np.std(films) == pytest.approx(20, rel=0.05)
    film = np.array([noise.parse("distractor:where=all").apply(BLACK, KEY, t)[..., 0] for t in range(3)]).astype(float)
    assert np.abs(np.diff(film, axis=2)).mean() < 20 and 0 < np.abs(np.diff(film, axis=0)).mean() < 40
    still = noise.parse("distractor:where=all,speed=0")
    np.testing.assert_array_equal(still.apply(BLACK, KEY, 0), still.apply(BLACK, KEY, 9))


def test_salt_and_pepper_shares():
    observed = frames("salt_pepper:p=0.2", GREY, 40)
    assert np.mean(observed == 0) == pytest.approx(0.1, abs=0.004)
    assert np.mean(observed == 255) == pytest.approx(0.1, abs=0.004)
    assert np.all(observed == observed[..., :1])  # whole pixels
    assert set(np.unique(frames("salt_pepper:p=1", GREY, 2))) == {0, 255}


def black(text: str, episodes: int, steps: int) -> np.ndarray:
    parsed = noise.parse(text)
    return np.array([[parsed.black(Key(0, "noise", 0, e), s) for s in range(steps)] for e in range(episodes)])


@pytest.mark.parametrize(("length", "chance"), [(6, 0.05), (1, 0.6), (3, 0.2), (1, 1.0), (4, 1.0)])
def test_blackout_share(length, chance):
    share = length / (length + (1 - chance) / chance)
    observed = black(f"blackout:length={length},chance={chance}", 100, 800)[:, 200:]
    assert observed.mean() == pytest.approx(share, abs=0.012)


def test_blackout_begins_with_its_chance_and_lasts_its_length():
    observed = black("blackout:length=6,chance=0.02", 200, 400)
    assert observed[:, 0].mean() == pytest.approx(0.02, abs=0.03)
    for episode in observed:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], episode, [False]]).astype(int)))
        for begin, end in edges.reshape(-1, 2):
            assert (end - begin) % 6 == 0 or end == len(episode)
    outside = ~observed[:, :-1] & ~observed[:, 1:]
    begins = ~observed[:, :-1] & observed[:, 1:]
    assert begins.sum() / (begins.sum() + outside.sum()) == pytest.approx(0.02, abs=0.003)


def test_a_longer_blackout_schedule_begins_with_the_shorter():
    for chance in (0.01, 0.3, 1.0):
        long = blackout._schedule(KEY, 5, chance, 8192)
        np.testing.assert_array_equal(long[:1024], blackout._schedule(KEY, 5, chance, 1024))


def test_black_frames_are_black_and_the_others_untouched():
    for step, frame in enumerate(frames("black6", GREY, 200)):
        assert (frame == (0 if noise.parse("black6").black(KEY, step) else 128)).all()


def test_state_gaussian_scales_by_the_stored_sizes():
    task = "dmc/cartpole_swingup"
    sizes = {name: np.array(size) for name, size in state_gaussian.reference()[task].items()}
    parsed = noise.parse("state_gaussian:std=0.1").bind_task(task)
    obs = {name: np.zeros(len(size), np.float32) for name, size in sizes.items()}
    observed = [noise.perturb_observation(parsed, obs, KEY, step) for step in range(4000)]
    for name, size in sizes.items():
        z = np.stack([s[name] for s in observed])
        np.testing.assert_allclose(z.std(axis=0), 0.1 * size, rtol=0.05)
        assert np.all(np.abs(z.mean(axis=0)) < 0.01 * size)
    assert str(parsed) == "state_gaussian:std=0.1" and parsed == noise.parse("state_gaussian:std=0.1")


def test_state_gaussian_in_absolute_units_needs_no_reference():
    z = frames("state_gaussian:std=0.3,unit=absolute", np.ones(50, np.float32), 2000) - 1
    assert z.std() == pytest.approx(0.3, rel=0.01) and abs(z.mean()) < 0.01


def test_dimensions_that_never_move_stay_untouched():
    parsed = noise.parse("state_gaussian:std=1").bind_task("dmc/manipulator_bring_peg")
    sizes = state_gaussian.reference()["dmc/manipulator_bring_peg"]["touch"]
    still = np.array(sizes) == 0
    assert still.any()
    observed = noise.perturb_observation(parsed, {"touch": np.zeros(len(sizes), np.float32)}, KEY, 0)["touch"]
    assert not observed[still].any() and observed[~still].all()


def test_state_gaussian_without_a_reference_is_refused():
    with pytest.raises(BadInput, match=r"unit=absolute.*harness.noise.state_gaussian gym/Pendulum-v1"):
        noise.parse("gaussian:sigma=1+state_gaussian:std=0.1").bind_task("gym/Pendulum-v1")
    with pytest.raises(ValueError, match="bound"):
        noise.parse("state_gaussian:std=0.1").apply(np.ones(3, np.float32), KEY, 0)


def test_counter_reference_is_what_its_dynamics_say():
    stored = state_gaussian.reference()["counter/vector"]["vector"]
    np.testing.assert_allclose(stored, np.sqrt(3) / 4, atol=0.02)  # of a one-hot with four equal chances
    assert state_gaussian.measure("counter/vector") == state_gaussian.reference()["counter/vector"]
