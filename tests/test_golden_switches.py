"""Every alternative of every slot against a number worked out another way."""

from __future__ import annotations

from math import e, log

import pytest
import torch
from pydantic import ValidationError

from agents.dreamer import probe
from agents.dreamer.build import build_modules
from agents.dreamer.config import Config
from agents.dreamer.encoder import TransformedVector
from agents.dreamer.parts.actor import DynamicsBackprop, MixedGradient, Reinforce
from agents.dreamer.parts.critic import SlowRegularizer, SlowTarget
from agents.dreamer.parts.discount import ContinuationDiscount, ExplicitDiscount
from agents.dreamer.parts.gradients import FullGradient, StopGradient
from agents.dreamer.parts.kl import BalancedKl, PlainKl
from agents.dreamer.parts.latent import CategoricalLatent, GaussianLatent, GumbelSoftmax, NoGradient, StraightThrough
from agents.dreamer.parts.layers import Elu, Gelu, LayerNormConfig, NoNorm, RmsNormConfig, Silu
from agents.dreamer.parts.normalize import IdentityNormalizer, MeanStdNormalizer
from agents.dreamer.parts.obs_transform import IdentityTransform, SymlogTransform
from agents.dreamer.parts.optimizer import AdamConfig, GlobalNormClip
from agents.dreamer.parts.replay import AllStarts, LastStarts, RawReward, SignReward, StoredContext, TanhReward, ZeroContext
from agents.dreamer.parts.return_scale import PercentileScale, StdScale, UnitScale
from agents.dreamer.parts.target import HuberTarget, MseTarget, SymexpTwoHotTarget, SymlogMseTarget, SymlogTwoHotTarget
from agents.nn.dists import IndependentOneHot, SquaredVector
from agents.nn.gru import BlockGRU, LayerNormGRU
from agents.nn.launch import to_tensors
from agents.nn.sampler import ModeSampler, UniformSampler
from agents.protocol import Space, Spec

pytestmark = pytest.mark.numeric

VECTORS = Spec({"state": Space((3,), "float32")}, Space((2,), "float32"))
TINY = {
    "deter": 16,
    "hidden": 8,
    "units": 8,
    "depth": 2,
    "core": {"blocks": 4},
    "latent": {"latents": 3, "classes": 4},
    "reward": {"bins": 31},
    "value": {"bins": 31},
    "horizon": 3,
}


class Fake:
    """A distribution whose KLs of two latents to any other are given: (B, T, 2)."""

    def __init__(self, kls: torch.Tensor) -> None:
        self._kls = kls

    def detach(self):
        return self

    def kl_per_latent(self, other):
        return self._kls

    def kl(self, other):
        return self._kls.sum(-1)


# KL.


@pytest.mark.parametrize(
    ("stage", "loss", "clipped"),
    [("step", (1.0 + 3.2) / 2, 0.5), ("batch", (0.4 + 3.2) / 2, 0.0), ("latent", (1 + 1 + 1 + 3) / 2, 0.75)],
)
def test_free_nats_at_every_stage(stage, loss, clipped):
    """Two steps of two latents, .1 + .3 and .2 + 3 nats, with one free nat."""
    kls = torch.tensor([[[0.1, 0.3], [0.2, 3.0]]])
    losses, metrics, _ = BalancedKl(stage=stage).losses(Fake(kls), Fake(kls), None, {})
    assert losses["dyn"].shape == (1, 2) and losses["dyn"].mean().item() == pytest.approx(loss)
    assert metrics["kl/raw"].item() == pytest.approx(1.8) and metrics["kl/clipped_share"].item() == clipped
    assert metrics["kl/max"].item() == pytest.approx(3.2)


def test_a_clipped_batch_has_no_gradient_and_an_unclipped_one_all():
    kls = torch.tensor([[[0.1, 0.1], [0.2, 3.0]]], requires_grad=True)
    for free, slope in ((2.0, 0.0), (1.0, 0.5)):  # of the mean over two steps, whose mean KL is 1.7
        loss = BalancedKl(stage="batch", free_nats=free).losses(Fake(kls), Fake(kls), None, {})[0]["dyn"].mean()
        assert loss.item() == pytest.approx(max(1.7, free))
        assert torch.autograd.grad(loss, kls)[0].flatten().tolist() == [slope] * 4


def test_plain_kl_is_one_term_with_both_gradients():
    post, prior = (torch.tensor([[p]]).log().requires_grad_() for p in ([[0.5, 0.5]], [[0.9, 0.1]]))
    plain, _, _ = PlainKl(free_nats=0).losses(IndependentOneHot(post), IndependentOneHot(prior), None, {})
    split, _, _ = BalancedKl(free_nats=0).losses(IndependentOneHot(post), IndependentOneHot(prior), None, {})
    assert plain["kl"].item() == pytest.approx(0.510826, abs=1e-6) and PlainKl(scale=0.3).weights == {"kl": 0.3}
    both = torch.autograd.grad(plain["kl"].sum(), (post, prior))
    apart = torch.autograd.grad(split["dyn"].sum() + split["rep"].sum(), (post, prior))
    assert all(torch.allclose(x, y, atol=1e-6) and x.abs().max() > 0.1 for x, y in zip(both, apart, strict=True))


# Scales of inputs and targets.


def test_an_unsquashed_vector_arrives_as_it_is():
    x = torch.full((1, 1, 2), 1e6)
    assert TransformedVector(IdentityTransform())(x).tolist() == [[[1e6, 1e6]]]
    assert TransformedVector(SymlogTransform())(x)[0, 0, 0].item() == pytest.approx(log(1 + 1e6))
    prediction = torch.tensor([[[3.0, 0.0]]])
    assert SquaredVector(prediction, IdentityTransform()).nll(torch.tensor([[[1.0, -2.0]]])).item() == 8.0  # 2^2 + 2^2
    squared_error = SquaredVector(prediction, SymlogTransform()).nll(torch.tensor([[[e - 1, 0.0]]]))  # (3 - 1)^2
    assert squared_error.item() == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("part", "output", "target", "mean", "nll"),
    [
        (MseTarget(), 3.0, 1.0, 3.0, 4.0),
        (HuberTarget(), 3.0, 0.0, 3.0, 2.162278),
        (HuberTarget(), 0.0, 1e6, 0.0, 999999.0),
        (SymlogMseTarget(), 0.0, e - 1, 0.0, 1.0),
        (SymlogMseTarget(), 2.0, 0.0, e**2 - 1, 4.0),
    ],
)
def test_scalars_of_one_output(part, output, target, mean, nll):
    dist = part.readout()(torch.tensor([[output]]))
    assert part.outputs == 1 and part.outscale == 0.0
    assert dist.mean.item() == pytest.approx(mean, rel=1e-6) and dist.nll(torch.tensor([target])).item() == pytest.approx(nll)


def test_the_mean_of_two_bins_before_or_after_symexp():
    """Half the probability on zero, half one bin above: symexp(.157480 / 2), or half of symexp(.157480) = .170558."""
    logits = torch.full((1, 255), -1e9)
    logits[0, 127:129] = 0.0
    assert SymlogTwoHotTarget().readout()(logits).mean.item() == pytest.approx(e ** (20 / 127 / 2) - 1, abs=1e-6)
    assert SymexpTwoHotTarget().readout()(logits).mean.item() == pytest.approx(0.170558 / 2, abs=1e-6)


def test_symlog_two_hot_of_one():
    """ln 2 = .693147 lies 4.401484 bins of .157480 above the centre."""
    logits = torch.zeros(1, 255)
    logits[0, 131] = 2.0
    share = log(2) / (20 / 127) - 4
    expected = torch.logsumexp(logits, -1).item() - 2.0 * (1 - share)
    assert share == pytest.approx(0.401484, abs=1e-6)
    assert SymlogTwoHotTarget().readout()(logits).nll(torch.ones(1)).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("part", [HuberTarget(), MseTarget(), SymlogMseTarget(), SymlogTwoHotTarget(), SymexpTwoHotTarget()])
def test_every_head_predicts_zero_at_first_and_not_with_outscale_one(part):
    for outscale, zero in ((0.0, True), (1.0, False)):
        head = {"kind": part.kind, "outscale": outscale}
        world, _ = build_modules(Config(**TINY | {"reward": head}), VECTORS)
        assert (world.reward(torch.ones(1, 28)).mean.item() == 0.0) == zero


def test_a_two_hot_mean_carries_a_gradient():
    logits = torch.randn(1, 255).mul(0.01).requires_grad_()
    dist = SymexpTwoHotTarget().readout()(logits)
    grad = torch.autograd.grad(dist.mean.sum(), logits)[0]
    probs = logits.softmax(-1)
    assert torch.allclose(grad, probs * (dist.bins - dist.mean), rtol=1e-3, atol=10)


# Normalisers.


@pytest.mark.parametrize(
    ("part", "scale"),
    [
        (PercentileScale(rate=1), 90.0),
        (PercentileScale(rate=1, low=0, high=100), 100.0),
        (StdScale(rate=1), 29.154759),
        (UnitScale(), 1.0),
    ],
)
def test_scales_of_the_numbers_from_0_to_100(part, scale):
    state = part.update(part.state(), torch.arange(101.0))
    assert part.scale(state).item() == pytest.approx(scale, rel=1e-6)  # sqrt((101^2 - 1) / 12) = 29.154759


def test_without_a_limit_small_returns_are_scaled_up():
    part = PercentileScale(rate=1, limit=1e-8)
    assert part.scale(part.update(part.state(), torch.linspace(0, 0.5, 101))).item() == pytest.approx(0.45)


def test_moments_are_debiased():
    """At rate .5: averages of 0 and then 2 with weights .25 and .5 of .75 seen: mean 4/3, square 8/3, std .942809."""
    part = MeanStdNormalizer(rate=0.5)
    state = part.update(part.update(part.state(), torch.zeros(3)), torch.full((3,), 2.0))
    mean, std = part.mean_and_std(state)
    assert (mean.item(), std.item()) == pytest.approx((4 / 3, 0.942809), abs=1e-6)
    assert part.normalize(state, torch.tensor(2.0)).item() == pytest.approx((2 - 4 / 3) / 0.942809, abs=1e-5)
    assert part.denormalize(state, part.normalize(state, torch.tensor(7.0))).item() == pytest.approx(7.0, abs=1e-5)
    assert IdentityNormalizer().normalize({}, torch.tensor(7.0)).item() == 7.0


# Critic and horizon.


class Nll:
    def nll(self, target):
        return target


def test_what_the_slow_critic_is_for():
    value, slow, target = (torch.tensor([x]) for x in (1.0, 2.0, 10.0))
    assert SlowRegularizer().baseline(value, slow).item() == 1.0 and SlowTarget().baseline(value, slow).item() == 2.0
    assert SlowRegularizer().loss(Nll(), target, slow).item() == 12.0  # the return and the slow copy
    assert SlowRegularizer(weight=0).loss(Nll(), target, slow).item() == SlowTarget().loss(Nll(), target, slow).item() == 10.0


def test_an_explicit_discount_is_multiplied_on_and_missing_in_the_first_weight():
    part, perfect = ExplicitDiscount(steps=10), torch.ones(4, 1)
    assert part.continue_target(torch.tensor([False, True])).tolist() == [1.0, 0.0]
    assert part.step_discount(perfect)[0].item() == pytest.approx(0.9)
    assert part.trajectory_weight(perfect)[:, 0].tolist() == pytest.approx([1, 0.9, 0.81, 0.729])
    assert ContinuationDiscount(steps=10).trajectory_weight(perfect * 0.9)[:, 0].tolist() == pytest.approx(
        [0.9, 0.81, 0.729, 0.6561]
    )


# Layers and cores.


@pytest.mark.parametrize(("part", "at_minus_one", "at_one"), [
    (Silu(), -0.268941, 0.731059), (Elu(), -0.632121, 1.0), (Gelu(), -0.158655, 0.841345),
])  # fmt: skip
def test_activations(part, at_minus_one, at_one):
    assert part(torch.tensor([-1.0, 1.0])).tolist() == pytest.approx([at_minus_one, at_one], abs=1e-6)


@pytest.mark.parametrize(
    ("part", "expected"),
    [(RmsNormConfig(eps=1), (6**-0.5, 3 * 6**-0.5)), (LayerNormConfig(eps=1), (-(2**-0.5), 2**-0.5)), (NoNorm(), (1.0, 3.0))],
)
def test_norms_of_one_and_three(part, expected):
    """Mean square 5; mean 2, variance 1."""
    assert part.build(2)(torch.tensor([[1.0, 3.0]]))[0].tolist() == pytest.approx(expected, abs=1e-6)


def core(kind, **options):
    sizes = {"deter": 8, "stoch": 6, "actions": 2, "hidden": 4, "norm": RmsNormConfig().build, "act": Silu()}
    return kind(**sizes, **options)


def test_a_closed_layer_norm_gru_forgets_slowly():
    """With zero gates the candidate is tanh(.5 * 0) = 0 and the update gate sigmoid(-1) = .268941."""
    gru = core(LayerNormGRU, eps=1e-3)
    gru.gates.weight.data.zero_()
    deter = torch.randn(3, 8)
    after = gru.step_fn()(deter, torch.zeros(3, 6), gru.action_input(torch.zeros(3, 2)))
    assert torch.allclose(after, deter * (1 - 0.268941), atol=1e-6)


def test_a_layer_norm_gru_reads_sample_action_and_itself():
    gru, args = core(LayerNormGRU, eps=1e-3), [torch.randn(1, n, requires_grad=True) for n in (8, 6, 2)]
    after = gru.step_fn()(args[0], args[1], gru.action_input(args[2]))
    hidden = gru.inputs(torch.cat([args[1], args[2] / args[2].abs().clamp(min=1)], -1))
    gates = gru.gates_norm(gru.gates(torch.cat([args[0], hidden], -1)))
    r, c, u = gates.split(8, -1)
    u = torch.sigmoid(u - 1)
    assert torch.allclose(after, u * torch.tanh(torch.sigmoid(r) * c) + (1 - u) * args[0], atol=1e-6)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(after.sum(), args))


@pytest.mark.parametrize(("blocks", "weights"), [(1, 8 * (8 + 12) + 8 * 24), (4, 8 * (2 + 12) + 2 * 24)])
def test_one_block_is_a_dense_gru(blocks, weights):
    gru = core(BlockGRU, blocks=blocks)
    assert gru.hidden.weight.numel() + gru.gates.weight.numel() == weights


# Latents.


def test_a_gaussian_latent():
    part = GaussianLatent(latents=2)
    one, other = part.distribution(torch.zeros(1, 4)), part.distribution(torch.tensor([[1.0, 0, 0, 0]]))
    assert one.std.flatten().tolist() == pytest.approx([1.1, 1.1])  # 2 sigmoid(0) + .1
    assert one.kl(other).item() == pytest.approx(1 / (2 * 1.1**2)) and one.kl_per_latent(other)[0].tolist()[1] == 0
    assert one.entropy().item() == pytest.approx(2 * (1.418939 + log(1.1)), abs=1e-5)
    reference = torch.distributions.Normal(torch.tensor(0.3), torch.tensor(0.5))
    raw = torch.tensor([[0.3, 0.3, -2.7725887, -2.7725887]])  # 2 sigmoid(-2.77.. / 2) = .4
    expected = torch.distributions.kl_divergence(reference, torch.distributions.Normal(torch.tensor(0.0), torch.tensor(1.1)))
    assert part.distribution(raw).kl(one).item() == pytest.approx(2 * expected.item(), abs=1e-5)


def test_a_gaussian_latent_travels_as_bfloat16_and_passes_gradients():
    part, raw = GaussianLatent(latents=3), torch.randn(5, 6, requires_grad=True)
    sample = part.sample(raw, ModeSampler())
    assert sample.shape == (5, 3, 1) and torch.autograd.grad(sample.sum(), raw)[0].abs().min() > 0
    assert torch.equal(part.unpack(part.pack(sample)), sample.bfloat16().float())


@pytest.mark.parametrize(
    ("estimator", "slope"),
    [(StraightThrough(), 0.16), (NoGradient(), None), (GumbelSoftmax(), 0.16), (GumbelSoftmax(temperature=0.5), 0.110727)],
)
def test_gradients_of_a_sample(estimator, slope):
    """p = (.8, .2): p (1 - p) = .16; at temperature .5 p^2 / (.8^2 + .2^2) = .941176, times (1 - .941176) / .5."""
    logits = torch.tensor([[[log(4.0), 0.0]]], requires_grad=True)
    part = CategoricalLatent(latents=1, classes=2, unimix=0.0, estimator=estimator)
    sample = part.sample(logits.flatten(-2), ModeSampler())  # equal noise for both classes
    assert sample.flatten().tolist() == [1.0, 0.0] and part.differentiable == (slope is not None)
    if slope is None:
        assert not sample.requires_grad
    else:
        assert torch.autograd.grad(sample[..., 0].sum(), logits)[0][0, 0, 0].item() == pytest.approx(slope, abs=1e-5)


def test_gumbel_noise_draws_classes_by_their_probability():
    part = CategoricalLatent(latents=1, classes=2, unimix=0.0, estimator=GumbelSoftmax())
    assert part.num_uniforms == 2
    uniforms = torch.rand(20000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    uniforms[:2] = torch.tensor([[0.0, 0.0], [1.0, 1.0]]) * (1 - 1e-12)  # float32 rounds the second to one
    sample = part.sample(torch.tensor([[log(4.0), 0.0]]).expand(20000, 2), UniformSampler(uniforms))
    assert sample.isfinite().all() and sample[:, 0, 0].mean().item() == pytest.approx(0.8, abs=0.01)


# Actor.


def test_objectives_of_the_actor():
    logp, advantage = torch.tensor(-2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    grads = {}
    for part, value in ((Reinforce(), -6.0), (DynamicsBackprop(), 3.0), (MixedGradient(share=0.25), 0.25 * -6 + 0.75 * 3)):
        objective = part.objective(logp, advantage)
        assert objective.item() == value
        slopes = torch.autograd.grad(objective, (logp, advantage), allow_unused=True)
        grads[part.kind] = [0.0 if g is None else g.item() for g in slopes]
    assert grads == {"reinforce": [3.0, 0.0], "dynamics": [0.0, 1.0], "mix": [0.75, 0.75]}


def differentiable():
    """An agent whose imagination is a smooth function of the actor: Gaussian latents, fixed samples, constant weights."""
    heads = {"kind": "mse", "outscale": 1.0}
    changes = {"latent": {"kind": "gaussian", "latents": 3}, "reward": heads, "value": heads}
    changes |= {"actor_grad": {"kind": "dynamics"}, "return_scale": {"kind": "none"}}
    actor = {"entropy": 0.0, "outscale": 1.0, "min_std": 0.05, "max_std": 0.1}  # inside [-1, 1], where no action is scaled
    config = Config(**TINY | changes | {"actor": actor, "horizon": 1})  # later actions do not look back at the first one
    agent = config.build(VECTORS, seed=0)
    agent.world.cont.output.weight.data.zero_()
    return agent, agent.prepare_batch(to_tensors(probe.replayed_batch(agent, VECTORS)))


def test_the_gradient_through_the_dynamics_is_a_finite_difference():
    agent, (start, data) = differentiable()
    bias = agent.behavior.actor.output.first.bias

    def policy_loss(shift):
        with torch.no_grad():
            bias[1] += shift
            loss = agent.loss(start, data, ModeSampler()).losses["policy"].double().mean().item()
            bias[1] -= shift
        return loss

    loss = agent.loss(start, data, ModeSampler()).losses["policy"].mean()
    slope = torch.autograd.grad(loss, bias)[0][1].item()
    assert abs(slope) > 0.01 and (policy_loss(2e-3) - policy_loss(-2e-3)) / 4e-3 == pytest.approx(slope, rel=0.01)


@pytest.mark.parametrize("kind", ["reinforce", "dynamics", "mix"])
def test_the_policy_s_loss_trains_the_actor_alone(kind):
    config = Config(**TINY | {"actor_grad": {"kind": kind}, "reward": {"bins": 31, "outscale": 1.0}})
    agent = config.build(VECTORS, seed=0)
    start, data = agent.prepare_batch(to_tensors(probe.replayed_batch(agent, VECTORS)))
    agent.optimizer.zero_grad()
    agent.loss(start, data, ModeSampler()).losses["policy"].mean().backward()
    networks = {name.split(".")[0] for name, p in agent.behavior.named_parameters() if p.grad is not None and p.grad.any()}
    assert networks == {"actor"} and not any(p.grad.any() for p in agent.world.parameters())
    assert all(p.requires_grad for p in agent.world.parameters())


# Gradients into the representation, the replay, the optimiser.


def test_a_stopped_gradient_ends_at_the_features():
    feat = torch.ones(2, requires_grad=True)
    stopped = StopGradient()(feat)
    assert FullGradient()(feat).requires_grad and not stopped.requires_grad and torch.equal(stopped, feat)


@pytest.mark.parametrize(
    ("switch", "loss"), [("recon_grad", "recon_state"), ("reward_grad", "reward"), ("repval_grad", "replay_value")]
)
def test_a_stopped_head_does_not_reach_the_encoder(switch, loss):
    heads = {"reward": {"bins": 31, "outscale": 1.0}, "value": {"bins": 31, "outscale": 1.0}}
    for kind, reaches in (("through", True), ("stop", False)):
        agent = Config(**TINY | heads | {switch: {"kind": kind}}).build(VECTORS, seed=0)
        agent.optimizer.zero_grad()
        start, data = agent.prepare_batch(to_tensors(probe.replayed_batch(agent, VECTORS)))
        agent.loss(start, data, ModeSampler()).losses[loss].mean().backward()
        assert any(p.grad.any() for p in agent.world.encoder.parameters()) == reaches


def test_rewards_and_starts_and_contexts():
    reward, states, first = torch.tensor([-3.0, 0.0, 1.0]), torch.arange(6).view(1, 6), torch.zeros(2, 3, dtype=torch.bool)
    assert TanhReward()(reward).tolist() == pytest.approx([-0.995055, 0, 0.761594], abs=1e-6)
    assert SignReward()(reward).tolist() == [-1, 0, 1] and RawReward()(reward) is reward
    assert LastStarts(count=2).select(states).tolist() == [[4, 5]] and AllStarts().select(states) is states
    assert (
        ZeroContext().reset_mask(first).tolist() == [[True, False, False]] * 2
        and not first.any()
        and StoredContext().reset_mask(first) is first
    )


def test_without_a_context_nothing_before_the_sequence_matters():
    for kind, matters in (("stored", True), ("zeros", False)):
        agent = Config(**TINY | {"replay_context": {"kind": kind}}).build(VECTORS, seed=0)
        batch, deters = probe.replayed_batch(agent, VECTORS), []
        for action in (0.9, -0.9):
            batch["action"][:, 0] = action
            batch["stoch"][:, 0] = action > 0
            deters.append(agent.loss(*agent.prepare_batch(to_tensors(batch)), ModeSampler()).latents.deter)
        assert torch.equal(*deters) != matters


def test_without_a_decoder_there_is_neither_loss_nor_weight():
    agent = Config(**TINY | {"reconstruction": {"kind": "none"}}).build(VECTORS, seed=0)
    result = agent.loss(*agent.prepare_batch(to_tensors(probe.replayed_batch(agent, VECTORS))), ModeSampler())
    assert not [name for name in result.losses if name.startswith("recon")] and not list(agent.world.decoder.parameters())


def test_adam_divides_after_the_momentum_and_has_a_rate_for_each_network():
    """Gradients 1 and 10 at rate 1e-3: the second step is 8.0709e-4 (LaProp: 1.21413e-3)."""
    weights = {n: torch.nn.Parameter(torch.zeros(1)) for n in ("world.x", "behavior.actor.x", "behavior.critic.x")}
    adam = AdamConfig(lr=1e-3, actor=0.5, critic=0.25, clip=GlobalNormClip(limit=1e9)).build(weights)
    steps = []
    for grad in (1.0, 10.0):
        before = [p.item() for p in weights.values()]
        adam.zero_grad()
        for p in weights.values():
            p.grad.fill_(grad)
        adam.step(torch.tensor(0.0))
        steps.append([b - p.item() for b, p in zip(before, weights.values(), strict=True)])
    assert steps[0] == pytest.approx([1e-3, 5e-4, 2.5e-4], rel=1e-5)
    assert steps[1] == pytest.approx([8.0709e-4, 4.03545e-4, 2.01773e-4], rel=1e-4)


@pytest.mark.parametrize(("limit", "factor"), [(1.0, 0.2), (5.0, 1.0), (100.0, 1.0)])
def test_one_norm_for_all_gradients(limit, factor):
    factors = GlobalNormClip(limit=limit).gradient_factors(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0]))
    assert factors.tolist() == pytest.approx([factor, factor])


# What does not go together.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actor_grad": {"kind": "dynamics"}, "latent": {"estimator": {"kind": "none"}}}, "use straight_through or gumbel"),
        ({"actor_grad": {"kind": "mix"}, "latent": {"estimator": {"kind": "none"}}}, "actor_grad 'mix' differentiates"),
        ({"recon_grad": {"kind": "stop"}, "reconstruction": {"kind": "none"}}, "has no decoder"),
        ({"latent": {"kind": "gaussian", "unimix": 0.0}}, "unimix"),
        ({"starts": {"kind": "last", "count": 1}}, "greater than or equal to 2"),
        ({"kl": {"kind": "plain", "dyn": 1.0}}, "dyn"),
    ],
)
def test_incompatible_choices_explain_themselves(changes, message):
    with pytest.raises(ValidationError, match=message):
        Config(**changes)
