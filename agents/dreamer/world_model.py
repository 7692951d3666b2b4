"""The world model: latents along a sequence, and the loss of every prediction made from them.

Symbols: x_t observation, h_t and z_t latent state, a_t action, r_t reward, c_t continuation. B batch, T time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

from torch import Tensor, nn

from agents.dreamer.parts.discount import Discount
from agents.dreamer.parts.gradients import GradientGate
from agents.dreamer.parts.kl import Kl
from agents.dreamer.parts.target import ScalarDistribution
from agents.dreamer.rssm import RSSM, Latents, PosteriorLatents
from agents.nn.sampler import Sampler

Statistics = dict[str, dict[str, Tensor]]  # {part: {name: value}}


class Batch(TypedDict):
    """The trained steps of replayed sequences, as the networks read them."""

    obs: dict[str, Tensor]  # x_t, {key: (B, T, ...)}
    prev_action: Tensor  # a_{t-1} (B, T, A)
    reward: Tensor  # r_t, received on arrival at x_t (B, T)
    is_first: Tensor  # (B, T) bool, as the next two
    is_last: Tensor
    is_terminal: Tensor


class LossTerms(NamedTuple):
    losses: dict[str, Tensor]  # unweighted, (B, T) each
    metrics: dict[str, Tensor]  # scalars
    statistics: Statistics  # after the batch


class WorldModel(nn.Module):
    """Encoder, recurrent state-space model, decoder, reward head r^_t and continue head c^_t. Hafner et al. 2025, eq. 1."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        rssm: RSSM,
        decoder: nn.Module,
        reward: nn.Module,
        cont: nn.Module,
        kl: Kl,
        discount: Discount,
        recon_grad: GradientGate,
        reward_grad: GradientGate,
    ) -> None:
        super().__init__()
        self.encoder, self.rssm, self.decoder, self.reward, self.cont = encoder, rssm, decoder, reward, cont
        self._kl, self._discount = kl, discount
        self._recon_grad, self._reward_grad = recon_grad, reward_grad

    def observe(
        self, start: Latents, obs: Mapping[str, Tensor], prev_action: Tensor, is_first: Tensor, sampler: Sampler
    ) -> PosteriorLatents:
        """z_t ~ q(z_t | h_t, x_t) along a sequence (B, T, ...)."""
        return self.rssm.observe(start, self.encoder(obs), prev_action, is_first, sampler)

    def statistics(self) -> Statistics:
        """Initial statistics: what training changes beside the weights."""
        return {"kl": self._kl.state()}

    def losses(self, latents: PosteriorLatents, batch: Batch, statistics: Statistics) -> LossTerms:
        """The terms of L(phi) = beta_pred L_pred + beta_dyn L_dyn + beta_rep L_rep. Hafner et al. 2025, eqs. 2 and 3.

        The betas are the loss weights of the configuration; the sum is the agent's.
        """
        # L_dyn and L_rep: KL between q(z_t | h_t, x_t) and p(z_t | h_t).
        latent, feat = self.rssm.latent, latents.feat
        post = latent.distribution(latents.post)
        prior = latent.distribution(self.rssm.prior(latents.deter).float())
        losses, metrics, kl_state = self._kl.losses(post, prior, batch["is_first"], statistics["kl"])

        # L_pred: -ln p(x_t | h_t, z_t) for each observation, -ln p(r_t | h_t, z_t), -ln p(c_t | h_t, z_t).
        recons = self.decoder(self._recon_grad(latents.deter), self._recon_grad(latents.stoch.flatten(-2)))
        losses |= {f"recon_{key}": dist.nll(batch["obs"][key]) for key, dist in recons.items()}
        reward: ScalarDistribution = self.reward(self._reward_grad(feat))
        losses["reward"] = reward.nll(batch["reward"])
        losses["cont"] = self.cont(feat).nll(self._discount.continue_target(batch["is_terminal"]))

        metrics["latent/post_entropy"] = post.entropy().mean()
        metrics["latent/prior_entropy"] = prior.entropy().mean()
        metrics |= {f"latent/{name}": value for name, value in post.diagnostics().items()}
        metrics["reward/target_max"] = batch["reward"].abs().max()
        metrics["reward/constant"] = reward.constant_loss(batch["reward"])
        return LossTerms(losses, metrics, statistics | {"kl": kl_state})
