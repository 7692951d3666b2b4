"""How updates reach a device: nothing in one may wait for it, or a GPU could not take it as one recorded launch."""

from __future__ import annotations

import subprocess
import sys
import traceback

import numpy as np
import pytest
import torch
from test_agents import SPECS, build, observe, sample
from torch.utils._python_dispatch import TorchDispatchMode

from agents.dreamer import probe
from agents.nn.conv import DownConv
from agents.nn.functional import ONEDNN_MIN_ROWS
from agents.nn.launch import to_tensors
from agents.nn.layers import Linear
from harness import ablate, config, study

pytestmark = pytest.mark.numeric

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique_dim", "_unique2"}  # the host reads a result
SENDING = {"lift_fresh"}  # a number of the host is sent while the device is asked to work
ALLOWED = "torch.quantile("  # on a CPU it looks at where the quantiles lie; on a GPU it does not


class Watch(TorchDispatchMode):
    """Lists the operators that a recording cannot hold, with the line of the agent that called them."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in WAITING | SENDING or indexes_with_mask(func, args):
            frames = [f for f in traceback.extract_stack()[:-1] if "/agents/" in f.filename or f.filename == __file__]
            caller = frames[-1]
            if ALLOWED not in (caller.line or ""):
                self.operators.append(f"{func} by {caller.filename}:{caller.lineno}: {caller.line}")
        return func(*args, **(kwargs or {}))


def indexes_with_mask(func, args):
    """Indexing with a mask: how much comes out is known on the device only."""
    indices = args[1] if func.overloadpacket.__name__ in ("index", "index_put", "index_put_") else ()
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def waiting_operators(agent, spec):
    tensors = to_tensors(probe.replayed_batch(agent, spec))
    with Watch() as watch:
        agent.train_step(tensors)
    return watch.operators


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(config.agent_module("dreamer").PRESETS))
def test_no_preset_waits(preset):
    for spec in (SPECS["both-discrete"], SPECS["both-continuous"]):
        changes = {"agent.reward.bins": 31, "agent.value.bins": 31} if preset.startswith("v3") else {}
        run = study.single("counter/image", preset=preset, size="nano", changes=changes)
        assert waiting_operators(run.agent.build(spec, seed=0, device="cpu"), spec) == []


@pytest.mark.slow
def test_no_ablation_waits():
    spec = SPECS["vector-discrete"]
    for name in ablate.names():
        run = study.single("counter/vector", size="nano", ablation=name)
        assert waiting_operators(run.agent.build(spec, seed=0, device="cpu"), spec) == [], name


def test_what_waits_is_seen():
    for planted in (lambda x: float(x.sum()), lambda x: x[x > 0], lambda x: x + torch.tensor([1.0])):
        with Watch() as watch:
            planted(torch.ones(3))
        assert len(watch.operators) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both-continuous", "image-discrete"])
def test_compiled_steps_give_the_same_to_rounding(name):
    """Learning and, uncompiled, acting; `compile` is part of what a run is."""
    spec, rng = SPECS[name], np.random.default_rng(0)
    plain, compiled = (build("dreamer", spec, device="cpu", compile=compile) for compile in (False, True))
    batch = sample(spec, plain, rng)
    for _ in range(3):
        (metrics, extras), (other_metrics, other_extras) = plain.learn(batch), compiled.learn(batch)
        assert metrics.keys() == other_metrics.keys() and all(np.array_equal(extras[k], other_extras[k]) for k in ("stoch",))
        for name, value in metrics.items():
            assert other_metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    obs, uniforms = observe(spec, 2, rng), rng.random((2, plain.num_uniforms))
    actions = [agent.act(agent.initial(2), obs, uniforms)[1] for agent in (plain, compiled)]
    assert np.allclose(*actions, atol=1e-5)
    one, two = (study.single("counter/vector", compile=compile) for compile in (False, True))
    assert one.digest != two.digest


@pytest.mark.slow
def test_compiled_steps_in_bfloat16():
    """Losses as near to float32's as those of the uncompiled update. A sample may fall the other way: its share is small."""
    spec, rng = SPECS["both-discrete"], np.random.default_rng(0)
    exact, plain, compiled = (
        build("dreamer", spec, device="cpu", precision=precision, compile=compile)
        for precision, compile in (("float32", False), ("bfloat16", False), ("bfloat16", True))
    )
    batch = sample(spec, exact, rng)
    (exact_metrics, extras), (plain_metrics, _), (compiled_metrics, compiled_extras) = (
        agent.learn(batch) for agent in (exact, plain, compiled)
    )
    assert np.mean(extras["stoch"] != compiled_extras["stoch"]) < 0.02
    losses = [name for name in exact_metrics if name.startswith("loss/")]
    assert len(losses) > 8
    for name in losses:
        assert compiled_metrics[name] == pytest.approx(plain_metrics[name], rel=0.02, abs=0.02), name
        assert compiled_metrics[name] == pytest.approx(exact_metrics[name], rel=0.02, abs=0.02), name


@pytest.mark.slow
def test_a_compiled_agent_goes_on_as_if_it_had_not_been_stored():
    spec, rng = SPECS["both-continuous"], np.random.default_rng(0)
    one, two = (build("dreamer", spec, seed=seed, device="cpu", compile=True) for seed in (0, 1))
    batches = [sample(spec, one, rng) for _ in range(4)]
    for batch in batches[:2]:
        one.learn(batch)
    two.load(one.state())
    for batch in batches[2:]:
        one.learn(batch), two.learn(batch)
    states = one.state(), two.state()
    assert states[0].keys() == states[1].keys() and all(np.array_equal(states[0][k], states[1][k]) for k in states[0])


def test_compiled_pooling_picks_the_first_of_equal_pixels():
    """Flat areas, as in games, and small whole numbers: sums are exact, and many windows hold their largest value twice."""
    torch.manual_seed(0)
    layer = DownConv(3, 8, norm=lambda width: torch.nn.Identity(), act=torch.nn.Identity())
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-1, 2, layer.weight.shape))
    images = torch.randint(0, 2, (4, 2, 2, 3)).float().repeat_interleave(8, 1).repeat_interleave(8, 2)
    weight = torch.randint(-3, 4, (4, 8, 8, 8)).float()
    output = layer(images)
    grads = torch.autograd.grad((output * weight).sum(), (layer.weight, layer.bias))
    pooled = torch.nn.functional.conv2d(images.permute(0, 3, 1, 2), layer.weight, padding=2).unfold(2, 2, 2).unfold(3, 2, 2)
    ties = (pooled == pooled.amax((-1, -2), keepdim=True)).sum((-1, -2)) > 1
    assert ties.float().mean() > 0.2
    layer.compile_steps()
    compiled_output = layer(images)
    assert torch.equal(output, compiled_output)
    assert all(map(torch.equal, grads, torch.autograd.grad((compiled_output * weight).sum(), (layer.weight, layer.bias))))


@pytest.mark.parametrize(("inputs", "outputs"), [(40, 8), (8, 41)])
def test_a_map_of_many_rows(inputs, outputs):
    """It goes another way than one of few; output and gradients against float64."""
    torch.manual_seed(0)
    layer, rows = Linear(inputs, outputs), torch.randn(5, ONEDNN_MIN_ROWS // 4, inputs)
    grad = torch.randn(5, ONEDNN_MIN_ROWS // 4, outputs)
    torch.nn.init.normal_(layer.bias)
    x = rows.clone().requires_grad_()
    output = layer(x)
    output.backward(grad)
    flat, back = rows.double().flatten(0, 1), grad.double().flatten(0, 1)
    exact_output = flat @ layer.weight.double().t() + layer.bias.double()
    for actual, exact in (
        (output.detach(), exact_output.detach().unflatten(0, (5, -1))),
        (x.grad, (back @ layer.weight.detach().double()).unflatten(0, (5, -1))),
        (layer.weight.grad, back.t() @ flat),
        (layer.bias.grad, back.sum(0)),
    ):
        assert actual.shape == exact.shape and (actual - exact).abs().max() < 1e-5 * exact.abs().max()
    (frozen,) = torch.autograd.grad(Linear.forward(layer.requires_grad_(False), x).sum(), x)
    assert torch.allclose(frozen, layer.weight.sum(0).expand_as(x), atol=1e-5)


GROWN = """
import resource, sys
if sys.argv[1:]:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
from agents.nn.memory import keep_freed_memory
def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
before = kilobytes("VmSize"), kilobytes("VmRSS")
keep_freed_memory()
print(kilobytes("VmSize") - before[0], kilobytes("VmRSS") - before[1])
"""


@pytest.mark.parametrize(("limit", "addresses"), [((), 4 << 20), ((str(6 << 30),), 0)])
def test_large_pages_cost_addresses_only_and_none_where_they_are_counted(limit, addresses):
    run = subprocess.run([sys.executable, "-c", GROWN, *limit], capture_output=True, text=True, check=True)
    size, resident = map(int, run.stdout.split())
    assert abs(size - addresses) < 1024 and resident < 1024
