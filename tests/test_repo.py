"""RePo: the constraint's signs, bounds and bookkeeping, its place in the agent, and adaptation of the encoder."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.dreamer import probe
from agents.dreamer.build import trainable_parameters
from agents.dreamer.parts.bottleneck import KL_AVERAGE_RATE, AdamDual, ProportionalDual, Repo
from agents.dreamer.parts.latent import CategoricalLatent
from agents.nn.dists import IndependentOneHot
from agents.nn.launch import to_tensors
from agents.protocol import Space, Spec
from harness import build, checkpoint, study
from harness.errors import BadInput

pytestmark = pytest.mark.numeric

SPEC = Spec({"image": Space((16, 16, 3), "uint8")}, Space((), "int32", 5))
FIRST = torch.zeros(1, 1, dtype=torch.bool)
DUALS = [ProportionalDual(), AdamDual()]


class Nats:
    """Posterior and prior at a given KL (B, T)."""

    def __init__(self, kl):
        self.value = torch.as_tensor(kl, dtype=torch.float32)

    def kl(self, _):
        return self.value

    def detach(self):
        return self


def run_dual(repo, kls, updates=1000, bound=math.inf, first=None):
    """The states after each batch with these KLs."""
    rule = repo.build(updates, bound)
    states = [rule.state()]
    for kl in kls:
        dist = Nats(kl if np.ndim(kl) else [[kl]])
        mask = torch.zeros(dist.value.shape, dtype=torch.bool) if first is None else first
        states.append(rule.losses(dist, dist, mask, states[-1])[2])
    return states


def betas(states):
    return [math.exp(float(state["log_beta"])) for state in states]


def agent(updates=1000, spec=SPEC, **changes):
    run = study.single("counter/vector", size="nano", preset="repo", changes=changes)
    return run.agent.build(spec, seed=0, updates=updates, device="cpu")


# The dual.


@pytest.mark.parametrize("dual", DUALS)
@pytest.mark.parametrize(("kl", "sign"), [(5.0, 1), (1.0, -1)])
def test_beta_rises_when_the_kl_is_too_large_and_falls_when_it_is_too_small(dual, kl, sign):
    before, after = betas(run_dual(Repo(dual=dual, warmup=0), [kl]))
    assert (after - before) * sign > 0


def test_a_proportional_step_is_the_clipped_violation_of_the_debiased_average():
    states = run_dual(Repo(warmup=0), [4.5, 2.0, 300.0], updates=1000)
    mean = [4.5, (0.99 * 4.5 + 2.0) / 1.99, (0.99**2 * 4.5 + 0.99 * 2.0 + 300.0) / (1 + 0.99 + 0.99**2)]
    steps = np.diff([float(s["log_beta"]) for s in states])
    assert KL_AVERAGE_RATE == 0.01
    assert steps == pytest.approx([0.01 * 0.5, 0.01 * (mean[1] / 3 - 1), 0.01 * 1.0], rel=1e-6)


def test_adam_s_step_is_torch_s():
    """ln beta by our rule, and by torch.optim.Adam on -ln beta * (K - target)."""
    kls = [5.0, 2.0, 3.5, 0.1, 9.0]
    states = run_dual(Repo(warmup=0, dual=AdamDual(), init=1e-5), kls, updates=1000)
    rho = torch.tensor(math.log(1e-5), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([rho], lr=10 / 1000)
    for kl, state in zip(kls, states[1:], strict=True):
        adam.zero_grad()
        (-rho * (torch.tensor(kl).double() - 3.0)).backward()
        adam.step()
        assert float(state["log_beta"]) == pytest.approx(rho.item(), rel=1e-9)


@pytest.mark.parametrize("dual", DUALS)
def test_over_a_whole_run_beta_moves_by_its_e_folds_and_no_more(dual):
    """1e-5 e^10 = 0.220265, whatever the length of the run; official: 1e-4 over 100k updates."""
    for updates in (200, 1000):
        end = betas(run_dual(Repo(dual=dual, init=1e-5, warmup=0), [250.0] * updates, updates=updates))[-1]
        assert end == pytest.approx(0.220265, rel=1e-4)
    assert Repo().build(100_000, math.inf).rate == pytest.approx(1e-4)


@pytest.mark.parametrize("dual", DUALS)
@pytest.mark.parametrize(("kl", "end"), [(200.0, 2e-3), (0.0, 5e-4)])
def test_beta_stays_at_its_bounds_and_leaves_them_at_once(dual, kl, end):
    repo = Repo(dual=dual, floor=5e-4, ceiling=2e-3, warmup=0)
    states = run_dual(repo, [kl] * 300, updates=1000)
    assert betas(states)[-1] == pytest.approx(end, rel=1e-12)
    rule = repo.build(1000, math.inf)
    metrics = rule.losses(Nats([[kl]]), Nats([[kl]]), FIRST, states[-1])[1]
    assert bool(metrics["repo/beta_at_cap"]) == (kl > 3) and bool(metrics["repo/beta_at_floor"]) == (kl < 3)
    if isinstance(dual, AdamDual):  # no wound-up momentum to unwind; the proportional rule has none
        other = Nats([[6.0 - min(kl, 6.0)]])
        after = rule.losses(other, other, FIRST, states[-1])[2]
        assert abs(float(after["log_beta"]) - math.log(end)) == pytest.approx(0.01, rel=1e-3)


def test_beta_rests_in_the_warmup_which_is_a_tenth_of_the_run_at_most():
    states = run_dual(Repo(), [9.0] * 25, updates=200)
    assert betas(states)[:21] == pytest.approx([1e-3] * 21) and betas(states)[21] > 1e-3
    assert Repo().build(100_000, math.inf).warmup == 1000


def test_first_steps_of_episodes_do_not_count():
    kl = torch.tensor([[90.0, 2.0], [4.0, 6.0]])
    first = torch.tensor([[True, False], [False, False]])
    for mask, expected in ((True, 4.0), (False, 25.5)):
        rule = Repo(mask_first=mask).build(1000, math.inf)
        metrics = rule.losses(Nats(kl), Nats(kl), first, rule.state())[1]
        assert float(metrics["repo/kl"]) == pytest.approx(expected)
        assert float(metrics["repo/loss"]) == pytest.approx(1e-3 * (expected - 3), rel=1e-6)
    same = run_dual(Repo(warmup=0), [kl], first=torch.ones_like(first))
    assert same[0].keys() == same[1].keys() and all(torch.equal(same[0][k], same[1][k]) for k in same[0])


def test_low_kl_is_said():
    rule = Repo().build(1000, math.inf)
    low = [bool(rule.losses(Nats([[x]]), Nats([[x]]), FIRST, rule.state())[1]["repo/low_kl"]) for x in (0.29, 0.31)]
    assert low == [True, False]


# The loss.


def latents(seed):
    return torch.randn(2, 3, 4 * 8, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize(
    ("split", "on_prior", "on_post"), [("faithful", 5 / 6 * 2, 1 / 6 * 2), ("decoupled", 1.0, 2.0), ("plain", 2.0, 2.0)]
)
def test_beta_is_shared_out_between_prior_and_posterior(split, on_prior, on_post):
    """Gradients of the loss at beta 2 against those of the plain KL."""
    latent = CategoricalLatent(latents=4, classes=8)
    grads = []
    for rule in (Repo(split=split, init=2.0).build(1000, latent.kl_bound), None):
        post, prior = latents(0), latents(1)
        q, p = latent.distribution(post), latent.distribution(prior)
        first = torch.zeros(2, 3, dtype=torch.bool)
        loss = rule.losses(q, p, first, rule.state())[0]["bottleneck"] if rule else q.kl(p)
        grads.append(torch.autograd.grad(loss.sum(), (prior, post)))
    (prior, post), (plain_prior, plain_post) = grads
    torch.testing.assert_close(prior, on_prior * plain_prior)
    torch.testing.assert_close(post, on_post * plain_post)


@pytest.mark.parametrize(("latents", "classes", "bound"), [(32, 32, 255.38), (32, 4, 189.57), (32, 96, 290.18)])
def test_the_kl_has_a_bound_that_opposite_certainties_reach(latents, classes, bound):
    latent = CategoricalLatent(latents=latents, classes=classes)
    assert latent.kl_bound == pytest.approx(bound, abs=5e-3)
    sure = torch.zeros(2, latents, classes)
    sure[0, :, 0] = sure[1, :, 1] = 1e4
    q, p = (IndependentOneHot(x, latent.unimix) for x in sure)
    assert float(q.kl(p)) == pytest.approx(latent.kl_bound, rel=1e-4)
    assert CategoricalLatent(unimix=0.0).kl_bound == math.inf


def test_an_update_with_an_impossible_kl_is_refused():
    rule = Repo().build(1000, 10.0)
    losses, metrics, _ = rule.losses(
        Nats([[9.0, 12.0]]), Nats([[9.0, 12.0]]), torch.zeros(1, 2, dtype=torch.bool), rule.state()
    )
    assert losses["bottleneck"].isnan().all() and float(metrics["repo/kl_of_bound"]) == pytest.approx(1.2)


def test_free_nats_stop_the_gradient_and_leave_the_constraint_s_kl_alone():
    """KLs of 0.7 and 1.3, idle below 1: loss beta (1 + 1.3) / 2, K their mean."""
    rule = Repo(idle_below=1.0, init=2.0).build(1000, math.inf)
    kl = torch.tensor([[0.7, 1.3]])
    losses, metrics, _ = rule.losses(Nats(kl), Nats(kl), torch.zeros(1, 2, dtype=torch.bool), rule.state())
    assert losses["bottleneck"].mean().item() == pytest.approx(2.3) and float(metrics["repo/kl"]) == pytest.approx(1.0)


# In the agent.


def test_the_decoder_s_gradient_ends_at_the_features():
    one = agent()
    result = one.loss(*one.prepare_batch(to_tensors(probe.replayed_batch(one, SPEC))), one._sampler)
    grads = torch.autograd.grad(
        result.losses["recon_image"].mean(), list(one.world.parameters()), allow_unused=True, retain_graph=True
    )
    reached = {name for (name, _), g in zip(one.world.named_parameters(), grads, strict=True) if g is not None and g.any()}
    assert reached and all(name.startswith("decoder.") for name in reached)


def test_a_share_of_the_decoder_s_gradient_gets_through():
    """Same batch, same weights: the encoder's gradient of the reconstruction, against the whole one's."""

    def encoder_gradients(**changes):
        one = agent(**changes)
        result = one.loss(*one.prepare_batch(to_tensors(probe.replayed_batch(one, SPEC))), one._sampler)
        return torch.autograd.grad(result.losses["recon_image"].mean(), list(one.world.encoder.parameters()))

    parts = encoder_gradients(**{"agent.recon_grad": {"kind": "share", "share": 0.25}})
    for part, whole in zip(parts, encoder_gradients(**{"agent.recon_grad": {"kind": "through"}}), strict=True):
        torch.testing.assert_close(part, 0.25 * whole, rtol=1e-4, atol=1e-7)


def test_the_multiplier_is_stored_and_continues_bit_for_bit():
    one, other = agent(), agent()
    batch = probe.replayed_batch(one, SPEC)
    for _ in range(3):
        one.learn(batch)
    other.load(one.state())
    assert float(one.state()["kl/updates"]) == 3.0
    for dreamer in (one, other):
        dreamer.learn(batch)
    assert all(np.array_equal(x, other.state()[name]) for name, x in one.state().items())


def test_a_bad_batch_leaves_the_multiplier_alone():
    one = agent()
    batch = probe.replayed_batch(one, SPEC)
    one.learn(batch)
    before = {name: x for name, x in one.state().items() if name.startswith("kl/")}
    metrics, _ = one.learn(batch | {"reward": np.full_like(batch["reward"], np.nan)})
    assert float(metrics["optimizer/skipped"]) == 1
    assert before and all(np.array_equal(x, one.state()[name]) for name, x in before.items())


def test_the_multiplier_is_not_among_what_the_optimiser_moves():
    assert not any("kl" in name.split(".") or "beta" in name for name in trainable_parameters(agent().world, agent().behavior))


def test_rates_are_per_run():
    """100k steps at ratio 256 with 16 x 64: 25k updates."""
    run = study.single("atari100k/asterix", size="nano", ablation="repo", changes={"train.ratio": 256})
    assert build.total_updates(run) == 25_000


def test_preset_and_ablation_are_the_same_agent():
    one = study.single("counter/vector", size="nano", preset="repo")
    other = study.single("counter/vector", size="nano", ablation="repo")
    assert one.agent == other.agent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent.kl.target": 500.0}, "can never be reached"),
        ({"agent.kl.init": 20.0}, "lies outside"),
        ({"agent.kl.idle_below": 3.0}, "out of reach"),
    ],
)
def test_what_cannot_be_is_an_error(changes, message):
    with pytest.raises(BadInput, match=message):
        study.single("counter/vector", size="nano", preset="repo", changes=changes)


# Adaptation of a stored checkpoint.


def dreamproof(*arguments, status=0):
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert process.returncode == status, process.stderr
    return process


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short RePo run on pixels."""
    root = tmp_path_factory.mktemp("runs")
    small = [f"--set=train.{name}=4" for name in ("batch_size", "batch_length")]
    task = ["--task", "catch/sparse", "--size", "nano", "--ablation", "repo", "--steps", 60, "--set", "train.ratio=16"]
    dreamproof("run", *task, *small, "--episodes", 2, "--threads", 1, "--runs", root)
    (run,) = (root / "single").iterdir()
    return root, run


def test_adaptation_moves_the_encoder_alone_and_stands_beside_its_source(trained):
    root, source = trained
    noise = "distractor:where=dark"
    adapt = ["adapt", source, "--noise", noise, "--steps", 60, "--threads", 1]
    dreamproof(*adapt)
    (run,) = (path for path in (root / "single").iterdir() if "finetune" in path.name)
    before, after = (checkpoint.load(path / "checkpoint", replay=False).arrays["agent"] for path in (source, run))
    changed = {name for name in before if name.startswith("weights/") and not np.array_equal(before[name], after[name])}
    slow_critic = "weights/behavior.slow_critic."  # comes closer to a critic that stands still
    assert {name.split(".")[1] for name in changed if not name.startswith(slow_critic)} == {"encoder"}
    rows = [json.loads(line) for line in (run / "episodes.jsonl").read_text().splitlines()]
    assert {row["noise"] for row in rows if row["split"] == "train"} == {noise}
    assert {row["noise"] for row in rows if row["split"] == "eval"} == {"clean", noise}
    table = dreamproof("table", "robustness", root, "--format", "csv").stdout
    assert "repo+finetune" in table
    assert "done already" in dreamproof(*adapt).stderr


def test_what_cannot_be_adapted_is_said(trained, tmp_path):
    _, source = trained
    stderr = dreamproof("adapt", source, "--noise", "state_gaussian:std=1,unit=absolute", "--steps", 9, status=2).stderr
    assert "perturbs vectors" in stderr and "Traceback" not in stderr
    copy = tmp_path / "runs" / "single" / source.name
    shutil.copytree(source, copy)
    shutil.rmtree(copy / "checkpoint")
    assert "has not finished training" in dreamproof("adapt", copy, "--noise", "g20", "--steps", 9, status=2).stderr


# On real frames.


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["gaussian:sigma=40", "blackout:length=6,chance=0.05"])
def test_nothing_leaves_its_bound_on_real_frames(noise, tmp_path):
    """The short form of the stress battery of docs/repo.md: a fast dual, a target out of reach of so short a training."""
    small = ["train.batch_size=2", "train.batch_length=8", "train.ratio=16", "agent.kl.dual.e_folds=100", "train.log_every=5"]
    task = ["--task", "atari100k/asterix", "--size", "nano", "--preset", "repo", "--noise", noise, "--steps", 160]
    settings = [f"--set={x}" for x in (*small, "agent.kl.target=1")]
    dreamproof("run", *task, *settings, "--episodes", 1, "--threads", 1, "--runs", tmp_path)
    (run,) = (tmp_path / "single").iterdir()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "repo/kl" in row]  # the first are from before the first update
    assert len(rows) > 10 and all(row["optimizer/skipped"] == 0 for row in rows)
    kl, beta, loss = (np.array([row[f"repo/{name}"] for row in rows]) for name in ("kl", "beta", "loss"))
    updates = np.array([row["updates"] for row in rows])
    bound = CategoricalLatent(latents=8, classes=8).kl_bound
    assert (kl <= bound).all() and max(row["kl/max"] for row in rows) <= bound
    assert (beta >= 1e-6).all() and (beta <= 10).all() and (np.abs(loss) <= 10 * bound).all()
    assert (np.abs(np.log(beta / 1e-3)) <= 100 / 160 * updates + 1e-6).all() and np.ptp(beta) > 0


def test_nothing_of_the_kl_that_it_replaces_stays():
    """A part of another kind keeps the settings that both kinds have: free bits must not be among them."""
    part = study.single("counter/vector", size="nano", ablation="repo").agent.kl
    assert part == Repo()
