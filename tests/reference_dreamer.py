"""DreamerV3's losses as plain as they can be written: one step after the other, in float64, nothing fused or shared.

Written from the paper (Hafner et al. 2025, Methods) for the default configuration with an image or vectors. `P` holds the
weights under the names that the agent gives them. B batch, T time, N = B*T imagined roll-outs, H imagined steps, D deter,
S latents, C classes, K bins; `Z` is the flat sample of width S*C.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

H, GAMMA, LAMBDA, ENTROPY, UNIMIX, FREE = 15, 1 - 1 / 333, 0.95, 3e-4, 0.01, 1.0
WEIGHTS = {"reward": 1.0, "cont": 1.0, "dyn": 1.0, "rep": 0.1, "policy": 1.0, "value": 1.0, "replay_value": 0.3}


class Reference:
    """`P`: {name: float64 weight}; `latents`, `classes`, `bins`, `blocks`: sizes; `seed` of the random numbers."""

    def __init__(self, P, *, latents, classes, bins, blocks, discrete, seed):
        self.P, self.S, self.C, self.G, self.discrete = P, latents, classes, blocks, discrete
        half = torch.linspace(-20, 0, (bins + 1) // 2)  # the bins are float32 numbers by definition
        half = -(-half).expm1()
        self.bins = torch.cat([half, -half.flip(0)[1:]]).double()
        self.generator, self.columns = torch.Generator().manual_seed(seed), None

    # Layers

    def linear(self, name, x):
        return x @ self.P[f"{name}.weight"].T + self.P[f"{name}.bias"]

    def norm(self, name, x):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-4) * self.P[f"{name}.scale"]

    def dense(self, name, x):
        return F.silu(self.norm(f"{name}.norm", self.linear(f"{name}.linear", x)))

    def mlp(self, name, x):
        i = 0
        while f"{name}.{i}.linear.weight" in self.P:
            x = self.dense(f"{name}.{i}", x)
            i += 1
        return x

    def block_linear(self, name, chunks):
        """One input (N, I) per block -> one output per block."""
        weights = self.P[f"{name}.weight"].chunk(len(chunks), 1)
        biases = self.P[f"{name}.bias"].chunk(len(chunks))
        return [x @ w + b for x, w, b in zip(chunks, weights, biases, strict=True)]

    # Random numbers

    def uniforms(self, shape):
        """(N, ...): the next columns of the imagined step's table, or fresh numbers."""
        if self.columns is None:
            return torch.rand(shape, generator=self.generator).double()
        values, self.columns = self.columns.split([shape[1:].numel(), self.columns.shape[1] - shape[1:].numel()], 1)
        return values.reshape(shape).double()

    def one_hots(self, probs):
        """Samples of categoricals (..., C) by their cumulated probabilities."""
        u = self.uniforms(probs.shape[:-1])
        index = (u.unsqueeze(-1) >= probs.cumsum(-1)).sum(-1).clamp(max=probs.shape[-1] - 1)
        return F.one_hot(index, probs.shape[-1]).double()

    def latent_probs(self, logits):
        return (1 - UNIMIX) * logits.unflatten(-1, (self.S, self.C)).softmax(-1) + UNIMIX / self.C

    def sample(self, logits):
        """Straight-through: the sample forward, the probabilities backward."""
        probs = self.latent_probs(logits)
        return (self.one_hots(probs.detach()) + probs - probs.detach()).flatten(-2)

    # World model

    def encode(self, obs):
        parts = []
        vectors = sorted(key for key, x in obs.items() if x.dtype != torch.uint8)
        if vectors:
            width = {k: self.P[f"world.decoder.parts.vector.heads.{k}.output.bias"].numel() for k in vectors}
            inputs = [F.one_hot(obs[k].long(), width[k]).double() if obs[k].dtype == torch.int32 else symlog(obs[k].double())
                    for k in vectors]  # fmt: skip
            parts.append(self.mlp("world.encoder.parts.vector.mlp", torch.cat(inputs, -1)))
        for key in sorted(set(obs) - set(vectors)):
            x = obs[key].flatten(0, 1).double() / 255 - 0.5
            for i in range(4):
                name = f"world.encoder.parts.image.stages.{i}"
                x = F.conv2d(x.permute(0, 3, 1, 2), self.P[f"{name}.weight"], self.P[f"{name}.bias"], padding=2)
                x = F.silu(self.norm(f"{name}.norm", F.max_pool2d(x, 2).permute(0, 2, 3, 1)))
            parts.append(x.flatten(1).unflatten(0, obs[key].shape[:2]))
        return torch.cat(parts, -1)

    def core(self, h, z, action):
        """Block GRU: h (N, D), z (N, Z), action (N, A) -> next h."""
        name = "world.rssm.core"
        action = action / torch.clamp(action.abs(), min=1).detach()
        shared = [
            self.dense(f"{name}.from_deter", h),
            self.dense(f"{name}.from_stoch", z),
            self.dense(f"{name}.from_action", action),
        ]
        inputs = [torch.cat([block, *shared], -1) for block in h.chunk(self.G, -1)]
        hidden = F.silu(self.norm(f"{name}.hidden_norm", torch.cat(self.block_linear(f"{name}.hidden", inputs), -1)))
        gates = [y.chunk(3, -1) for y in self.block_linear(f"{name}.gates", hidden.chunk(self.G, -1))]
        reset, cand, update = (torch.cat(gate, -1) for gate in zip(*gates, strict=True))
        cand, update = torch.tanh(torch.sigmoid(reset) * cand), torch.sigmoid(update - 1)
        return update * cand + (1 - update) * h

    def prior(self, h):
        return self.linear("world.rssm.prior.1", self.mlp("world.rssm.prior.0", h))

    def posterior(self, h, embed):
        return self.linear("world.rssm.posterior.output", self.dense("world.rssm.posterior.hidden", torch.cat([h, embed], -1)))

    def observe(self, h, z, embed, action, first):
        """-> h (B, T, D), z (B, T, Z), posterior logits."""
        states = []
        for t in range(embed.shape[1]):
            keep = (~first[:, t]).double().unsqueeze(-1)
            h = self.core(h * keep, z * keep, action[:, t] * keep)
            post = self.posterior(h, embed[:, t])
            z = self.sample(post)
            states.append((h, z, post))
        return tuple(torch.stack(x, 1) for x in zip(*states, strict=True))

    def decode_losses(self, h, z, obs):
        losses = {}
        vectors = sorted(key for key, x in obs.items() if x.dtype != torch.uint8)
        x = self.mlp("world.decoder.parts.vector.mlp", torch.cat([z, h], -1)) if vectors else None
        for key in vectors:
            out = self.linear(f"world.decoder.parts.vector.heads.{key}.output", x)
            if obs[key].dtype == torch.int32:
                losses[key] = -out.log_softmax(-1).gather(-1, obs[key].long().unsqueeze(-1)).squeeze(-1)
            else:
                losses[key] = ((out - symlog(obs[key].double())) ** 2).sum(-1)
        for key in sorted(set(obs) - set(vectors)):
            losses[key] = ((self.decode_image(h, z, obs[key].shape[2]) - obs[key].double() / 255) ** 2).sum((-3, -2, -1))
        return losses

    def decode_image(self, h, z, size):
        name, low = "world.decoder.parts.image", size // 16
        blocks = self.block_linear(f"{name}.from_deter", h.flatten(0, 1).chunk(8, -1))
        deter_map = torch.cat([y.unflatten(-1, (low, low, -1)) for y in blocks], -1)
        dense = self.linear(f"{name}.from_stoch.1", self.dense(f"{name}.from_stoch.0", z.flatten(0, 1)))
        x = F.silu(self.norm(f"{name}.norm", deter_map + dense.unflatten(-1, (low, low, -1))))
        for stage in (f"{name}.stages.0", f"{name}.stages.1", f"{name}.stages.2", f"{name}.output"):
            x = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="nearest")
            x = F.conv2d(x, self.P[f"{stage}.weight"], self.P[f"{stage}.bias"], padding=2).permute(0, 2, 3, 1)
            if not stage.endswith("output"):
                x = F.silu(self.norm(f"{stage}.norm", x))
        return torch.sigmoid(x).unflatten(0, h.shape[:2])

    # Heads

    def logits(self, name, feat):
        return self.linear(f"{name}.output", self.mlp(f"{name}.trunk", feat))

    def expected(self, name, feat):
        return (self.logits(name, feat).softmax(-1) * self.bins).sum(-1)

    def scalar_nll(self, name, feat, target):
        return -(two_hot(target, self.bins) * self.logits(name, feat).log_softmax(-1)).sum(-1)

    def policy(self, feat):
        """-> (sample(), log_prob(action), entropy)."""
        if self.discrete:
            logits = self.logits("behavior.actor", feat)
            probs = (1 - UNIMIX) * logits.softmax(-1) + UNIMIX / logits.shape[-1]
            return lambda: self.one_hots(probs), lambda a: (probs.log() * a).sum(-1), -(probs * probs.log()).sum(-1)
        x = self.mlp("behavior.actor.trunk", feat)
        mean = torch.tanh(self.linear("behavior.actor.output.first", x))
        std = 0.9 * torch.sigmoid(self.linear("behavior.actor.output.second", x) + 2) + 0.1
        normal = torch.distributions.Normal(mean, std)

        def draw():
            return normal.icdf(self.uniforms(mean.shape).clamp(2**-25, 1 - 2**-25))

        return draw, lambda a: normal.log_prob(a).sum(-1), normal.entropy().sum(-1)

    # Everything

    def losses(self, batch):
        """A replayed batch of arrays (B, 1 + T, ...) -> ({name: (B, T)}, total)."""
        tensor = {key: torch.from_numpy(x.view(np.int16) if x.dtype == np.uint16 else x) for key, x in batch.items()}
        flags = {key: tensor[key][:, 1:] for key in ("is_first", "is_last", "is_terminal")}
        obs = {key: x[:, 1:] for key, x in tensor.items() if key in self.observed(tensor)}
        reward, actions = tensor["reward"][:, 1:].double(), tensor["action"][:, :-1]
        actions = F.one_hot(actions.long(), self.P["behavior.actor.output.bias"].numel()) if self.discrete else actions
        h0 = tensor["deter"][:, 0].view(torch.bfloat16).double()
        z0 = F.one_hot(tensor["stoch"][:, 0].long(), self.C).double().flatten(-2)

        h, z, post = self.observe(h0, z0, self.encode(obs), actions.double(), flags["is_first"])
        feat = torch.cat([h, z], -1)
        q, p = self.latent_probs(post), self.latent_probs(self.prior(h))
        losses = {
            "dyn": kl(q.detach(), p).clamp(min=FREE),
            "rep": kl(q, p.detach()).clamp(min=FREE),
            "reward": self.scalar_nll("world.reward", feat, reward),
        }
        cont = self.logits("world.cont", feat).squeeze(-1).sigmoid()
        goes_on = (~flags["is_terminal"]).double() * GAMMA
        losses["cont"] = -(goes_on * cont.log() + (1 - goes_on) * (1 - cont).log())
        losses |= {f"recon_{key}": loss for key, loss in self.decode_losses(h, z, obs).items()}
        more, bootstrap = self.behave(h.detach().flatten(0, 1), z.detach().flatten(0, 1))
        losses |= {name: loss.unflatten(0, h.shape[:2]) for name, loss in more.items()}
        losses["replay_value"] = self.replay_value(feat, reward, flags, bootstrap.unflatten(0, h.shape[:2]))
        return losses, sum(WEIGHTS.get(name, 1.0) * loss.mean() for name, loss in losses.items())

    def observed(self, names):
        return set(names) - {"reward", "action", "is_first", "is_last", "is_terminal", "deter", "stoch"}

    def behave(self, h, z):
        """Imagine from N states -> losses of actor and critic (N,), the returns of the first states (N,)."""
        feats, actions = [torch.cat([h, z], -1)], []
        with torch.no_grad():
            action_uniforms = 1 if self.discrete else len(self.P["behavior.actor.output.first.bias"])
            for _ in range(H):
                self.columns = torch.rand((len(h), action_uniforms + self.S), generator=self.generator)
                actions.append(self.policy(feats[-1])[0]())
                h = self.core(h, z, actions[-1])
                z = self.sample(self.prior(h))
                feats.append(torch.cat([h, z], -1))
            reward = [self.expected("world.reward", feat) for feat in feats]
            cont = [self.logits("world.cont", feat).squeeze(-1).sigmoid() for feat in feats]
            value = [self.expected("behavior.critic", feat) for feat in feats]
            slow = [self.expected("behavior.slow_critic", feat) for feat in feats]
            returns = [value[H]]
            for k in reversed(range(H)):
                returns.insert(0, reward[k + 1] + cont[k + 1] * ((1 - LAMBDA) * value[k + 1] + LAMBDA * returns[0]))
            trajectory_weight = torch.stack(cont).cumprod(0)
            low, high = (0.01 * torch.quantile(torch.stack(returns[:H]), q) for q in (0.05, 0.95))
            scale = torch.clamp(high - low, min=1.0)
        policy, critic = 0.0, 0.0
        for k in range(H):
            _, log_prob, entropy = self.policy(feats[k])
            objective = log_prob(actions[k]) * (returns[k] - value[k]) / scale + ENTROPY * entropy
            policy = policy - trajectory_weight[k] * objective / H
            targets = (returns[k], slow[k])
            critic = critic + trajectory_weight[k] * sum(self.scalar_nll("behavior.critic", feats[k], y) for y in targets) / H
        return {"policy": policy, "value": critic}, returns[0]

    def replay_value(self, feat, reward, flags, bootstrap):
        """The critic on replayed steps but the last: (B, T-1)."""
        returns, losses = bootstrap[:, -1], []
        for t in reversed(range(reward.shape[1] - 1)):
            lam_t = (~flags["is_last"][:, t + 1]).double() * LAMBDA
            discount_t = (~flags["is_terminal"][:, t + 1]).double() * GAMMA
            returns = reward[:, t + 1] + discount_t * ((1 - lam_t) * bootstrap[:, t + 1] + lam_t * returns)
            slow = self.expected("behavior.slow_critic", feat[:, t]).detach()
            both = sum(self.scalar_nll("behavior.critic", feat[:, t], y) for y in (returns, slow))
            losses.insert(0, both * (~flags["is_last"][:, t]).double())
        return torch.stack(losses, 1)


def symlog(x):
    return torch.sign(x) * torch.log(1 + x.abs())


def kl(q, p):
    """Of S categoricals (..., S, C), nats, summed over S."""
    return (q * (q.log() - p.log())).sum((-1, -2))


def two_hot(target, bins):
    """(...) -> (..., K): the share of each bin, linear between the two neighbours."""
    target = target.clamp(bins[0], bins[-1])
    above = (bins < target.unsqueeze(-1)).sum(-1).clamp(1, len(bins) - 1)
    low, high = bins[above - 1], bins[above]
    share = ((target - low) / (high - low)).unsqueeze(-1)
    return F.one_hot(above - 1, len(bins)) * (1 - share) + F.one_hot(above, len(bins)) * share
