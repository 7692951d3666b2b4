"""Presets: what the current version resolves to, and that every other one builds and learns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.dreamer import probe
from agents.dreamer.config import NOTES, PRESETS
from agents.protocol import Space, Spec
from harness import build, catalogue, config, study

VECTOR = {"state": Space((3,), "float32")}
SPECS = {
    "counter/vector": Spec(VECTOR, Space((), "int32", 4)),
    "dmc/cartpole_swingup": Spec(VECTOR, Space((1,), "float32")),
    "dmc_vision/cartpole_swingup": Spec({"image": Space((16, 16, 3), "uint8")}, Space((1,), "float32")),
}

# The official code of 2026-05 (e3f0224), configs.yaml and agent.py, at 200M parameters on DMC vision.
OFFICIAL = {
    "replay.capacity": 5_000_000,
    "replay.online": True,
    "train.batch_size": 16,
    "train.batch_length": 64,
    "train.ratio": 256,
    "env.envs": 16,
    "agent.deter": 8192,
    "agent.hidden": 1024,
    "agent.units": 1024,
    "agent.depth": 64,
    "agent.multipliers": [2, 3, 4, 4],
    "agent.decoder_blocks": 8,
    "agent.layers.encoder": 3,
    "agent.layers.decoder": 3,
    "agent.layers.prior": 2,
    "agent.layers.reward": 1,
    "agent.layers.cont": 1,
    "agent.layers.critic": 3,
    "agent.core.kind": "block_gru",
    "agent.core.blocks": 8,
    "agent.norm.kind": "rms",
    "agent.norm.eps": 1e-4,
    "agent.act.kind": "silu",
    "agent.latent.kind": "categorical",
    "agent.latent.latents": 32,
    "agent.latent.classes": 64,
    "agent.latent.unimix": 0.01,
    "agent.latent.estimator.kind": "straight_through",
    "agent.kl.kind": "balanced",
    "agent.kl.dyn": 1.0,
    "agent.kl.rep": 0.1,
    "agent.kl.free_nats": 1.0,
    "agent.kl.stage": "step",
    "agent.squash.kind": "symlog",
    "agent.reward.kind": "symexp_twohot",
    "agent.reward.bins": 255,
    "agent.reward.outscale": 0.0,
    "agent.reconstruction.kind": "reconstruct",
    "agent.recon_grad.kind": "through",
    "agent.reward_grad.kind": "through",
    "agent.horizon": 15,
    "agent.lam": 0.95,
    "agent.discount.kind": "continuation",
    "agent.discount.steps": 333.0,
    "agent.starts.kind": "all",
    "agent.actor.layers": 3,
    "agent.actor.outscale": 0.01,
    "agent.actor.min_std": 0.1,
    "agent.actor.max_std": 1.0,
    "agent.actor.entropy": 3e-4,
    "agent.actor_grad.kind": "reinforce",
    "agent.value.kind": "symexp_twohot",
    "agent.value.bins": 255,
    "agent.value.outscale": 0.0,
    "agent.return_scale.kind": "percentiles",
    "agent.return_scale.low": 5.0,
    "agent.return_scale.high": 95.0,
    "agent.return_scale.rate": 0.01,
    "agent.return_scale.limit": 1.0,
    "agent.advantage.kind": "as_is",
    "agent.value_norm.kind": "as_is",
    "agent.slow_critic.kind": "regularizer",
    "agent.slow_critic.rate": 0.02,
    "agent.slow_critic.weight": 1.0,
    "agent.replay_value.weight": 0.3,
    "agent.repval_grad.kind": "through",
    "agent.weights.recon": 1.0,
    "agent.weights.reward": 1.0,
    "agent.weights.cont": 1.0,
    "agent.weights.policy": 1.0,
    "agent.weights.value": 1.0,
    "agent.optimizer.kind": "laprop",
    "agent.optimizer.lr": 4e-5,
    "agent.optimizer.warmup": 1000,
    "agent.optimizer.beta1": 0.9,
    "agent.optimizer.beta2": 0.999,
    "agent.optimizer.eps": 1e-20,
    "agent.optimizer.clip.kind": "agc",
    "agent.optimizer.clip.share": 0.3,
    "agent.optimizer.clip.min_norm": 1e-3,
    "agent.replay_context.kind": "stored",
    "agent.reward_transform.kind": "raw",
}
OURS = {"agent.actor.unimix": 0.01}  # as in the paper; the official code does not read the setting


def leaves(preset, task="dmc_vision/cartpole_swingup", size="200m"):
    return config.flatten(study.single(task, preset=preset, size=size))


def test_v3_is_the_official_code():
    resolved = {path: x for path, x in leaves("v3").items() if path.startswith("agent.") and not path.endswith("kind")}
    assert {path: leaves("v3")[path] for path in OFFICIAL} == OFFICIAL
    kinds = {"agent.kind", "agent.layers.kind", "agent.weights.kind", "agent.actor.kind", "agent.replay_value.kind"}
    kinds |= {"agent.trained.kind"}
    assert set(resolved) - set(OFFICIAL) == set(OURS), "a setting that the drift test does not know"
    assert {p for p in leaves("v3") if p.endswith(".kind") and p.startswith("agent.")} - set(OFFICIAL) <= kinds


def test_a_preset_reaches_the_suites_it_names_only():
    assert leaves("v3-nature", "atari100k/asterix")["train.ratio"] == 128
    assert leaves("v3-nature")["train.ratio"] == 256 and leaves("v3-nature")["agent.optimizer.beta2"] == 0.99
    assert leaves("v3-2023", "atari100k/asterix")["agent.actor_grad.kind"] == "reinforce"
    assert leaves("v3-2023")["agent.actor_grad.kind"] == "dynamics" and leaves("v3-2024")["env.options.repeat"] == 2


def test_rates_of_the_second_version():
    run = study.single("atari/pong", preset="v2-atari", size="v2-atari")
    adam = run.agent.optimizer
    assert (adam.lr, adam.lr * adam.actor, adam.lr * adam.critic) == pytest.approx((2e-4, 4e-5, 1e-4))
    assert (run.agent.kl.dyn, run.agent.kl.rep, run.agent.kl.free_nats) == (0.08, 0.02, 0.0)
    assert (run.agent.deter, run.agent.latent.width, run.agent.discount.gamma) == (600, 1024, 0.999)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("task", SPECS)
def test_every_preset_learns_at_nano(preset, task):
    run = study.single(task, preset=preset, size="nano")
    agent = build.agent(run, SPECS[task], device="cpu", threads=1)
    for _ in range(2):
        metrics, _ = agent.learn(probe.replayed_batch(agent, SPECS[task]))
    assert metrics["loss/total"] != 0 and all(np.isfinite(float(x)) for x in metrics.values()), metrics


def test_every_preset_says_what_it_is():
    assert NOTES.keys() == PRESETS.keys()
    assert "Not expressed" in catalogue.explain("v3-2023")["text"]
    assert catalogue.explain("repo-faithful")["kind"] == "preset"  # not the ablation `repo` without something


SHORT = {"train.batch_size": 4, "train.batch_length": 16, "train.start": 64, "train.ratio": 16, "train.log_every": 40}


@pytest.mark.parametrize(
    ("preset", "task", "learned"),
    [("v2-dmc", "dmc/cartpole_balance", "loss/reward"), ("v2-atari", "atari100k/asterix", "loss/recon_image")],
)
def test_the_second_version_trains_on_a_real_task(preset, task, learned, tmp_path):
    """Ninety updates: everything stays finite, and the world model comes to explain what it saw."""
    changes = [word for path, value in (SHORT | {"env.envs": 1}).items() for word in ("--set", f"{path}={value}")]
    options = ["--task", task, "--preset", preset, "--size", "nano", "--steps", "440", "--episodes", "1", "--threads", "1"]
    command = [sys.executable, "-m", "harness", "run", *options, *changes, "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("single/*/metrics.jsonl")
    rows = [row for row in map(json.loads, path.read_text().splitlines()) if "loss/total" in row]
    names = [name for name in rows[0] if name.startswith(("loss/", "optimizer/", "behavior/"))]
    assert len(rows) == 10 and all(row[name] is not None for row in rows for name in names)  # null: not finite
    assert all(row["optimizer/skipped"] == 0 for row in rows)
    loss = [row[learned] for row in rows]
    assert np.mean(loss[-3:]) < 0.5 * np.mean(loss[:3]), loss
