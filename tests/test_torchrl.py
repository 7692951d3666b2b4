"""Two implementations side by side on random tensors: ours, and torch.distributions, numpy or torchrl.

Those marked `oracle` need torchrl, which is no dependency: `make oracle` installs it apart and runs them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import distributions as td

from agents.dreamer.parts.kl import BalancedKl
from agents.dreamer.parts.return_scale import PercentileScale
from agents.dreamer.returns import lambda_return, replay_return
from agents.nn.dists import DiagonalNormal, IndependentOneHot, TwoHot, symexp_bins, two_hot
from agents.nn.functional import symexp, symlog

SEEDS = range(3)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}  # float32, sums of up to 255 terms


@pytest.fixture
def objectives():
    from torchrl import objectives

    return objectives


def random(seed, *shape, scale=3.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def gradients(loss, *inputs):
    return torch.autograd.grad(loss, inputs, allow_unused=True)


def same(ours, theirs, **tolerance):
    torch.testing.assert_close(ours, theirs, **(TOLERANCE | tolerance))


# torch.distributions and numpy.


@pytest.mark.parametrize("unimix", [0.0, 0.01])
@pytest.mark.parametrize("seed", SEEDS)
def test_categorical_kl_and_entropy_are_torch_s(seed, unimix):
    post, prior = (random(seed + k, 4, 5, 8, 16) for k in (0, 100))
    ours, theirs = ([make(x, unimix) for x in (post, prior)] for make in (IndependentOneHot, mixed))
    same(ours[0].kl(ours[1]), td.kl_divergence(*theirs))
    same(ours[0].entropy(), theirs[0].entropy())


def mixed(logits, unimix):
    """Given as logarithms: of probabilities, torch raises every one below 1.2e-7 to that."""
    logs = logits.log_softmax(-1) if not unimix else ((1 - unimix) * logits.softmax(-1) + unimix / logits.shape[-1]).log()
    return td.Independent(td.OneHotCategorical(logits=logs), 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_normal_kl_and_entropy_are_torch_s(seed):
    ours = [DiagonalNormal(random(seed + k, 4, 5, 16), 0.1) for k in (0, 100)]
    theirs = [td.Independent(td.Normal(dist.mean.squeeze(-1), dist.std.squeeze(-1)), 1) for dist in ours]
    same(ours[0].kl(ours[1]), td.kl_divergence(*theirs))
    same(ours[0].entropy(), theirs[0].entropy())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_percentile_average_is_numpy_s(seed):
    part, low, high = PercentileScale(), 0.0, 0.0
    state = part.state()
    for step in range(20):
        returns = random(1000 * seed + step, 15, 64, scale=10.0)
        state = part.update(state, returns)
        at = np.percentile(returns.numpy().astype(np.float64), [5, 95])
        low, high = 0.99 * low + 0.01 * at[0], 0.99 * high + 0.01 * at[1]
        assert part.scale(state).item() == pytest.approx(max(1.0, high - low), rel=1e-5)


# torchrl.


@pytest.mark.oracle
@pytest.mark.parametrize("free", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("unimix", [0.0, 0.01])
@pytest.mark.parametrize("seed", SEEDS)
def test_both_kl_terms_and_their_gradients(objectives, seed, unimix, free):
    post, prior = (random(seed + k, 4, 5, 8, 16, scale=1.0).requires_grad_() for k in (0, 100))
    losses = BalancedKl(free_nats=free).losses(IndependentOneHot(post, unimix), IndependentOneHot(prior, unimix), None, {})[0]
    theirs = objectives.categorical_kl_terms(post, prior, free_nats=free, unimix=unimix)
    for ours, other in zip((losses["dyn"].mean(), losses["rep"].mean()), theirs, strict=True):
        same(ours, other)
        for one, two in zip(gradients(ours, post, prior), gradients(other, post, prior), strict=True):
            assert (one is None) == (two is None)
            if one is not None:
                same(one, two)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", SEEDS)
def test_the_kl_that_is_clipped_per_latent(objectives, seed):
    """Their balanced KL averages over the latents where ours sums."""
    post, prior = (random(seed + k, 4, 5, 8, 16, scale=1.0) for k in (0, 100))
    losses = BalancedKl(stage="latent", free_nats=0.7).losses(IndependentOneHot(post), IndependentOneHot(prior), None, {})[0]
    ours = 0.8 * losses["dyn"].mean() + 0.2 * losses["rep"].mean()
    same(ours / 8, objectives.categorical_kl_balanced(post, prior, alpha=0.8, free_bits=0.7))


@pytest.mark.oracle
def test_symlog_and_symexp():
    from torchrl.modules import functional

    x = torch.cat([torch.zeros(1), random(0, 1000), random(1, 1000, scale=1e6)])
    same(symlog(x), functional.symlog(x))
    same(symexp(symlog(x)), functional.symexp(functional.symlog(x)))


@pytest.mark.oracle
@pytest.mark.parametrize("count", [5, 63, 255])
def test_bins(count):
    from torchrl.modules import SymExpTwoHot

    same(symexp_bins(count), SymExpTwoHot(count).bins)


@pytest.mark.oracle
def test_an_even_number_of_bins_is_another_grid():
    """Ours has zero twice, as the official code; theirs spaces all bins evenly and has no zero."""
    from torchrl.modules import SymExpTwoHot

    ours, theirs = symexp_bins(6), SymExpTwoHot(6).bins
    assert (ours == 0).sum() == 2 and (theirs == 0).sum() == 0
    assert ours[0] == theirs[0] and ours[-1] == theirs[-1]


@pytest.mark.oracle
@pytest.mark.parametrize("scale", [0.5, 100.0, 1e6])
@pytest.mark.parametrize("seed", SEEDS)
def test_two_hot_targets_means_and_losses(objectives, seed, scale):
    bins, logits = symexp_bins(255), random(seed, 64, 255).requires_grad_()
    target = torch.cat([random(seed + 100, 61, scale=scale), torch.tensor([0.0, 1e9, -1e9])])  # beyond the last bins too
    below, above, share = two_hot(target, bins)
    dense = torch.zeros(64, 255).scatter_add_(1, below[:, None], (1 - share)[:, None])
    dense = dense.scatter_add_(1, above[:, None], share[:, None])
    same(dense, objectives.two_hot_encode(target, bins))
    same(TwoHot(logits, bins).mean, objectives.two_hot_decode(logits, bins))
    ours, theirs = TwoHot(logits, bins).nll(target), objectives.two_hot_cross_entropy(logits, target, bins)
    same(ours, theirs)
    same(gradients(ours.sum(), logits)[0], gradients(theirs.sum(), logits)[0])


@pytest.mark.oracle
@pytest.mark.parametrize("seed", SEEDS)
def test_the_percentile_average(seed):
    from torchrl.modules.value_norm import PercentileValueNorm

    part, theirs = PercentileScale(), PercentileValueNorm(rate=0.01, quantiles=(0.05, 0.95))
    state = part.state()
    for step in range(20):
        returns = random(1000 * seed + step, 15, 64, scale=10.0)
        state = part.update(state, returns)
        theirs.update(returns.unsqueeze(-1))
        same(part.scale(state), theirs.scale().squeeze())


@pytest.mark.oracle
@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_lambda_returns_of_imagination(seed, lam):
    """Their reward and value of the next state are ours of arrival: time shifts by one, and the discount is per step."""
    from torchrl.objectives.value.functional import td_lambda_return_estimate

    reward, value = random(seed, 16, 32), random(seed + 100, 16, 32)
    live = torch.sigmoid(random(seed + 200, 16, 32)) * (1 - 1 / 333)
    later = [x[1:].T.unsqueeze(-1) for x in (reward, live, value)]
    never = torch.zeros_like(later[0], dtype=torch.bool)
    theirs = td_lambda_return_estimate(later[1], lam, later[2], later[0], never, never)
    same(lambda_return(reward, live, value, lam), theirs.squeeze(-1).T)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", SEEDS)
def test_lambda_returns_of_replay(seed):
    from torchrl.objectives.value.functional import td_lambda_return_estimate, vec_td_lambda_return_estimate

    reward, boot = random(seed, 8, 40), random(seed + 100, 8, 40)
    last = random(seed + 200, 8, 40) > 4
    terminal = last & (random(seed + 300, 8, 40) > 0)
    assert last.any() and terminal.any() and (last & ~terminal).any()
    ours = replay_return(reward, last, terminal, boot, 1 - 1 / 333, 0.95)
    later = [x[:, 1:].unsqueeze(-1) for x in (boot, reward, last, terminal)]
    for estimate in (td_lambda_return_estimate, vec_td_lambda_return_estimate):
        same(ours, estimate(1 - 1 / 333, 0.95, *later).squeeze(-1), rtol=1e-4, atol=1e-4)
