"""Training ratio and intervals: counts worked out by hand, and exact over long runs."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.schedule import Every, Ratio


def ratio(value):
    return Ratio(value, batch=16, length=64)


@pytest.mark.parametrize("value, between", [(1024, 1), (512, 2), (256, 4), (32, 32)])
def test_one_update_per_so_many_steps(value, between):
    due = ratio(value)
    counts = [due(step) for step in range(1, 20 * between + 2)]
    assert counts == [1] + ([0] * (between - 1) + [1]) * 20


def test_ratio_above_one_update_per_step():
    due = ratio(3072)
    assert [due(step) for step in range(4)] == [1, 3, 3, 3]


def test_zero_never_trains():
    due = ratio(0)
    assert not any(due(step) for step in range(1000))


@pytest.mark.parametrize("value", [512, 256, 32, 0.1, 100 / 3, 1000, 7])
def test_long_run_count_is_exact(value):
    due = ratio(value)
    total = sum(due(step) for step in range(1_000_001))
    assert total == 1 + int(Fraction(str(value)) * 1_000_000 / 1024)


@given(st.lists(st.integers(0, 50), min_size=1), st.sampled_from([0.3, 32, 256, 999, 5000]), st.integers(0, 30))
def test_count_depends_on_the_last_step_only_and_survives_a_restart(jumps, value, split):
    steps = [sum(jumps[: i + 1]) for i in range(len(jumps))]
    due, total = ratio(value), 0
    for i, step in enumerate(steps):
        if i == split:
            due, before = ratio(value), due
            due.load(before.state())
        total += due(step)
    assert total == 1 + (steps[-1] - steps[0]) * Fraction(str(value)) // 1024


def test_agrees_with_the_original_where_floats_are_exact():
    due, previous = ratio(256), None
    for step in range(0, 5000, 7):
        if previous is None:
            previous, expected = step, 1
        else:
            expected = int((step - previous) * 256 / 1024)
            previous += expected * 1024 / 256
        assert due(step) == expected


@pytest.mark.parametrize("arguments", [(-1, 16, 64), (float("inf"), 16, 64), (32, 0, 64), (32, 16, 0)])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match="needs"):
        Ratio(arguments[0], batch=arguments[1], length=arguments[2])


def test_every_fires_once_however_far_it_jumps():
    every = Every(10)
    assert [step for step in (0, 4, 9, 10, 11, 35, 36, 39, 40) if every(step)] == [10, 35, 40]


def test_every_goes_on_where_it_was():
    """A resumed run asks once at the step of its checkpoint and drops the answer."""
    whole, resumed = Every(10), Every(10)
    assert whole(13)
    resumed(13)
    assert not whole(19) and not resumed(19) and whole(20) and resumed(20)


def test_every_zero_never_fires():
    assert not any(Every(0)(step) for step in range(100))
