"""Clipping and LaProp against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from agents.dreamer.parts.optimizer import AdaptiveClip, LaPropConfig

pytestmark = pytest.mark.numeric


def optimise(grads, *, start=1.0, warmup=0, **options):
    """Steps that one scalar weight takes under a series of gradients, clipping out of the way."""
    weight = torch.nn.Parameter(torch.tensor([start]))
    optimizer = LaPropConfig(lr=1e-3, warmup=warmup, clip=AdaptiveClip(share=1e9), **options).build({"w": weight})
    steps = []
    for grad in grads:
        before = weight.item()
        optimizer.zero_grad()
        weight.grad.fill_(grad)
        _, metrics = optimizer.step(torch.tensor(0.0))
        steps.append(before - weight.item())
    return steps, optimizer, metrics


@pytest.mark.parametrize(("norm", "grad", "factor"), [(2.0, 10.0, 0.06), (0.0, 1.0, 3e-4), (2.0, 0.5, 1.0), (1e-5, 6e-4, 0.5)])
def test_clip_is_a_share_of_the_weights_norm(norm, grad, factor):
    assert AdaptiveClip().gradient_factors(torch.tensor([grad]), torch.tensor([norm])).item() == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize("grad", [3.0, -0.2, 1e-12])
def test_first_step_is_the_rate_whatever_the_gradient(grad):
    steps, _, _ = optimise([grad], start=0.0)
    assert steps[0] == pytest.approx(math.copysign(1e-3, grad), rel=1e-4)


@pytest.mark.parametrize(("grads", "expected"), [((1, -1), (1e-3, -5.263e-5)), ((1, 10), (1e-3, 1.21413e-3))])
def test_momentum_comes_after_the_division(grads, expected):
    steps, _, _ = optimise(grads, start=0.0)
    assert steps == pytest.approx(expected, rel=2e-4)  # dividing after the momentum, as Adam does, would give 8.0709e-4


def test_warm_up_starts_at_zero_and_is_linear():
    steps, _, _ = optimise([1.0] * 6, start=0.0, warmup=4)
    assert steps == pytest.approx([0, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3], rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_gradient_changes_nothing_and_is_counted(bad):
    good, _, _ = optimise([1.0, 2.0])
    mixed, _, metrics = optimise([1.0, bad, bad])
    assert mixed[1:] == [0, 0] and metrics["optimizer/skipped"] == 2 and metrics["optimizer/skipped_in_a_row"] == 2
    mixed, optimizer, metrics = optimise([1.0, bad, 2.0])
    assert [mixed[0], mixed[2]] == good and optimizer.steps == 2
    assert metrics["optimizer/skipped"] == 1 and metrics["optimizer/skipped_in_a_row"] == 0


def test_a_bad_loss_skips_the_step():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = LaPropConfig(warmup=0).build({"w": weight})
    weight.grad.fill_(1.0)
    ok, _ = optimizer.step(torch.tensor(math.nan))
    assert not ok and torch.equal(weight.detach(), torch.ones(2))


def test_tensors_are_clipped_one_by_one():
    small, large = torch.nn.Parameter(torch.full((4,), 1.0)), torch.nn.Parameter(torch.full((4,), 100.0))
    optimizer = LaPropConfig(warmup=0).build({"small": small, "large": large})
    small.grad.fill_(5.0), large.grad.fill_(5.0)
    optimizer.step(torch.tensor(0.0))
    assert small.grad.norm().item() == pytest.approx(0.3 * 2.0) and large.grad.norm().item() == pytest.approx(10.0)
