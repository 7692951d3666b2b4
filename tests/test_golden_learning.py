"""What flows where while learning: alignment, resets, isolation of gradients, the recurrent cell's algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agents.dreamer.config import Config
from agents.dreamer.parts.layers import RmsNormConfig, Silu
from agents.dreamer.rssm import Latents
from agents.nn.conv import UpConv
from agents.nn.gru import BlockGRU
from agents.nn.launch import to_tensors
from agents.nn.layers import MLP, BlockLinear, Linear, RMSNorm
from agents.nn.sampler import ModeSampler
from agents.protocol import Space, Spec

pytestmark = pytest.mark.numeric

B, T = 2, 6
SPEC = Spec({"state": Space((3,), "float32")}, Space((), "int32", 4))
TINY = {
    "deter": 16,
    "hidden": 8,
    "units": 8,
    "depth": 2,
    "core": {"blocks": 4},
    "latent": {"latents": 3, "classes": 4},
    "reward": {"bins": 31, "outscale": 1.0},
    "value": {"bins": 31, "outscale": 1.0},
    "actor": {"outscale": 1.0},
    "optimizer": {"lr": 1e-2, "warmup": 0},
}


def tiny(spec: Spec = SPEC, **changes):
    return Config(**(TINY | changes)).build(spec, seed=3)


def sequence(agent, seed: int = 0):
    """A start and a sequence without episode ends, for `loss`."""
    g = torch.Generator().manual_seed(seed)
    start = Latents(torch.rand(B, 16, generator=g), F.one_hot(torch.randint(4, (B, 3), generator=g), 4).float())
    data = {key: torch.zeros(B, T, dtype=torch.bool) for key in ("is_first", "is_last", "is_terminal")}
    data["obs"] = {"state": torch.randn(B, T, 3, generator=g)}
    data["reward"] = torch.randn(B, T, generator=g)
    data["prev_action"] = agent._action_codec.encode(torch.randint(4, (B, T), generator=g))
    return start, data


def changed_steps(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    """Time steps at which anything of the first row differs."""
    return [t for t in range(before.shape[1]) if not torch.equal(before[0, t], after[0, t])]


# Alignment.


@pytest.mark.parametrize(("key", "loss"), [("reward", "reward"), ("is_terminal", "cont")])
def test_a_target_changes_the_loss_of_its_own_step_only(key, loss):
    agent = tiny()
    start, data = sequence(agent)
    before = agent.loss(start, data, ModeSampler()).losses[loss]
    data[key][0, 3] = 1
    assert changed_steps(before, agent.loss(start, data, ModeSampler()).losses[loss]) == [3]


def test_the_previous_action_enters_at_its_step_and_stays():
    agent = tiny()
    start, data = sequence(agent)
    before = agent.loss(start, data, ModeSampler()).latents.deter
    data["prev_action"][0, 3] = data["prev_action"][0, 3].roll(1)
    assert changed_steps(before, agent.loss(start, data, ModeSampler()).latents.deter) == [3, 4, 5]


def test_an_observation_moves_the_sample_of_its_step_and_the_state_after_it():
    agent = tiny()
    start, data = sequence(agent)
    before = agent.loss(start, data, ModeSampler()).latents
    data["obs"]["state"][0, 3] += 50.0
    after = agent.loss(start, data, ModeSampler()).latents
    assert changed_steps(before.post, after.post)[0] == 3 and changed_steps(before.deter, after.deter)[0] == 4


def test_replay_returns_reach_the_critic_one_step_before_the_reward():
    """The reward on arrival at step 3 enters the return of steps 0, 1 and 2, and nothing later.

    Heads of the plain tiny agent predict returns of millions, in which a reward is lost to rounding: these predict a few.
    """
    agent = tiny(value={"kind": "symlog_twohot", "bins": 31, "outscale": 1.0}, reward={"bins": 31, "outscale": 0.0})
    start, data = sequence(agent)
    before = agent.loss(start, data, ModeSampler()).losses["replay_value"]
    data["reward"][0, 3] += 5.0
    after = agent.loss(start, data, ModeSampler()).losses["replay_value"]
    assert before.shape == (B, T - 1) and changed_steps(before, after) == [0, 1, 2]
    assert (after - before)[0, :3].abs().min() > 0.1  # far from what rounding does


def test_the_last_step_of_an_episode_has_no_replay_value_loss():
    agent = tiny()
    start, data = sequence(agent)
    data["is_last"][0, 2] = True
    loss = agent.loss(start, data, ModeSampler()).losses["replay_value"]
    assert loss[0, 2] == 0 and (loss[0, [0, 1, 3, 4]] > 0).all()


def test_a_batch_is_cut_into_context_and_trained_steps():
    agent = tiny()
    rng = np.random.default_rng(0)
    batch = {key: np.zeros((B, 1 + T), bool) for key in ("is_first", "is_last", "is_terminal")}
    batch |= {"state": rng.normal(size=(B, 1 + T, 3)).astype(np.float32), "reward": np.arange(7.0)[None].repeat(B, 0)}
    batch["action"] = rng.integers(0, 4, (B, 1 + T)).astype(np.int32)
    batch["deter"] = torch.randn(B, 1 + T, 16).bfloat16().view(torch.int16).numpy().view(np.uint16)
    batch["stoch"] = rng.integers(0, 4, (B, 1 + T, 3)).astype(np.uint8)
    start, data = agent.prepare_batch(to_tensors(batch))
    assert torch.equal(start.stoch.argmax(-1), torch.from_numpy(batch["stoch"][:, 0]).long())
    bits = torch.from_numpy(batch["deter"][:, 0].view(np.int16)).view(torch.bfloat16)
    assert torch.equal(start.deter, bits.float())
    assert data["reward"][0].tolist() == [1, 2, 3, 4, 5, 6]
    assert torch.equal(data["prev_action"].argmax(-1), torch.from_numpy(batch["action"][:, :-1]).long())


def test_nothing_before_the_first_step_of_an_episode_reaches_it():
    agent = tiny()
    start, data = sequence(agent)
    start = Latents(start.deter.requires_grad_(), start.stoch.requires_grad_())
    actions = data["prev_action"].requires_grad_()
    data["is_first"][0, 2] = True
    data["is_first"][1, 0] = True
    deter = agent.loss(start, data, ModeSampler()).latents.deter
    inputs = (start.deter, start.stoch, actions)
    h, z, a = torch.autograd.grad(deter[0, 2:].sum(), inputs, retain_graph=True)
    assert not h[0].any() and not z[0].any() and not a[0, :3].any() and a[0, 3:].any()
    h, z, a = torch.autograd.grad(deter[1].sum(), inputs)
    assert not h[1].any() and not z[1].any() and not a[1, 0].any() and a[1, 1:].any()


# Who is networks_with_gradient by which loss.


def networks_with_gradient(agent, loss: str, start, data) -> set[str]:
    """Networks that one loss gives a gradient."""
    agent.optimizer.zero_grad()
    agent.loss(start, data, ModeSampler()).losses[loss].mean().backward()
    named = [(f"world.{n}", p) for n, p in agent.world.named_parameters()]
    named += [(f"behavior.{n}", p) for n, p in agent.behavior.named_parameters()]
    return {n.split(".")[1] for n, p in named if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize(
    ("loss", "networks"),
    [
        ("policy", {"actor"}),
        ("value", {"critic"}),
        ("replay_value", {"critic", "rssm", "encoder"}),
        ("reward", {"reward", "rssm", "encoder"}),
        ("cont", {"cont", "rssm", "encoder"}),
        ("recon_state", {"decoder", "rssm", "encoder"}),
        ("dyn", {"rssm", "encoder"}),
        ("rep", {"rssm", "encoder"}),
    ],
)
def test_each_loss_moves_its_own_networks(loss, networks):
    agent = tiny(kl={"free_nats": 0.0})
    assert networks_with_gradient(agent, loss, *sequence(agent)) == networks


@pytest.mark.parametrize(("advantage", "entropy"), [(1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("action", [Space((), "int32", 4), Space((2,), "float32")])
def test_the_policy_moves_the_right_way(action, advantage, entropy):
    """A positive advantage raises the log-probability of the action; entropy alone raises entropy."""
    agent = tiny(Spec(SPEC.obs, action))
    actor, feat = agent.behavior.actor, torch.randn(32, 28)
    action = actor(feat).sample(ModeSampler()).detach()

    def terms():
        dist = actor(feat)
        return dist.log_prob(action), dist.entropy()

    logp, ent = terms()
    gain = agent.behavior._rules.actor_grad.objective(logp, torch.full_like(logp, advantage)) + entropy * ent
    gain.mean().backward()
    with torch.no_grad():
        for p in actor.parameters():
            p += 1e-3 * p.grad
    after = terms()
    assert after[0].mean() > logp.mean() if advantage else after[1].mean() > ent.mean()


def test_imagination_starts_at_every_state_and_chooses_before_it_moves():
    agent = tiny()
    start, data = sequence(agent)
    seq = agent.loss(start, data, ModeSampler()).latents
    feat, actions = agent.behavior.imagine(agent.world, seq, ModeSampler())
    assert feat.shape == (16, B * T, 28) and actions.shape == (15, B * T, 4)
    assert torch.equal(feat[0], seq.feat.flatten(0, 1))
    assert torch.equal(agent.behavior.actor(feat[0]).mode, actions[0])
    core = agent.world.rssm.core
    expected = core.step_fn()(feat[0, :, :16], feat[0, :, 16:], core.action_input(actions[0]))
    assert torch.allclose(feat[1, :, :16], expected, atol=1e-6)


# At the start of training.


def test_a_fresh_agent_predicts_zero_and_costs_ln_255():
    agent = Config(**{k: v for k, v in TINY.items() if k not in ("reward", "value", "actor")}).build(SPEC, seed=0)
    result = agent.loss(*sequence(agent), ModeSampler())
    assert result.metrics["loss/reward"].item() == pytest.approx(5.541264, abs=1e-5)
    assert result.metrics["behavior/return"] == 0 and result.metrics["behavior/advantage"] == 0
    weight = agent.behavior._rules.discount.trajectory_weight
    feat, _ = agent.behavior.imagine(agent.world, result.latents, ModeSampler())
    mean = weight(agent.world.cont(feat).mean)[:-1].mean().item()
    assert result.metrics["loss/value"].item() == pytest.approx(2 * 5.541264 * mean, rel=1e-5)
    assert result.metrics["behavior/entropy"].item() == pytest.approx(np.log(4), abs=1e-3)


# Layers.


def test_rms_norm_has_eps_inside_the_root():
    assert RMSNorm(4, 1e-4)(torch.full((1, 4), 2.0)).flatten().tolist() == pytest.approx([0.9999875] * 4, abs=1e-7)


def test_rms_norm_gradient_is_that_of_its_formula():
    x, norm = torch.randn(5, 7, dtype=torch.float32, requires_grad=True), RMSNorm(7, 1e-4)
    with torch.no_grad():
        norm.scale.copy_(torch.rand(7))
    out = torch.randn(5, 7)
    actual = torch.autograd.grad(norm(x), (x, norm.scale), out)
    expected = torch.autograd.grad(x / (x.square().mean(-1, keepdim=True) + 1e-4).sqrt() * norm.scale, (x, norm.scale), out)
    for a, b in zip(actual, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("outscale", [1.0, 0.01])
def test_initial_weights_have_fan_in_variance_and_are_cut_at_two_sigma(outscale):
    torch.manual_seed(0)
    weight = Linear(400, 500, outscale).weight
    assert weight.std().item() == pytest.approx(outscale / 20, rel=0.01)
    assert weight.abs().max().item() <= 2 * 1.1368 * outscale / 20
    assert BlockLinear(400, 800, 8).weight.std().item() == pytest.approx(1 / 20, rel=0.02)  # full width, not a block's


def test_blocks_do_not_see_each_other():
    layer = BlockLinear(8, 12, 4)
    jacobian = torch.autograd.functional.jacobian(layer, torch.randn(1, 8))[0, :, 0]
    for o in range(12):
        assert set(jacobian[o].nonzero().flatten().tolist()) <= {o // 3 * 2, o // 3 * 2 + 1}


def cell(**gates):
    core = BlockGRU(deter=8, stoch=6, actions=2, hidden=4, blocks=2, norm=RmsNormConfig().build, act=Silu())
    with torch.no_grad():
        for name, value in gates.items():
            row = {"reset": 0, "cand": 1, "update": 2}[name]
            core.gates.weight.zero_()
            core.gates.bias.view(2, 3, 4)[:, row] = value
    return core


def test_a_closed_update_gate_keeps_the_state():
    core, h = cell(update=-1e4), torch.randn(3, 8)
    assert torch.equal(core.step_fn()(h, torch.randn(3, 6), core.action_input(torch.randn(3, 2))), h)


def test_a_neutral_update_gate_mixes_in_a_quarter():
    core, h = cell(update=0.0, cand=2.0), torch.randn(3, 8)
    expected = 0.268941 * torch.tanh(torch.tensor(0.5 * 2.0)) + (1 - 0.268941) * h
    assert torch.allclose(core.step_fn()(h, torch.randn(3, 6), core.action_input(torch.randn(3, 2))), expected, atol=1e-5)


def test_actions_beyond_one_count_as_one():
    core = cell()
    a, b = torch.tensor([[3.0, -0.5]]), torch.tensor([[1.0, -0.5]])
    assert torch.equal(core.action_input(a), core.action_input(b))


def test_the_hoisted_recurrence_is_the_written_formula():
    """Hafner et al. 2025, Methods, block by block."""
    core = cell()
    h, z, a = (torch.randn(3, n) for n in (8, 6, 2))
    dense = torch.cat([core.from_deter(h), core.from_stoch(z), core.from_action(a.clamp(-1, 1))], -1)
    kernels, gates = core.hidden.weight.unflatten(-1, (2, 4)), core.gates.weight.unflatten(-1, (2, 12))
    v = torch.cat([torch.cat([h[:, 4 * b : 4 * b + 4], dense], -1) @ kernels[:, b] for b in range(2)], -1)
    v = F.silu(core.hidden_norm(v + core.hidden.bias))
    parts = [(v[:, 4 * b : 4 * b + 4] @ gates[:, b] + core.gates.bias[12 * b : 12 * b + 12]).chunk(3, -1) for b in range(2)]
    r, c, u = (torch.cat([p[i] for p in parts], -1) for i in range(3))
    u = torch.sigmoid(u - 1)
    expected = u * torch.tanh(torch.sigmoid(r) * c) + (1 - u) * h
    assert torch.allclose(core.step_fn()(h, z, core.action_input(a)), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4), (6, 6), (3, 5)])
def test_the_low_resolution_convolution_is_upsampling_then_convolving(shape):
    torch.manual_seed(0)
    layer = UpConv(3, 2).double()
    with torch.no_grad():
        layer.bias.uniform_()
    x = torch.randn(2, *shape, 3, dtype=torch.float64)
    up = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="nearest")
    expected = F.conv2d(up, layer.weight, layer.bias, padding=2).permute(0, 2, 3, 1)
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_layers_end_in_activation_and_outputs_do_not():
    mlp = MLP(3, 4, 2, norm=RmsNormConfig().build, act=Silu())
    assert mlp(torch.randn(100, 3)).min() >= -0.2785  # the least value of SiLU
