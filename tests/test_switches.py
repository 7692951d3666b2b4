"""The switch contract: every file in `ablations/` acts where it says it acts, and leaves alone what it says it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from agents.dreamer import probe
from agents.dreamer.parts import kl
from agents.protocol import Space, Spec
from harness import ablate, build, catalogue, config, plugins, study, verify

pytestmark = pytest.mark.numeric

NAMES = [name for name in ablate.names() if name != "none"]
# The other halves of what `verify.TASKS` crosses.
OTHER_TASKS = {
    "vectors, discrete": Spec({"state": Space((3,), "float32")}, Space((), "int32", 4)),
    "both, continuous": Spec({"image": Space((16, 16, 1), "uint8"), "state": Space((), "float32")}, Space((2,), "float32")),
}
PAPER = {
    "no_obs_symlog",
    "advantage_norm",
    "huber",
    "no_kl_balance_free_bits",
    "no_kl_balance_free_bits_half",
    "without_all",
    "no_reward_value_gradients",
    "no_reconstruction_gradient",
}


@cache
def verdict_of(name):
    return verify.verify_ablation(name)


def comparisons_of(verdict):
    return [comparison for regimes in verdict["tasks"].values() for comparison in regimes.values()]


# Every file.


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_acts_and_keeps_what_it_keeps(name):
    verdict = verdict_of(name)
    assert verify.passes(verdict), verify.verdict_to_text(verdict)


@pytest.mark.parametrize("name", NAMES)
def test_both_branches_stay_finite(name):
    for comparison in comparisons_of(verdict_of(name)):
        probes = comparison["probes"]
        assert all(x is None or np.isfinite(x) for pair in probes.values() for x in pair), probes
        assert all(x in (None, 0.0) for x in probes["optimizer/skipped"])
        assert all(np.isfinite(x) for pair in comparison["measures"].values() for x in pair.values() if x is not None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", OTHER_TASKS)
def test_an_ablated_agent_acts_learns_and_refreshes(name, task):
    run, spec = study.single("counter/vector", size="nano", ablation=name), OTHER_TASKS[task]
    agent = build.agent(run, spec, device="cpu", threads=1)
    obs = {k: np.zeros((2, *s.shape), s.dtype) for k, s in spec.obs.items()} | {"is_first": np.zeros(2, bool)}
    _, action, stored = agent.act(agent.initial(2), obs, np.random.default_rng(0).random((2, agent.num_uniforms)))
    assert action.shape == (2, *spec.action.shape)
    assert {k: (x.shape[1:], str(x.dtype)) for k, x in stored.items()} == {
        k: (s.shape, s.dtype) for k, s in agent.extra_spaces.items()
    }
    for _ in range(2):
        metrics, refreshed = agent.learn(probe.replayed_batch(agent, spec))
    assert all(np.isfinite(float(x)) for x in metrics.values()), metrics
    assert {k: str(x.dtype) for k, x in refreshed.items()} == {k: s.dtype for k, s in agent.extra_spaces.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_difference_to_the_base_is_what_is_declared(name):
    base = study.single("counter/vector", size="nano")
    changed, declared = study.single("counter/vector", size="nano", ablation=name), ablate.parse(name).changes
    touched = set(config.diff(base, changed)) - {"ablation"}
    assert touched and all(any(path == d or path.startswith(d + ".") for d in declared) for path in touched)
    leaves = config.flatten(changed)
    for path, value in declared.items():
        settings = value.items() if isinstance(value, dict) else [(None, value)]
        for key, setting in settings:
            if not isinstance(setting, dict):
                assert leaves[f"{path}.{key}" if key else path] == setting


@pytest.mark.parametrize("name", NAMES)
def test_every_file_says_what_it_is_and_where_it_comes_from(name):
    text = plugins.load("ablations", name).__doc__
    caption = ablate.caption(ablate.parse(name))
    assert "Source:" in text and len(caption) > 20
    assert ("(reconstructed arm)" in caption) == (name in PAPER)


def test_all_the_paper_s_arms_and_the_card_s_are_there():
    assert set(NAMES) >= {*PAPER, "no_free_bits", "no_unimix", "no_symlog", "no_return_norm"} and len(NAMES) >= 25


# The check itself: it must see what it is for.


def test_a_planted_inert_switch_is_seen(monkeypatch):
    step = kl.STAGES["step"]
    monkeypatch.setitem(kl.STAGES, "step", lambda post, prior, free: step(post, prior, 1.0))  # the setting is not read
    verdict = verify.verify_ablation("no_free_bits")
    assert verdict["inert"] == list(verify.TASKS) and not verify.passes(verdict)
    assert "INERT" in verify.verdict_to_text(verdict)


def test_a_switch_that_acts_where_it_should_not_is_seen(monkeypatch):
    module = plugins.load("ablations", "no_obs_symlog")
    monkeypatch.setattr(module, "SCOPE", "discrete")
    verdict = verify.verify_ablation("no_obs_symlog")
    assert verdict["leaks"] == ["vectors, continuous"] and verdict["inert"] == ["images, discrete"]
    assert not verify.passes(verdict)


def test_a_switch_that_touches_what_it_keeps_is_seen(monkeypatch):
    monkeypatch.setattr(plugins.load("ablations", "no_free_bits"), "INVARIANT", ("act", "loss/dyn"))
    verdict = verify.verify_ablation("no_free_bits")
    assert verdict["touched"] == ["loss/dyn"] and not verify.passes(verdict)


def test_the_unchanged_agent_is_the_same_as_itself():
    assert verdict_of("none")["inert"] == list(verify.TASKS)


def test_where_a_switch_acts_is_explained():
    assert catalogue.explain("no_obs_symlog")["acts on"] == "tasks with vector observations"
    assert catalogue.explain("no_free_bits")["acts on"] == "every task"


def test_another_kind_keeps_what_both_kinds_have():
    """At nano the two-hot has 63 bins and the optimiser its own rate: a change of kind must not change them too."""
    agent = study.single("counter/vector", size="nano", ablation="symlog_twohot").agent
    assert agent.reward.bins == agent.value.bins == 63
    agent = study.single("counter/vector", size="nano", ablation="adam").agent
    assert (agent.optimizer.lr, agent.optimizer.warmup, agent.optimizer.eps) == (2e-3, 100, 1e-8)
    assert study.single("counter/vector", size="nano", ablation="gaussian_latent").agent.latent.latents == 8


def test_a_kind_can_be_set_by_its_path():
    agent = study.single("counter/vector", size="nano", changes={"agent.reward.kind": "symlog_twohot"}).agent
    assert (agent.reward.kind, agent.reward.bins) == ("symlog_twohot", 63)


@pytest.mark.parametrize(("ablation", "status"), [("no_return_limit", 0), ("none", 1)])
def test_the_verb_prints_one_entry_per_ablation(ablation, status):
    command = [sys.executable, "-m", "harness", "verify-switches", ablation, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == status, done.stderr
    (entry,) = json.loads(done.stdout)
    probes = entry["tasks"]["images, discrete"]["early"]["probes"]
    assert entry["ablation"] == ablation and len(probes["return_scale/scale"]) == 2
