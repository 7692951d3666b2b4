"""On a GPU: the same results as on a CPU, and nothing inside an update waits. Collected where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_agents import SPECS, build, observe, sample

from agents.nn import launch

CALLS = launch.EAGER_CALLS + 3  # some run as they are, one is recorded, some are replayed


@pytest.mark.parametrize("name", sorted(SPECS))
def test_learning_and_acting_as_on_the_cpu(name):
    spec, rng = SPECS[name], np.random.default_rng(0)
    agents = {device: build("dreamer", spec, device=device) for device in ("cpu", "cuda")}
    agents["cuda"].load(without_generator(agents["cpu"].state()) | generator(agents["cuda"]))
    batch = sample(spec, agents["cpu"], rng)
    losses = {device: mean_losses(agent, batch) for device, agent in agents.items()}
    for name, value in losses["cpu"].items():
        assert losses["cuda"][name] == pytest.approx(value, rel=1e-3, abs=1e-3), name
    for _ in range(CALLS):
        obs, uniforms = observe(spec, 2, rng), rng.random((2, agents["cpu"].num_uniforms))
        cpu, cuda = (agent.act(agent.initial(2), obs, uniforms, "mode") for agent in agents.values())
        assert np.allclose(cpu[1], cuda[1], atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recorded_update_is_the_update(precision):
    """Replayed and unrecorded from the same state, with the same stream of random numbers."""
    spec, rng = SPECS["both-discrete"], np.random.default_rng(0)
    recorded, plain = (build("dreamer", spec, device="cuda", precision=precision) for _ in range(2))
    plain._runtime = replace(plain._runtime, launch=launch_unrecorded)
    batches = [sample(spec, plain, rng) for _ in range(CALLS)]
    for batch in batches:
        (metrics, extras), (other_metrics, other_extras) = recorded.learn(batch), plain.learn(batch)
        for name, value in metrics.items():
            assert other_metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
        assert all(np.array_equal(extras[key], other_extras[key]) for key in ("stoch",))
    state = recorded.state()
    recorded.load(state)
    again = build("dreamer", spec, device="cuda", precision=precision)
    again.load(state)
    after = [float(agent.learn(batches[0])[0]["loss/total"]) for agent in (recorded, again)]
    assert after[0] == pytest.approx(after[1], rel=1e-3)


def test_nothing_inside_an_update_waits():
    spec, rng = SPECS["both-continuous"], np.random.default_rng(0)
    agent = build("dreamer", spec, device="cuda")
    batch = launch.to_tensors(sample(spec, agent, rng), "cuda")
    agent.train_step(batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        outputs = agent.train_step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(outputs["metrics"]).all()


def launch_unrecorded(name, function, arrays):
    return {key: launch.to_numpy(x.cpu()) for key, x in function(launch.to_tensors(arrays, "cuda")).items()}


def mean_losses(agent, batch):
    """Losses without random numbers: likeliest classes and fixed places in every distribution."""
    from agents.nn.sampler import ModeSampler

    result = agent.loss(*agent.prepare_batch(launch.to_tensors(batch, agent.device)), ModeSampler())
    return {name: float(loss.mean()) for name, loss in result.losses.items()}


def generator(agent):
    return {"generator": agent.state()["generator"]}


def without_generator(state):
    return {key: value for key, value in state.items() if key != "generator"}
