"""The world model: what a sequence looked like from inside, and how wrong every prediction was.

B batch, T time; `data` holds observations, previous actions, rewards and episode marks, all (B, T, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from agents.dreamer.rssm import RSSM, Latents

Statistics = dict[str, dict[str, Tensor]]  # {part: {name: value}}
Terms = tuple[dict[str, Tensor], dict[str, Tensor], Statistics]  # losses (B, T), metrics, statistics after the batch


class WorldModel(nn.Module):
    """Encoder, dynamics, decoder, reward and continue head."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        rssm: RSSM,
        decoder: nn.Module,
        reward: nn.Module,
        cont: nn.Module,
        kl: Any,
        horizon: Any,
        recon_grad: Any,
        reward_grad: Any,
    ) -> None:
        super().__init__()
        self.encoder, self.rssm, self.decoder, self.reward, self.cont = encoder, rssm, decoder, reward, cont
        self._kl, self._horizon = kl, horizon
        self._recon_grad, self._reward_grad = recon_grad, reward_grad

    def observe(self, start: Latents, data: Mapping[str, Any], sampler: Any) -> Latents:
        """Sample the posterior along a sequence."""
        return self.rssm.observe(start, self.encoder(data["obs"]), data["prev_action"], data["is_first"], sampler)

    def statistics(self) -> Statistics:
        """What moves beside the weights, at its start."""
        return {"kl": self._kl.state()}

    def losses(self, seq: Latents, data: Mapping[str, Any], stats: Statistics) -> Terms:
        """Losses of everything that explains the sequence."""
        latent, feat = self.rssm.latent, seq.feat
        post = latent.distribution(seq.post)
        prior = latent.distribution(self.rssm.prior(seq.deter).float())
        losses, metrics, kl = self._kl.losses(post, prior, data["is_first"], stats["kl"])

        recons = self.decoder(self._recon_grad(seq.deter), self._recon_grad(seq.stoch.flatten(-2)))
        losses |= {f"recon_{key}": dist.nll(data["obs"][key]) for key, dist in recons.items()}
        reward = self.reward(self._reward_grad(feat))
        losses["reward"] = reward.nll(data["reward"])
        losses["cont"] = self.cont(feat).nll(self._horizon.continue_target(data["is_terminal"]))

        metrics["latent/post_entropy"] = post.entropy().mean()
        metrics["latent/prior_entropy"] = prior.entropy().mean()
        metrics |= {f"latent/{name}": value for name, value in post.diagnostics().items()}
        metrics["reward/target_max"] = data["reward"].abs().max()
        metrics["reward/constant"] = reward.constant_loss(data["reward"])
        return losses, metrics, stats | {"kl": kl}
