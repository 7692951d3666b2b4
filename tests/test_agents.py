"""What every agent in `agents/` does, whatever it is: the protocol's battery."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agents.protocol import JointSpace, Space, Spec

pytestmark = pytest.mark.numeric

NAMES = sorted(path.parent.name for path in (Path(__file__).parents[1] / "agents").glob("*/config.py"))
IMAGE = {"image": Space((64, 64, 3), "uint8")}
VECTOR = {"state": Space((3,), "float32"), "height": Space((), "float32"), "mode": Space((), "int32", 3)}
OBS = {"image": IMAGE, "vector": VECTOR, "both": IMAGE | VECTOR}
ACTIONS = {"discrete": Space((), "int32", 5), "continuous": Space((2,), "float32")}
SPECS = {f"{o}-{a}": Spec(obs, action) for o, obs in OBS.items() for a, action in ACTIONS.items()}
# Names that a step, a batch or a network has for something else, or that a module cannot have.
AWKWARD = {
    key: Space((2,), "float32") for key in ("reward", "is_first", "action", "deter", "rows", "joint.pos", "values", "obs/x", "")
}
BUTTONS = Space((2, 3), "int32", 4)
PARTS = {"steer": Space((2,), "float32"), "gear.low": Space((), "int32", 3), "keys": BUTTONS, "tilt": Space((), "float32")}
SPECS |= {
    "vector-buttons": Spec(VECTOR, BUTTONS),
    "vector-scalar": Spec(VECTOR, Space((), "float32")),
    "awkward-joint": Spec(AWKWARD, JointSpace.from_parts(PARTS)),
}
B, T = 2, 3
SMALL = {
    "dreamer": {
        "deter": 16,
        "hidden": 8,
        "units": 8,
        "depth": 2,
        "core": {"blocks": 4},
        "latent": {"latents": 3, "classes": 4},
        "reward": {"bins": 31},
        "value": {"bins": 31},
        "horizon": 3,
        "optimizer": {"warmup": 1, "lr": 1e-3},
    }
}


def module(name: str):
    return importlib.import_module(f"agents.{name}.config")


def build(name: str, spec: Spec, seed: int = 0, **options):
    return module(name).Config(**SMALL.get(name, {})).build(spec, seed=seed, **options)


def values(space: Space, shape: tuple[int, ...], rng) -> np.ndarray:
    if isinstance(space, JointSpace):
        return space.join({name: values(part, shape, rng) for name, part in space.parts.items()})
    if space.discrete:
        return rng.integers(0, space.classes, (*shape, *space.shape)).astype(space.dtype)
    if space.dtype == "uint8":
        return rng.integers(0, 256, (*shape, *space.shape), dtype=np.uint8)
    return rng.uniform(-1, 1, (*shape, *space.shape)).astype(np.float32)


def observe(spec: Spec, envs: int, rng) -> dict[str, np.ndarray]:
    return {k: values(s, (envs,), rng) for k, s in spec.entries.items()} | {"is_first": rng.random(envs) < 0.3}


def sample(spec: Spec, agent, rng) -> dict[str, np.ndarray]:
    shape = (B, agent.context + T)
    batch = {k: values(s, shape, rng) for k, s in spec.entries.items()} | {"action": values(spec.action, shape, rng)}
    batch["reward"] = rng.normal(size=shape).astype(np.float32)
    batch |= {k: rng.random(shape) < 0.2 for k in ("is_first", "is_last", "is_terminal")}
    return batch | {k: np.zeros((*shape, *s.shape), s.dtype) for k, s in agent.extra_spaces.items()}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=SPECS)
def spec(request):
    return SPECS[request.param]


def test_acting_gives_valid_actions_and_what_the_replay_stores(name, spec):
    agent, rng = build(name, spec), np.random.default_rng(0)
    carry = agent.initial(4)
    for _ in range(3):
        carry, action, extras = agent.act(carry, observe(spec, 4, rng), rng.random((4, agent.num_uniforms), np.float32))
        assert action.shape == (4, *spec.action.shape) and action.dtype == spec.action.dtype
        joint = isinstance(spec.action, JointSpace)
        for head, x in (spec.action.split(action) if joint else {"action": action}).items():
            space = spec.heads[head]
            assert x.shape == (4, *space.shape) and x.dtype == space.dtype
            assert (x >= 0).all() and (x < space.classes).all() if space.discrete else (np.abs(x) <= 1).all()
        assert {k: (x.shape[1:], str(x.dtype)) for k, x in extras.items()} == {
            k: (s.shape, s.dtype) for k, s in agent.extra_spaces.items()
        }


def test_learning_gives_finite_metrics_and_refreshed_latents(name, spec):
    agent, rng = build(name, spec), np.random.default_rng(0)
    for n in range(3):
        metrics, extras = agent.learn(sample(spec, agent, rng))
        assert agent.updates == n + 1
        assert "optimizer/skipped" in metrics and (name == "random" or "loss/total" in metrics)
        assert all(np.isfinite(float(value)) for value in metrics.values()), metrics
        assert all("/" in key for key in metrics) and float(metrics["optimizer/skipped"]) == 0
        assert {k: (x.shape, str(x.dtype)) for k, x in extras.items()} == {
            k: ((B, T, *s.shape), s.dtype) for k, s in agent.extra_spaces.items()
        }


def test_a_row_is_acted_on_by_itself(name, spec):
    """Reordering the environments reorders the results: nothing leaks from row to row."""
    agent, rng = build(name, spec), np.random.default_rng(0)
    carry, _, _ = agent.act(agent.initial(4), observe(spec, 4, rng), rng.random((4, agent.num_uniforms), np.float32))
    obs, uniforms, order = observe(spec, 4, rng), rng.random((4, agent.num_uniforms), np.float32), [2, 0, 3, 1]

    def rows(x):
        return {key: value[order] for key, value in x.items()}

    straight, permuted = agent.act(carry, obs, uniforms), agent.act(rows(carry), rows(obs), uniforms[order])
    np.testing.assert_allclose(permuted[1], straight[1][order], atol=1e-5)
    for key in carry:
        np.testing.assert_allclose(permuted[0][key], straight[0][key][order], atol=1e-5)


def test_acting_is_a_function_of_its_arguments(name, spec):
    agent, rng = build(name, spec), np.random.default_rng(0)
    obs, uniforms = observe(spec, 4, rng), rng.random((4, agent.num_uniforms), np.float32)
    once, again = (agent.act(agent.initial(4), obs, uniforms) for _ in range(2))
    assert np.array_equal(once[1], again[1])
    agent.act(agent.initial(4), obs, uniforms, policy="mode")


def test_a_first_step_forgets_the_carry(name, spec):
    agent, rng = build(name, spec), np.random.default_rng(0)
    obs, uniforms = observe(spec, 4, rng) | {"is_first": np.ones(4, bool)}, rng.random((4, agent.num_uniforms), np.float32)
    random_carry = {k: rng.normal(size=x.shape).astype(x.dtype) for k, x in agent.initial(4).items()}
    assert np.array_equal(agent.act(random_carry, obs, uniforms)[1], agent.act(agent.initial(4), obs, uniforms)[1])


def test_a_loaded_agent_goes_on_bit_for_bit(name, spec):
    agent, rng = build(name, spec), np.random.default_rng(0)
    batches = [sample(spec, agent, rng) for _ in range(3)]
    agent.learn(batches[0])
    state = agent.state()
    twin = build(name, spec, seed=99)
    twin.load(state)
    assert twin.updates == 1
    for batch in batches[1:]:
        ours, theirs = agent.learn(batch), twin.learn(batch)
        assert {k: float(v) for k, v in ours[0].items()} == {k: float(v) for k, v in theirs[0].items()}
        assert all(np.array_equal(x, theirs[1][k]) for k, x in ours[1].items())
    ours, theirs = agent.state(), twin.state()
    assert ours.keys() == theirs.keys() and all(np.array_equal(x, theirs[k]) for k, x in ours.items())


def test_a_state_is_a_copy_of_plain_arrays(name):
    agent, rng = build(name, SPECS["vector-discrete"]), np.random.default_rng(0)
    state = agent.state()
    before = {k: x.copy() for k, x in state.items()}
    agent.learn(sample(SPECS["vector-discrete"], agent, rng))
    assert all(isinstance(x, np.ndarray) and np.array_equal(x, before[k]) for k, x in state.items())


def test_a_state_that_does_not_fit_is_refused_by_name(name):
    agent = build(name, SPECS["vector-discrete"])
    state = agent.state()
    key = sorted(state)[0]
    with pytest.raises(ValueError, match=key):
        agent.load({k: x for k, x in state.items() if k != key})
    with pytest.raises(ValueError, match=key):
        agent.load(state | {key: np.zeros((7, 7, 7))})


def test_the_seed_decides_everything(name, spec):
    rng = np.random.default_rng(0)
    agents = [build(name, spec, seed=s) for s in (1, 1, 2)]
    batch = sample(spec, agents[0], rng)
    for agent in agents:
        agent.learn(batch)
    one, same, other = (agent.state() for agent in agents)
    assert all(np.array_equal(x, same[k]) for k, x in one.items())
    assert len(one) == 1 or any(not np.array_equal(x, other[k]) for k, x in one.items())


def test_a_configuration_imports_and_validates_without_torch(name):
    code = f"import sys, agents.{name}.config as c; c.Config().model_dump_json(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_a_configuration_refuses_what_it_does_not_know(name):
    with pytest.raises(ValidationError, match="nonsense"):
        module(name).Config(nonsense=1)


def test_a_configuration_survives_json(name):
    config = module(name).Config
    assert config.model_validate_json(config().model_dump_json()) == config()


def test_every_agent_offers_every_size_and_the_default_preset(name):
    assert set(module(name).SIZES) >= {"nano", "1m", "12m", "25m", "50m", "100m", "200m", "400m"}
    assert module(name).PRESETS["v3"] == {}


# Dreamer's own promises.


def test_a_bad_batch_changes_nothing_but_the_counts():
    spec, rng = SPECS["both-discrete"], np.random.default_rng(0)
    agent = build("dreamer", spec)
    for _ in range(2):
        agent.learn(sample(spec, agent, rng))
    before, batch = agent.state(), sample(spec, agent, rng)
    batch["reward"][0, 2] = np.nan
    batch["stoch"][:] = 1
    metrics, extras = agent.learn(batch)
    after = agent.state()
    assert float(metrics["optimizer/skipped"]) == float(metrics["optimizer/skipped_in_a_row"]) == 1
    changed = {k for k in before if not np.array_equal(before[k], after[k])}
    assert changed == {"optimizer/skipped", "optimizer/skipped_in_a_row", "updates", "generator"}
    assert all(np.array_equal(extras[k], batch[k][:, 1:]) for k in extras)


def test_bfloat16_learns_what_float32_learns():
    spec, rng = SPECS["both-continuous"], np.random.default_rng(0)
    agents = [build("dreamer", spec, precision=p) for p in ("float32", "bfloat16")]
    batch = sample(spec, agents[0], rng)
    full, half = (agent.learn(batch)[0] for agent in agents)
    assert float(half["loss/total"]) == pytest.approx(float(full["loss/total"]), rel=0.02)
    assert all(x.dtype != np.dtype("float16") for x in agents[1].state().values())


def test_learning_lowers_the_loss():
    spec, rng = SPECS["vector-discrete"], np.random.default_rng(0)
    agent = module("dreamer").Config(**SMALL["dreamer"] | {"optimizer": {"warmup": 1, "lr": 1e-2}}).build(spec, seed=0)
    batch = sample(spec, agent, rng)
    losses = [float(agent.learn(batch)[0]["loss/total"]) for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]


def test_a_width_that_blocks_do_not_divide_is_refused():
    with pytest.raises(ValidationError, match=r"deter=20 is not a multiple of core\.blocks=8"):
        module("dreamer").Config(deter=20)


def test_a_joint_space_splits_what_it_joins():
    space, rng = JointSpace.from_parts(PARTS), np.random.default_rng(0)
    parts = {name: values(part, (5, 7), rng) for name, part in PARTS.items()}
    joint = space.join(parts)
    assert joint.shape == (5, 7, 10) and joint.dtype == np.float32 and list(space.parts) == sorted(PARTS)
    again = space.split(joint)
    assert all(np.array_equal(again[name], x) and again[name].dtype == x.dtype for name, x in parts.items())
    assert np.array_equal(joint[..., 0], parts["gear.low"])  # in the order of the sorted names


def test_every_observation_has_a_loss_under_its_name():
    spec, rng = SPECS["awkward-joint"], np.random.default_rng(0)
    agent = build("dreamer", spec)
    metrics, _ = agent.learn(sample(spec, agent, rng))
    assert {f"loss/recon_{key}" for key in AWKWARD} <= metrics.keys()
    assert len(spec.entries) == len(AWKWARD) and not {"reward", "is_first", "action", "deter"} & spec.entries.keys()


def test_an_observation_called_reward_is_not_the_reward():
    """What the agent is rewarded with changes nothing of what it sees."""
    spec = Spec({"reward": Space((2,), "float32")}, Space((), "int32", 2))
    rng = np.random.default_rng(0)
    agents = [build("dreamer", spec) for _ in range(2)]
    batch = sample(spec, agents[0], rng)
    ours = agents[0].learn(batch)[0]
    theirs = agents[1].learn(batch | {"reward": batch["reward"] + 5})[0]
    assert float(ours["loss/recon_reward"]) == float(theirs["loss/recon_reward"])
    assert float(ours["reward/target_max"]) != float(theirs["reward/target_max"])
