"""The agent's fast path against a plain one: the same losses and gradients, to what float32 can tell."""

import numpy as np
import pytest
import torch
from reference_dreamer import Reference

from agents.dreamer import probe
from agents.nn.launch import to_tensors
from agents.nn.sampler import GeneratorSampler
from agents.protocol import Space, Spec
from harness import build, study

pytestmark = pytest.mark.numeric

SEED = 5
SPECS = {
    "image, discrete": Spec({"image": Space((32, 32, 3), "uint8")}, Space((), "int32", 5)),
    "vector, continuous": Spec({"state": Space((3,), "float32"), "mode": Space((), "int32", 3)}, Space((2,), "float32")),
}


@pytest.fixture(scope="module", params=SPECS)
def agent_and_reference(request):
    """-> agent and its loss, with gradients; the reference's weights, with gradients; losses, total."""
    spec = SPECS[request.param]
    agent = build.agent(study.single("counter/vector", size="nano"), spec, device="cpu", threads=1)
    probe.set_test_weights(agent, 1.0, 0.3)  # random weights: as initialised, output layers are zero
    batch = probe.replayed_batch(agent, spec)
    batch["stoch"] = np.random.default_rng(4).integers(0, 8, batch["stoch"].shape).astype(np.uint8)
    agent.optimizer.zero_grad()
    result = agent.loss(*agent.prepare_batch(to_tensors(batch)), GeneratorSampler(torch.Generator().manual_seed(SEED)))
    result.total.backward()

    P = {name: p.detach().double().requires_grad_(p.requires_grad) for name, p in probe.named_weights(agent)}
    reference = Reference(P, latents=8, classes=8, bins=63, blocks=4, discrete=spec.action.discrete, seed=SEED)
    losses, total = reference.losses(batch)
    total.backward()
    return agent, result, P, losses, total


def test_same_losses(agent_and_reference):
    _, result, _, losses, total = agent_and_reference
    assert result.losses.keys() == losses.keys()
    for name, loss in losses.items():
        np.testing.assert_allclose(result.losses[name].detach(), loss.detach(), rtol=1e-5, atol=1e-6, err_msg=name)
    assert result.total.item() == pytest.approx(total.item(), rel=1e-6)


def test_same_gradients(agent_and_reference):
    """Each tensor's gradient to 1e-4 of its norm; every weight but the slow critic's has one."""
    agent, _, P, _, _ = agent_and_reference
    for name, p in probe.named_weights(agent):
        if not name.startswith("behavior.slow_critic"):
            norm = P[name].grad.norm()
            assert norm > 0 and (p.grad - P[name].grad).norm() < 1e-4 * norm, name
