"""The recurrent state-space model: one step, a sequence with observations, a roll-out of imagination.

Symbols: h_t `deter`, z_t `stoch`, x_t observation (here its `embed`), a_t action.
Shapes: B batch, T time, N rows, D width of h, S latents of C classes, E width of embed, A action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.dreamer.parts.latent import Latent
from agents.nn.functional import cast, compile_for_learning
from agents.nn.gru import SequenceModel, StepFn
from agents.nn.layers import Dense, Linear
from agents.nn.sampler import Sampler

PolicyFn = Callable[[Tensor, Sampler], Tensor]  # feat (N, F), the step's sampler -> action (N, A)
PosteriorFn = Callable[[Tensor, Tensor], Tensor]  # h_t (N, D), embed input -> logits (N, S*C)
Models = tuple[StepFn, PosteriorFn]  # sequence model, representation model
LatentState = tuple[Tensor, Tensor]  # h_t (N, D), z_t (N, S, C)
PosteriorScan = tuple[LatentState, tuple[Tensor, ...]]  # the last state; deter, stoch and logits of all steps
PriorScan = tuple[LatentState, list[Tensor], list[Tensor]]  # the last state; actions; feat after each
StepInputs = tuple[Tensor, Tensor, Tensor]  # keep (0 where an episode begins), action input, embed input
# Steps in one compiled graph, of a sequence and of imagination: more are fewer calls, and longer compilation.
POSTERIOR_CHUNK, PRIOR_CHUNK = 2, 3


@dataclass(frozen=True)
class Latents:
    """Latent states with any batch shape."""

    deter: Tensor  # h (..., D)
    stoch: Tensor  # z (..., S, C)

    @property
    def feat(self) -> Tensor:
        """What every head reads, h and z: (..., F), F = D + S*C."""
        return torch.cat([self.deter, self.stoch.flatten(-2)], -1)

    def detached_rows(self) -> Latents:
        """(B, T, ...) -> (B*T, ...), without gradient."""
        return Latents(self.deter.detach().flatten(0, 1), self.stoch.detach().flatten(0, 1))


@dataclass(frozen=True)
class PosteriorLatents(Latents):
    """Latent states that were sampled with observations."""

    post: Tensor  # raw logits of q(z | h, x), (..., S*C)


class Posterior(nn.Module):
    """Logits of q(z_t | h_t, x_t): one hidden layer on h_t and the embedding of x_t."""

    def __init__(self, deter: int, hidden: Dense, output: Linear) -> None:
        super().__init__()
        self._deter = deter
        self.hidden, self.output = hidden, output

    def embed_input(self, embed: Tensor) -> Tensor:
        """What the embeddings (..., E) add to the hidden layer. It does not depend on the state."""
        weight = self.hidden.linear.weight[:, self._deter :]
        return nn.functional.linear(embed, weight, self.hidden.linear.bias).float()

    def step_fn(self) -> PosteriorFn:
        """One step, for use in one scan. The weight is split here, once (see `BlockGRU.step_fn`)."""
        weight = cast(self.hidden.linear.weight[:, : self._deter]).t()

        def step(deter: Tensor, embed_input: Tensor) -> Tensor:
            return self.output(self.hidden.finish(torch.addmm(embed_input, cast(deter), weight))).float()

        return step


class RSSM(nn.Module):
    """The recurrent state-space model. Hafner et al. 2025, eq. 1.

    Sequence model `core`:                        h_t = f(h_{t-1}, z_{t-1}, a_{t-1})
    Representation model `posterior` (encoder):   z_t ~ q(z_t | h_t, x_t)
    Dynamics predictor `prior`:                   z^_t ~ p(z^_t | h_t)
    """

    def __init__(self, *, core: SequenceModel, prior: nn.Sequential, posterior: Posterior, latent: Latent) -> None:
        super().__init__()
        self.core, self.prior, self.posterior = core, prior, posterior
        self.latent = latent
        self._posterior_chunk: int | None = None  # steps in one call of a scan; None: all
        self._prior_chunk: int | None = None
        self._posterior_scan: Callable[..., PosteriorScan] = self._scan_posterior  # or compiled, see `compile_steps`
        self._prior_scan: Callable[..., PriorScan] = self._scan_prior

    # One step.

    def posterior_step(
        self, models: Models, state: LatentState, inputs: StepInputs, sampler: Sampler
    ) -> tuple[Tensor, Tensor, Tensor]:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}), z_t ~ q(z_t | h_t, x_t) -> h_t, z_t, logits of q."""
        sequence_model, representation_model = models
        h, z = state
        keep, action_input, embed_input = inputs
        h = sequence_model(h * keep, z.flatten(-2) * keep, action_input)
        logits = representation_model(h, embed_input)
        z = self.latent.sample(logits, sampler)
        return h, z, logits

    def prior_step(self, sequence_model: StepFn, state: LatentState, action: Tensor, sampler: Sampler) -> LatentState:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}), z^_t ~ p(z^_t | h_t) -> h_t, z^_t."""
        h, z = state
        h = sequence_model(h, z.flatten(-2), self.core.action_input(action))
        z = self.latent.sample(self.prior(h).float(), sampler)
        return h, z

    # Many steps.

    def observe(
        self, start: Latents, embed: Tensor, prev_action: Tensor, is_first: Tensor, sampler: Sampler
    ) -> PosteriorLatents:
        """`posterior_step` along a sequence.

        The state before it, embed (B, T, E), a_{t-1} (B, T, A), is_first (B, T) -> latents (B, T, ...). Where a step is
        the first of its episode, h_{t-1}, z_{t-1} and a_{t-1} count as zero.
        """
        batch, steps = is_first.shape
        # What does not depend on the state is computed for all steps at once.
        keep = (~is_first).float().unsqueeze(-1)  # (B, T, 1)
        inputs = keep, self.core.action_input(prev_action * keep), self.posterior.embed_input(embed)
        models = self.core.step_fn(), self.posterior.step_fn()
        state = start.deter, start.stoch
        if self._posterior_chunk and torch.is_grad_enabled():  # as all later states do: one graph then serves every chunk
            state = start.deter.requires_grad_(), start.stoch.requires_grad_()
        chunks = []
        for chunk in zip(*(x.split(self._posterior_chunk or steps, 1) for x in inputs), strict=True):
            samplers = [sampler.prefetch(batch, self.latent.num_uniforms) for _ in range(chunk[0].shape[1])]
            state, sequence = self._posterior_scan(models, state, chunk, samplers)
            chunks.append(sequence)
        return PosteriorLatents(*(torch.cat(x, 1) for x in zip(*chunks, strict=True)))

    def imagine(
        self, start: Latents, policy: PolicyFn, steps: int, sampler: Sampler, action_uniforms: int
    ) -> tuple[Tensor, Tensor]:
        """`prior_step` under `policy` from N rows -> feat (steps+1, N, F), actions (steps, N, A).

        The first state is `start`; each action is chosen in the state of the same index. `policy` takes `action_uniforms`
        uniform numbers from the step's sampler.
        """
        sequence_model, state = self.core.step_fn(), (start.deter, start.stoch)
        num_uniforms = action_uniforms + self.latent.num_uniforms
        feats: list[Tensor] = [cast(start.feat)]
        actions: list[Tensor] = []
        while len(actions) < steps:
            length = min(self._prior_chunk or steps, steps - len(actions))
            samplers = [sampler.prefetch(len(start.deter), num_uniforms) for _ in range(length)]
            state, new_actions, new_feats = self._prior_scan(sequence_model, policy, state, feats[-1], samplers)
            actions += new_actions
            feats += new_feats
        return torch.stack(feats), torch.stack(actions)

    # Scans: the steps of one chunk. `compile_steps` compiles these two.

    def compile_steps(self) -> None:
        """From now on learning calls compiled scans: one graph per chunk, made once. A whole scan would compile for minutes."""
        self._posterior_chunk, self._prior_chunk = POSTERIOR_CHUNK, PRIOR_CHUNK
        # On a CPU the code that calls the kernels becomes C++ too. In Python the calls for 16 rows take as long as the kernels.
        options = {"cpp_wrapper": next(self.parameters()).is_cpu}
        self._posterior_scan = compile_for_learning(self._scan_posterior, **options)
        self._prior_scan = compile_for_learning(self._scan_prior, **options)

    def _scan_posterior(self, models: Models, state: LatentState, inputs: StepInputs, samplers: list[Sampler]) -> PosteriorScan:
        """Inputs (B, t, ...) -> the last state; deter, stoch and logits of all t steps (B, t, ...)."""
        steps = []
        keeps, action_inputs, embed_inputs = (x.unbind(1) for x in inputs)
        for keep, action_input, embed_input, sampler in zip(keeps, action_inputs, embed_inputs, samplers, strict=True):
            h, z, logits = self.posterior_step(models, state, (keep, action_input, embed_input), sampler)
            state = h, z
            steps.append((h, z, logits))
        return state, tuple(torch.stack(x, 1) for x in zip(*steps, strict=True))

    def _scan_prior(
        self, sequence_model: StepFn, policy: PolicyFn, state: LatentState, feat: Tensor, samplers: list[Sampler]
    ) -> PriorScan:
        """`feat` is that of `state` -> the last state, the actions, and feat after each of them."""
        actions, feats = [], []
        for sampler in samplers:
            action = policy(feat, sampler)
            state = self.prior_step(sequence_model, state, action, sampler)
            feat = cast(Latents(*state).feat)
            actions.append(action)
            feats.append(feat)
        return state, actions, feats
