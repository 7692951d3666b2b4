"""KL, returns, horizon, return scale and slow critic against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from agents.dreamer.parts.critic import SlowRegularizer
from agents.dreamer.parts.discount import ContinuationDiscount
from agents.dreamer.parts.kl import BalancedKl
from agents.dreamer.parts.return_scale import PercentileScale
from agents.dreamer.returns import lambda_return, replay_return
from agents.nn.dists import Bernoulli, IndependentOneHot

pytestmark = pytest.mark.numeric

G = 1 - 1 / 333


class Fake:
    """A distribution whose KL to any other is given."""

    def __init__(self, kl: torch.Tensor) -> None:
        self._kl = kl

    def detach(self):
        return self

    def kl(self, other):
        return self._kl


def test_free_nats_are_per_step_not_per_batch():
    kl = torch.tensor([[0.2, 3.0]])
    losses, metrics, _ = BalancedKl().losses(Fake(kl), Fake(kl), None, {})
    assert losses["dyn"].mean().item() == pytest.approx(2.0)  # the batch's average 1.6 would be left alone
    assert metrics["kl/raw"].item() == pytest.approx(1.6) and metrics["kl/clipped_share"].item() == 0.5


@pytest.mark.parametrize(("kl", "loss", "slope"), [(0.7, 1.0, 0.0), (1.3, 1.3, 1.0)])
def test_below_the_free_nats_there_is_no_gradient(kl, loss, slope):
    x = torch.tensor([[kl]], requires_grad=True)
    dyn = BalancedKl().losses(Fake(x), Fake(x), None, {})[0]["dyn"]
    dyn.sum().backward()
    assert dyn.item() == pytest.approx(loss) and x.grad.item() == slope


def test_each_kl_term_moves_one_side_and_their_sum_is_the_plain_kl():
    post, prior = (torch.randn(2, 3, 4, 5, requires_grad=True) for _ in range(2))

    def grads(loss):
        return torch.autograd.grad(loss.sum(), (post, prior), retain_graph=True, allow_unused=True)

    dists = IndependentOneHot(post, 0.01), IndependentOneHot(prior, 0.01)
    losses, _, _ = BalancedKl(free_nats=0).losses(*dists, None, {})
    dyn, rep, plain = grads(losses["dyn"]), grads(losses["rep"]), grads(dists[0].kl(dists[1]))
    assert dyn[0] is None and rep[1] is None
    assert torch.allclose(rep[0], plain[0], atol=1e-6) and torch.allclose(dyn[1], plain[1], atol=1e-6)


def returns(reward: float, live: float, value: float, lam: float, steps: int = 15) -> torch.Tensor:
    full = torch.ones(steps + 1, 1, dtype=torch.float64)
    return lambda_return(full * reward, full * live, full * value, lam)[:, 0]


def test_lambda_return_of_constant_reward_is_a_geometric_sum():
    assert returns(1, G, 0, 0.95)[0].item() == pytest.approx((1 - (G * 0.95) ** 15) / (1 - G * 0.95))
    assert returns(1, G, 0, 0.95)[0].item() == pytest.approx(10.541431, abs=1e-6)


def test_lambda_return_has_the_fixed_point_of_the_horizon():
    assert torch.allclose(returns(1, G, 333, 0.95), torch.full((15,), 333.0, dtype=torch.float64))


def test_lambda_one_is_monte_carlo_and_lambda_zero_one_step():
    assert returns(1, G, 10, 1)[0].item() == pytest.approx(24.247648, abs=1e-6)
    assert torch.allclose(returns(1, G, 10, 0), torch.full((15,), 1 + G * 10, dtype=torch.float64))


def test_lambda_return_reads_the_reward_of_arrival_and_the_next_value():
    reward, live, value = torch.tensor([5.0, 1, 2]), torch.tensor([0.1, 0.5, 0.25]), torch.tensor([7.0, 8, 16])
    # R_1 = 2 + .25 * 16 = 6;  R_0 = 1 + .5 (.5 * 8 + .5 * 6) = 4.5; index 0 of all three is never read.
    assert lambda_return(reward, live, value, 0.5).tolist() == [4.5, 6.0]


@pytest.mark.parametrize(("terminal", "expected"), [(True, [1.9375, 1.75, 1, 9]), (False, [2, 2, 2, 9])])
def test_replay_return_stops_at_the_last_step(terminal, expected):
    reward = torch.tensor([[9.0, 1, 1, 1, 7]])
    boot = torch.tensor([[100.0, 2, 2, 2, 4]])
    last = torch.tensor([[False, False, False, True, False]])
    assert replay_return(reward, last, last & terminal, boot, 0.5, 0.5).tolist() == [expected]


def test_weights_of_a_perfect_continue_head():
    weight = ContinuationDiscount().trajectory_weight(torch.full((16, 1), G))
    assert torch.allclose(weight[:, 0], G ** torch.arange(1.0, 17.0))


def test_continue_target_and_its_least_cross_entropy():
    target = ContinuationDiscount().continue_target(torch.tensor([False, True]))
    assert target.tolist() == pytest.approx([0.996997, 0.0], abs=1e-6)
    logit = torch.log(target[0] / (1 - target[0]))
    assert Bernoulli(logit.view(1, 1)).nll(target[:1]).item() == pytest.approx(0.0204404, abs=1e-6)


@pytest.mark.parametrize(("updates", "expected"), [(1, 1.0), (2, 1.99), (69, 50.016), (100, 63.397), (459, 99.008)])
def test_return_range_grows_undebiased(updates, expected):
    part = PercentileScale(low=0, high=100)
    state = part.state()
    for _ in range(updates):
        state = part.update(state, torch.tensor([0.0, 100.0]))
    assert part.scale(state).item() == pytest.approx(max(1, expected), abs=2e-3)


@pytest.mark.parametrize(("count", "expected"), [(101, (5, 95)), (5, (0.2, 3.8))])
def test_percentiles_interpolate(count, expected):
    part = PercentileScale(rate=1)
    state = part.update(part.state(), torch.arange(float(count)).view(1, -1))
    assert (state["low"].item(), state["high"].item()) == pytest.approx(expected, abs=1e-5)


def test_small_returns_are_not_scaled_up():
    part = PercentileScale(rate=1)
    assert part.scale(part.update(part.state(), torch.linspace(0, 0.5, 100))).item() == 1.0


def test_slow_critic_forgets_geometrically():
    slow, part = [torch.zeros(3, dtype=torch.float64)], SlowRegularizer()
    for _ in range(50):
        part.update_slow_weights(slow, [torch.ones(3, dtype=torch.float64)], torch.tensor(True))
    assert slow[0].tolist() == pytest.approx([1 - 0.98**50] * 3, rel=1e-5)
    before = slow[0].clone()
    part.update_slow_weights(slow, [torch.ones(3, dtype=torch.float64)], torch.tensor(False))
    assert torch.equal(slow[0], before)
