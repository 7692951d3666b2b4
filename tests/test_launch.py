"""How updates reach a device: nothing in one may wait for it, or a GPU could not take it as one recorded launch."""

from __future__ import annotations

import traceback

import numpy as np
import pytest
import torch
from test_agents import SPECS, build, observe, sample
from torch.utils._python_dispatch import TorchDispatchMode

from agents.dreamer import probe
from harness import ablate, config, study

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique_dim", "_unique2"}  # the host reads a result
SENDS = {"lift_fresh"}  # a number of the host is sent while the device is asked to work
FORGIVEN = "torch.quantile("  # on a CPU it looks at where the quantiles lie; on a GPU it does not


class Watch(TorchDispatchMode):
    """Lists the operators that a recording cannot hold, with the line of ours that called them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in WAITS | SENDS or masked(func, args):
            ours = [f for f in traceback.extract_stack()[:-1] if "/agents/" in f.filename or f.filename == __file__][-1]
            if FORGIVEN not in (ours.line or ""):
                self.found.append(f"{func} by {ours.filename}:{ours.lineno}: {ours.line}")
        return func(*args, **(kwargs or {}))


def masked(func, args):
    """Indexing with a mask: how much comes out is known on the device only."""
    indices = args[1] if func.overloadpacket.__name__ in ("index", "index_put", "index_put_") else ()
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def watched(agent, spec):
    batch = probe.batch(agent, spec)
    tensors = {key: torch.from_numpy(x.view(np.int16) if x.dtype == np.uint16 else x) for key, x in batch.items()}
    with Watch() as watch:
        agent._learned(tensors)
    return watch.found


@pytest.mark.parametrize("preset", sorted(config.agent_module("dreamer").PRESETS))
def test_no_preset_waits(preset):
    for spec in (SPECS["both-discrete"], SPECS["both-continuous"]):
        changes = {"agent.reward.bins": 31, "agent.value.bins": 31} if preset.startswith("v3") else {}
        run = study.single("counter/image", preset=preset, size="nano", changes=changes)
        assert watched(run.agent.build(spec, seed=0, device="cpu"), spec) == []


def test_no_ablation_waits():
    spec = SPECS["vector-discrete"]
    for name in ablate.names():
        run = study.single("counter/vector", size="nano", ablation=name)
        assert watched(run.agent.build(spec, seed=0, device="cpu"), spec) == [], name


def test_what_waits_is_seen():
    for planted in (lambda x: float(x.sum()), lambda x: x[x > 0], lambda x: x + torch.tensor([1.0])):
        with Watch() as watch:
            planted(torch.ones(3))
        assert len(watch.found) == 1


def test_compiled_steps_give_the_same_to_rounding():
    """Learning and, uncompiled, acting; `compile` is part of what a run is."""
    spec, rng = SPECS["both-continuous"], np.random.default_rng(0)
    plain, compiled = (build("dreamer", spec, device="cpu", compile=how) for how in (False, True))
    batch = sample(spec, plain, rng)
    for _ in range(3):
        (metrics, stored), (other, other_stored) = plain.learn(batch), compiled.learn(batch)
        assert metrics.keys() == other.keys() and all(np.array_equal(stored[k], other_stored[k]) for k in ("stoch",))
        for name, value in metrics.items():
            assert other[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    seen, uniforms = observe(spec, 2, rng), rng.random((2, plain.draws))
    actions = [agent.act(agent.initial(2), seen, uniforms)[1] for agent in (plain, compiled)]
    assert np.allclose(*actions, atol=1e-5)
    one, two = (study.single("counter/vector", compile=how) for how in (False, True))
    assert one.digest != two.digest
