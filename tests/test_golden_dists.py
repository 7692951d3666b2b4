"""Distributions against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from agents.dreamer.parts.latent import CategoricalLatent, StraightThrough
from agents.nn.dists import BoundedNormal, IndependentOneHot, TwoHot, symexp_bins, two_hot
from agents.nn.functional import symexp, symlog
from agents.nn.sampler import GeneratorSampler, ModeSampler, UniformSampler

pytestmark = pytest.mark.numeric

BINS = symexp_bins(255)


def test_symlog_is_odd_inverted_and_has_slope_one_at_zero():
    x = torch.tensor([0.0, 1e-3, 1.0, 37.5, 1e6], dtype=torch.float64)
    assert symlog(x)[0] == 0 and torch.equal(symlog(-x), -symlog(x))
    assert torch.allclose(symexp(symlog(x)), x, rtol=1e-6)
    assert symlog(torch.tensor(1e-8, dtype=torch.float64)) / 1e-8 == pytest.approx(1.0, abs=1e-7)


def test_bins_are_antisymmetric_with_known_ends():
    assert len(BINS) == 255 and BINS[127] == 0
    assert torch.equal(BINS, -BINS.flip(0))
    assert BINS[128].item() == pytest.approx(0.1705577, abs=1e-7)
    assert BINS[254].item() == pytest.approx(485165194.41, rel=1e-7)


def test_an_even_number_of_bins_has_zero_twice():
    bins = symexp_bins(6)
    assert len(bins) == 6 and bins[2] == bins[3] == 0 and torch.equal(bins, -bins.flip(0))
    assert torch.isfinite(TwoHot(torch.zeros(6), bins).nll(torch.tensor(0.0)))


def dense(target: float, bins: torch.Tensor) -> list[float]:
    below, above, share = two_hot(torch.tensor([target]), bins)
    out = torch.zeros(len(bins))
    out[below] += 1 - share
    out[above] += share
    return out.tolist()


@pytest.mark.parametrize(
    ("target", "expected"),
    [(5.5, [0, 0, 0.8, 0.2, 0]), (5, [0, 0, 1, 0, 0]), (-3, [1, 0, 0, 0, 0]), (12, [0, 0, 0, 0, 1])],
)
def test_two_hot_of_evenly_spaced_bins(target, expected):
    assert dense(target, torch.tensor([0, 2.5, 5, 7.5, 10])) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("target", "expected"),
    [(1.0, {131: 0.617329, 132: 0.382671}), (100.0, {156: 0.710529, 157: 0.289471}), (1e9, {254: 1.0})],
)
def test_two_hot_of_the_real_bins(target, expected):
    shares = dense(target, BINS)
    assert {i: x for i, x in enumerate(shares) if x} == pytest.approx(expected, abs=2e-6)


def test_two_hot_keeps_the_mean():
    target = torch.tensor([-1e5, -3.3, 0.0, 0.02, 7.0, 12345.0])
    below, above, share = two_hot(target, BINS)
    assert torch.allclose(BINS[below] * (1 - share) + BINS[above] * share, target, rtol=1e-5)


def test_equal_logits_predict_exactly_zero_and_cost_ln_255():
    dist = TwoHot(torch.zeros(4, 255), BINS)
    assert torch.equal(dist.mean, torch.zeros(4))
    assert dist.nll(torch.tensor([0.0, 1.0, -1e4, 1e12])) == pytest.approx(math.log(255), abs=1e-5)


def test_two_hot_gradient_is_softmax_minus_target():
    logits = torch.randn(3, 255, requires_grad=True)
    target = torch.tensor([0.3, -1e6, 1e12])
    TwoHot(logits, BINS).nll(target).sum().backward()
    expected = logits.detach().softmax(-1) - torch.tensor([dense(float(t), BINS) for t in target])
    assert torch.allclose(logits.grad, expected, atol=1e-6)
    assert (logits.grad.abs().sum(-1) <= 2).all()


@pytest.mark.parametrize(("classes", "floor"), [(4, 2.5e-3), (16, 6.25e-4), (32, 3.125e-4), (64, 1.5625e-4)])
def test_unimix_bounds_every_probability(classes, floor):
    logits = torch.zeros(1, classes)
    logits[0, 0] = 1e4
    dist = IndependentOneHot(logits, 0.01)
    assert dist.probs.min().item() == pytest.approx(floor, rel=1e-5)
    assert dist.probs.max().item() == pytest.approx(0.99 + floor, rel=1e-6)
    assert torch.isfinite(IndependentOneHot(-logits, 0.01).log_probs).all()


@pytest.mark.parametrize(
    ("classes", "most"),
    [(4, 189.57), (16, 233.43), (24, 246.27), (32, 255.38), (48, 268.22), (64, 277.33), (96, 290.18)],
)
def test_largest_possible_kl_of_32_latents(classes, most):
    post, prior = torch.zeros(32, classes), torch.zeros(32, classes)
    post[:, 0], prior[:, 1] = 1e4, 1e4
    assert IndependentOneHot(post, 0.01).kl(IndependentOneHot(prior, 0.01)).item() == pytest.approx(most, abs=0.01)


def test_entropy_of_32_latents_of_32_classes_lies_between_known_bounds():
    sharp = torch.zeros(32, 32)
    sharp[:, 0] = 1e4
    assert IndependentOneHot(sharp, 0.01).entropy().item() == pytest.approx(2.8105, abs=1e-3)
    assert IndependentOneHot(torch.zeros(32, 32), 0.01).entropy().item() == pytest.approx(110.9035, abs=1e-3)


def test_kl_of_two_coins():
    even, biased = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    assert IndependentOneHot(even).kl(IndependentOneHot(biased)).item() == pytest.approx(0.510826, abs=1e-6)


def test_straight_through_is_one_hot_forward_and_the_mixed_softmax_backward():
    part = CategoricalLatent(latents=2, classes=5, estimator=StraightThrough())
    logits = torch.randn(10, dtype=torch.float32)

    def sample(x):
        return part.sample(x, ModeSampler())

    out = sample(logits)
    assert torch.equal(out.sum(-1), torch.ones(2)) and torch.equal(out.max(-1).values, torch.ones(2))
    jacobian = torch.autograd.functional.jacobian(sample, logits)[0, :, :5]
    p = logits[:5].softmax(-1)
    assert torch.allclose(jacobian, 0.99 * (torch.diag(p) - torch.outer(p, p)), atol=1e-6)


def test_bounded_normal_at_zero_and_at_its_bounds():
    def at(s: float) -> BoundedNormal:
        return BoundedNormal(torch.tensor([0.0, s]), 0.1, 1.0)

    assert at(0).mean.item() == 0 and at(0).std.item() == pytest.approx(0.892717, abs=1e-6)
    assert at(0).entropy().item() == pytest.approx(1.305453, abs=1e-5)
    assert at(-99).entropy().item() == pytest.approx(-0.883647, abs=1e-5)
    assert at(99).entropy().item() == pytest.approx(1.418939, abs=1e-5)


def test_bounded_normal_scores_what_it_was_given_unclipped():
    dist = BoundedNormal(torch.zeros(2), 0.1, 1.0)
    expected = torch.distributions.Normal(0.0, dist.std).log_prob(torch.tensor([3.0]))
    assert dist.log_prob(torch.tensor([3.0])).item() == pytest.approx(expected.item(), abs=1e-5)


def test_draws_follow_their_probabilities():
    probs = torch.tensor([0.1, 0.2, 0.7])
    many = probs.expand(20000, 1, 3)
    for sampler in (GeneratorSampler(torch.Generator().manual_seed(0)), UniformSampler(torch.rand(20000, 1))):
        assert torch.allclose(sampler.categorical(many).mean((0, 1)), probs, atol=0.015)
    uniforms = (torch.arange(10000.0).unsqueeze(1) + 0.5) / 10000
    normal = UniformSampler(uniforms).normal(torch.full((10000, 1), 2.0), torch.full((10000, 1), 3.0))
    assert normal.mean().item() == pytest.approx(2, abs=1e-3) and normal.std().item() == pytest.approx(3, abs=0.01)


def test_given_uniforms_at_their_ends_stay_inside():
    ends = torch.tensor([[0.0], [1 - 2**-24]])
    sample = UniformSampler(ends).categorical(torch.tensor([0.0, 0.5, 0.5]).expand(2, 1, 3))
    assert sample.argmax(-1).flatten().tolist() == [1, 2]
    assert torch.isfinite(UniformSampler(ends).normal(torch.zeros(2, 1), torch.ones(2, 1))).all()
