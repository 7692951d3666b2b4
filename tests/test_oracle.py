"""The official implementation's own numbers, for every instance in the folder of published data.

Sizes, layer counts, observation keys and the kind of action are read off the arrays' names and shapes.
"""

from __future__ import annotations

import math
import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.dreamer.config import Config
from agents.dreamer.rssm import Latents
from agents.nn.sampler import ModeSampler
from agents.protocol import JointSpace, Space, Spec

pytestmark = pytest.mark.numeric

PUBLISHED = Path(os.environ.get("DREAMPROOF_PUBLISHED", Path(__file__).parents[2] / "shared" / "published"))
INSTANCES = sorted([*PUBLISHED.glob("oracle_*.npz"), *PUBLISHED.glob("multihead*.npz")]) or [None]
NOT_OBSERVED = {"reward", "is_first", "is_last", "is_terminal"}

# Our module path -> theirs; the first pattern that matches counts. {n-i}: counted from the other end.
NAMES = [
    (r"world\.encoder\.parts\.vector\.mlp\.(\d+)\.linear", r"enc/mlp\1"),
    (r"world\.encoder\.parts\.vector\.mlp\.(\d+)\.norm", r"enc/mlp\1norm"),
    (r"world\.encoder\.parts\.image\.stages\.(\d+)\.norm", r"enc/cnn\1norm"),
    (r"world\.encoder\.parts\.image\.stages\.(\d+)", r"enc/cnn\1"),
    (r"world\.rssm\.core\.from_deter\.linear", "dyn/dynin0"),
    (r"world\.rssm\.core\.from_deter\.norm", "dyn/dynin0norm"),
    (r"world\.rssm\.core\.from_stoch\.linear", "dyn/dynin1"),
    (r"world\.rssm\.core\.from_stoch\.norm", "dyn/dynin1norm"),
    (r"world\.rssm\.core\.from_action\.linear", "dyn/dynin2"),
    (r"world\.rssm\.core\.from_action\.norm", "dyn/dynin2norm"),
    (r"world\.rssm\.core\.hidden_norm", "dyn/dynhid0norm"),
    (r"world\.rssm\.core\.hidden", "dyn/dynhid0"),
    (r"world\.rssm\.core\.gates", "dyn/dyngru"),
    (r"world\.rssm\.prior\.0\.(\d+)\.linear", r"dyn/prior\1"),
    (r"world\.rssm\.prior\.0\.(\d+)\.norm", r"dyn/prior\1norm"),
    (r"world\.rssm\.prior\.1", "dyn/priorlogit"),
    (r"world\.rssm\.posterior\.hidden\.linear", "dyn/obs0"),
    (r"world\.rssm\.posterior\.hidden\.norm", "dyn/obs0norm"),
    (r"world\.rssm\.posterior\.output", "dyn/obslogit"),
    (r"world\.decoder\.parts\.vector\.mlp\.(\d+)\.(linear|norm)", r"dec/mlp/\2\1"),
    (r"world\.decoder\.parts\.vector\.heads\.(\w+)\.output", r"dec/vec/\1/*"),
    (r"world\.decoder\.parts\.image\.from_deter", "dec/sp0"),
    (r"world\.decoder\.parts\.image\.from_stoch\.0\.linear", "dec/sp1"),
    (r"world\.decoder\.parts\.image\.from_stoch\.0\.norm", "dec/sp1norm"),
    (r"world\.decoder\.parts\.image\.from_stoch\.1", "dec/sp2"),
    (r"world\.decoder\.parts\.image\.norm", "dec/spnorm"),
    (r"world\.decoder\.parts\.image\.stages\.0\.norm", "dec/conv2norm"),
    (r"world\.decoder\.parts\.image\.stages\.1\.norm", "dec/conv1norm"),
    (r"world\.decoder\.parts\.image\.stages\.2\.norm", "dec/conv0norm"),
    (r"world\.decoder\.parts\.image\.stages\.0", "dec/conv2"),
    (r"world\.decoder\.parts\.image\.stages\.1", "dec/conv1"),
    (r"world\.decoder\.parts\.image\.stages\.2", "dec/conv0"),
    (r"world\.decoder\.parts\.image\.output", "dec/imgout"),
    (r"behavior\.actor\.heads\.(\w+)\.output\.first", r"pol/head/\1/mean"),
    (r"behavior\.actor\.heads\.(\w+)\.output\.second", r"pol/head/\1/stddev"),
    (r"behavior\.actor\.heads\.(\w+)\.output", r"pol/head/\1/logits"),
    (r"behavior\.actor\.output\.first", "pol/head/action/mean"),
    (r"behavior\.actor\.output\.second", "pol/head/action/stddev"),
    (r"behavior\.actor\.output", "pol/head/action/logits"),
    (r"(?:world|behavior)\.(\w+)\.trunk\.(\d+)\.(linear|norm)", r"\1/mlp/\3\2"),
    (r"(?:world|behavior)\.(\w+)\.output", r"\1/head/*"),
]
HEADS = {"reward/": "rew/", "cont/": "con/", "actor/": "pol/", "critic/": "val/", "slow_critic/": "slowval/"}
LEAVES = {"weight": "kernel", "bias": "bias", "scale": "scale"}
LOSSES = {"rew": "reward", "con": "cont", "repval": "replay_value"} | {k: k for k in ("dyn", "rep", "policy", "value")}


class Instance:
    """One file, the configuration it was written with, and an agent that carries its weights."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as arrays:
            self.arrays = dict(arrays)
        self.observed = sorted(k[4:] for k in self.arrays if k.startswith("obs/") and k[4:] not in NOT_OBSERVED)
        self.config, self.spec = self._config(), self._spec()

    def count(self, pattern: str) -> int:
        return sum(re.fullmatch(pattern, key) is not None for key in self.arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.arrays[f"param/{name}"].shape

    def _config(self) -> Config:
        image = "param/enc/cnn0/kernel" in self.arrays
        (deter, hidden), (_, _, latents, classes) = self.shape("dyn/dynin0/kernel"), self.arrays["post"].shape
        counts = {
            "prior": self.count(r"param/dyn/prior\d+/kernel"),
            "reward": self.count(r"param/rew/mlp/linear\d+/kernel"),
            "cont": self.count(r"param/con/mlp/linear\d+/kernel"),
            "critic": self.count(r"param/val/mlp/linear\d+/kernel"),
            "encoder": self.count(r"param/enc/mlp\d+/kernel") or 3,
            "decoder": self.count(r"param/dec/mlp/linear\d+/kernel") or 3,
        }
        return Config(
            deter=deter,
            hidden=hidden,
            units=self.shape("con/mlp/linear0/kernel")[1],
            depth=self.shape("enc/cnn0/kernel")[-1] // 2 if image else 1,
            decoder_blocks=self.shape("dec/sp0/kernel")[0] if image else 1,
            layers=counts,
            core={"blocks": self.shape("dyn/dynhid0/kernel")[0]},
            latent={"latents": latents, "classes": classes},
            reward={"bins": self.shape("rew/head/logits/kernel")[1]},
            value={"bins": self.shape("val/head/logits/kernel")[1]},
            actor={"unimix": 0.0, "layers": self.count(r"param/pol/mlp/linear\d+/kernel")},
            optimizer={"lr": 1e-3, "warmup": 2},
        )

    def _spec(self) -> Spec:
        obs = {}
        for key in self.observed:
            x = self.arrays[f"obs/{key}"]
            image, discrete = x.dtype == np.uint8 and x.ndim == 5, x.dtype.kind in "iu" and x.ndim == 2
            classes = self.arrays[self.name(f"world.decoder.parts.vector.heads.{key}.output.bias")].size if discrete else 0
            obs[key] = Space(x.shape[2:], "uint8" if image else "int32" if discrete else "float32", classes)
        if "prev_action" in self.arrays:
            return Spec(obs, self._action("action", self.arrays["prev_action"]))
        return Spec(obs, JointSpace.from_parts({name: self._action(name, x) for name, x in self.actions.items()}))

    @property
    def actions(self) -> dict[str, np.ndarray]:
        """The action before each step, by the name of its head, where there are several."""
        root = "prev_action/"
        return {key.removeprefix(root): x for key, x in self.arrays.items() if key.startswith(root)}

    def _action(self, name: str, action: np.ndarray) -> Space:
        shape = action.shape[2:]
        if action.dtype.kind in "iu":
            return Space(shape, "int32", self.shape(f"pol/head/{name}/logits/bias")[0] // math.prod(shape))
        return Space(shape, "float32")

    def name(self, ours: str, root: str = "param/") -> str:
        """Their key for one of our tensors."""
        module, leaf = ours.rsplit(".", 1)
        for pattern, theirs in NAMES:
            if match := re.fullmatch(pattern, module):
                key = match.expand(theirs)
                break
        else:
            raise KeyError(ours)
        head = next((h for h in HEADS if key.startswith(h)), "")
        key = f"param/{HEADS.get(head, '')}{key.removeprefix(head)}/{LEAVES[leaf]}"
        if "*" in key:
            key = next(k for k in self.arrays if re.fullmatch(key.replace("*", "[^/]+"), k))
        return root + key.removeprefix("param/")

    def tensor(self, ours: str, root: str, like: torch.Tensor) -> torch.Tensor:
        """Their array for one of our tensors, laid out as ours."""
        x = torch.from_numpy(self.arrays[self.name(ours, root)])
        if ours.endswith("weight"):
            block = re.search(r"core\.(hidden|gates)|from_deter\.weight", ours)
            x = x.movedim(0, 1).flatten(1) if block else x.permute(3, 2, 0, 1) if x.ndim == 4 else x.T
        assert x.shape == like.shape, ours
        return x

    def flushed(self, ours: str, like: torch.Tensor) -> torch.Tensor:
        """Where their optimiser's mean square was flushed to zero (see `flush_denormals`)."""
        grad = self.tensor(ours.replace("slow_critic", "critic"), "grad/", like).double()
        return (grad**2 * 1e-3 < torch.finfo(torch.float32).tiny).float()

    def cancelling(self, ours: str, like: torch.Tensor) -> torch.Tensor:
        """Where the gradient is a sum that cancels to 1e-8 of its tensor's norm: float32 does not determine its sign."""
        grad = self.tensor(ours.replace("slow_critic", "critic"), "grad/", like).double()
        return (grad != 0) & (grad.abs() <= 1e-8 * grad.norm())

    def agent(self):
        agent = self.config.build(self.spec, seed=0)
        with torch.no_grad():
            for name, p in named(agent):
                p.copy_(self.tensor(name, "param/", p))
        return agent

    def data(self, agent):
        """-> the state before the first step, and the sequence."""
        tensors = {k: torch.from_numpy(v) for k, v in self.arrays.items() if k.startswith("obs/")}
        data = {key: tensors[f"obs/{key}"] for key in NOT_OBSERVED}
        data["obs"] = {key: tensors[f"obs/{key}"] for key in self.observed}
        action = self.spec.action.join(self.actions) if self.actions else self.arrays["prev_action"]
        data["prev_action"] = agent._action_codec.encode(torch.from_numpy(action))
        return Latents(torch.from_numpy(self.arrays["h0"]), torch.from_numpy(self.arrays["z0"])), data


def named(agent):
    """Every weight of the agent, the slow critic's included."""
    yield from ((f"world.{name}", p) for name, p in agent.world.named_parameters())
    yield from ((f"behavior.{name}", p) for name, p in agent.behavior.named_parameters())


@pytest.fixture(scope="module", params=INSTANCES, ids=lambda path: path.stem if path else "absent")
def instance(request):
    if request.param is None:
        assert "CI" not in os.environ, f"no oracle_*.npz in {PUBLISHED}: CI must have the published data"
        pytest.skip(f"no oracle_*.npz in {PUBLISHED}; set DREAMPROOF_PUBLISHED")
    return load(request.param)


@cache
def load(path: Path) -> Instance:
    return Instance(path)


@pytest.fixture(scope="module")
def first_loss(instance):
    """-> agent, its loss on the first batch, with gradients."""
    agent = instance.agent()
    agent.optimizer.zero_grad()
    result = agent.loss(*instance.data(agent), ModeSampler())
    result.total.backward()
    return agent, result


def near(ours: torch.Tensor, theirs: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-5, atol=1e-5, err_msg=what)


def test_every_array_has_a_place(instance, first_loss):
    ours = {instance.name(name) for name, _ in named(first_loss[0])}
    theirs = {key for key in instance.arrays if key.startswith("param/") and "retnorm" not in key}
    assert ours == theirs


def test_activations(instance, first_loss):
    agent, result = first_loss
    _, data = instance.data(agent)
    seq, arrays, world = result.latents, instance.arrays, agent.world
    near(world.encoder(data["obs"]), arrays["tokens"], "tokens")
    near(seq.deter, arrays["deter"], "deter")
    near(seq.stoch, arrays["stoch"], "stoch")
    near(seq.post, arrays["post"].reshape(seq.post.shape), "post")
    near(world.rssm.prior(seq.deter), arrays["prior"].reshape(seq.post.shape), "prior")


def test_predictions(instance, first_loss):
    agent, result = first_loss
    seq, arrays = result.latents, instance.arrays
    for key, dist in agent.world.decoder(seq.deter, seq.stoch.flatten(-2)).items():
        if f"recon/{key}" in arrays and hasattr(dist, "mean"):
            near(dist.mean, arrays[f"recon/{key}"], key)
    near(agent.world.reward(seq.feat).mean, arrays["reward"], "reward")
    near(agent.world.cont(seq.feat).mean, arrays["cont"], "cont")
    near(agent.behavior.critic(seq.feat).mean, arrays["value"], "value")
    near(agent.behavior.slow_critic(seq.feat).mean, arrays["slow_value"], "slow_value")


def test_losses(instance, first_loss):
    _, result = first_loss
    theirs = {key[5:]: x for key, x in instance.arrays.items() if key.startswith("loss/")}
    np.testing.assert_allclose(result.total.item(), theirs.pop("total"), rtol=1e-5)
    names = {LOSSES.get(key, f"recon_{key}"): key for key in theirs}
    assert names.keys() == result.losses.keys()
    for ours, key in names.items():
        np.testing.assert_allclose(result.losses[ours].detach().numpy(), theirs[key], rtol=1e-5, err_msg=key)


def test_statistics_of_imagination(instance, first_loss):
    names = {"tar": "return", "adv": "advantage", "adv_std": "advantage_std", "weight": "weight", "rew": "reward"}
    names |= {"con": "cont", "val": "value", "slowval": "slow_value"}
    for theirs, ours in names.items():
        near(first_loss[1].metrics[f"behavior/{ours}"], instance.arrays[f"metric/{theirs}"], theirs)


def test_entropy_of_each_action(instance, first_loss):
    metrics = first_loss[1].metrics
    for name in instance.actions:
        near(metrics[f"actor/{name}/entropy"], instance.arrays[f"metric/ent/{name}"], name)
    if instance.actions:
        total = sum(float(metrics[f"actor/{name}/entropy"]) for name in instance.actions)
        assert float(metrics["behavior/entropy"]) == pytest.approx(total, rel=1e-6)
    assert len(instance.actions) != 1


def test_gradients(instance, first_loss):
    """Each tensor's gradient to 1e-4 of its norm."""
    for name, p in named(first_loss[0]):
        if p.requires_grad:
            theirs = instance.tensor(name, "grad/", p)
            error = (p.grad - theirs).norm() / theirs.norm().clamp(min=1e-12)
            assert error < 1e-4, f"{name}: {error:.2e}"


@pytest.fixture
def flush_denormals():
    """XLA on a CPU flushes denormals to zero, torch by default does not.

    It shows in the far bins of reward and critic: a gradient below 3e-18 has a mean square below 1.2e-38, and where that
    is flushed the step is the gradient over eps = 1e-20, hundreds of times too long. The numbers were written that way.
    Such a step (at most a few hundred weights) is known as well as its gradient, to 1e-4 of itself: where the gradient is a
    cancelling sum, float64 arithmetic is no nearer to the published weights than float32. All others are held to 1e-5.
    """
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


def test_updates(instance, flush_denormals):
    """Weights, slow critic and return statistics after one, two and three updates on the same batch.

    LaProp moves a weight by its gradient's sign. Where rounding decides that sign, a weight may be off: at most one in 5000.
    """
    agent = instance.agent()
    start, data = instance.data(agent)
    before = {name: p.detach().clone() for name, p in named(agent)}
    for n in (1, 2, 3):
        result, _, _ = agent.update(start, data, ModeSampler())
        off, total = 0, 0
        np.testing.assert_allclose(result.total.item(), instance.arrays[f"after{n}/loss"], rtol=1e-5)
        for name, p in named(agent):
            theirs = instance.tensor(name, f"after{n}/", p)
            excess = (p.detach() - theirs).abs() - instance.flushed(name, p) * 1e-4 * (theirs - before[name]).abs()
            off, total = off + int((excess >= 1e-5).sum()), total + p.numel()
            excess = excess.masked_fill(instance.cancelling(name, p), 0)
            assert excess.max() < 1e-5, f"{name}, update {n}: off by {excess.max():.2e}"
        assert off <= total / 5000, f"update {n}: {off} of {total} weights are off, by their gradient's sign"
        for ours, theirs in (("low", "lo"), ("high", "hi")):
            scale = agent._statistics["return_scale"][ours]
            np.testing.assert_allclose(scale, instance.arrays[f"after{n}/retnorm/{theirs}/value"], rtol=0, atol=1e-5)
