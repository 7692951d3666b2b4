"""Distributions over network outputs: one-hots, two-hot scalars, continuation, bounded normal. All in float32.

S latents, C classes, A action dimensions, K bins.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agents.nn.functional import AutogradContext, mixed_softmax, symexp, symlog

if TYPE_CHECKING:
    from agents.nn.sampler import Sampler


class cached_tensor:
    """`functools.cached_property` without its lock, which a compiler cannot see through."""

    def __init__(self, compute: Callable[[Any], Tensor]) -> None:
        self._compute = compute

    def __get__(self, instance: Any, owner: type) -> Tensor:
        value = self._compute(instance)
        setattr(instance, self._compute.__name__, value)
        return value


def one_hot(index: Tensor, classes: int) -> Tensor:
    """(...) -> (..., classes) float32. An index outside the classes gives zeros."""
    return (index.unsqueeze(-1) == torch.arange(classes, device=index.device)).float()


class Categorical:
    """One-hot vectors over the last axis; a share `unimix` of the uniform distribution is part of it everywhere."""

    def __init__(self, logits: Tensor, unimix: float = 0.0) -> None:
        self.logits = logits.float()
        self.unimix = unimix

    @cached_tensor
    def probs(self) -> Tensor:
        return mixed_softmax(self.logits, self.unimix)

    @cached_tensor
    def log_probs(self) -> Tensor:
        # A mixed probability is never zero, so its logarithm is finite. Without a mixture, log_softmax is.
        return self.probs.log() if self.unimix else self.logits.log_softmax(-1)

    def detach(self) -> Self:
        """The same distribution without gradient."""
        detached = type(self)(self.logits.detach(), self.unimix)
        detached.probs, detached.log_probs = self.probs.detach(), self.log_probs.detach()
        return detached

    @property
    def mode(self) -> Tensor:
        return one_hot(self.logits.argmax(-1), self.logits.shape[-1])

    def sample(self, sampler: Sampler) -> Tensor:
        return sampler.categorical(self.probs.detach())

    def rsample(self, sampler: Sampler) -> Tensor:
        """A sample with the gradient of the probabilities (straight-through)."""
        return self.sample(sampler) + (self.probs - self.probs.detach())

    def diagnostics(self) -> dict[str, Tensor]:
        return {"min_prob": self.probs.min()}

    def log_prob(self, x: Tensor) -> Tensor:
        return (self.log_probs * x).sum(-1)

    def entropy(self) -> Tensor:
        """Nats."""
        return -(self.probs * self.log_probs).sum(-1)

    def kl(self, other: Categorical) -> Tensor:
        """KL(self || other), nats."""
        return (self.probs * (self.log_probs - other.log_probs)).sum(-1)


class IndependentOneHot(Categorical):
    """S independent categoricals (..., S, C): log-probability, entropy and KL are sums over S."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x).sum(-1)

    def entropy(self) -> Tensor:
        return super().entropy().sum(-1)

    def kl(self, other: Categorical) -> Tensor:
        return super().kl(other).sum(-1)

    def kl_per_latent(self, other: Categorical) -> Tensor:
        """KL of each categorical (..., S), nats."""
        return super().kl(other)


class FlatOneHot:
    """K independent categoricals of C classes. Their one-hots lie side by side: (..., K*C)."""

    def __init__(self, logits: Tensor, count: int, unimix: float = 0.0) -> None:
        self._categoricals = IndependentOneHot(logits.unflatten(-1, (count, -1)), unimix)

    @property
    def mode(self) -> Tensor:
        return self._categoricals.mode.flatten(-2)

    def sample(self, sampler: Sampler) -> Tensor:
        return self._categoricals.sample(sampler).flatten(-2)

    def rsample(self, sampler: Sampler) -> Tensor:
        """A sample with the gradient of the probabilities (straight-through)."""
        return self._categoricals.rsample(sampler).flatten(-2)

    def diagnostics(self) -> dict[str, Tensor]:
        return self._categoricals.diagnostics()

    def log_prob(self, x: Tensor) -> Tensor:
        return self._categoricals.log_prob(x.unflatten(-1, self._categoricals.logits.shape[-2:]))

    def entropy(self) -> Tensor:
        """Nats, summed over the K."""
        return self._categoricals.entropy()


class IndexCategorical(Categorical):
    """A categorical whose targets are class indices."""

    def nll(self, target: Tensor) -> Tensor:
        return -self.log_prob(one_hot(target, self.logits.shape[-1]))


class DiagonalNormal:
    """S independent normals (..., S, 1) with std = 2 sigmoid(s / 2) + min. `raw` is (..., 2S): means, then s."""

    def __init__(self, raw: Tensor, min_std: float) -> None:
        mean, raw_std = raw.float().unsqueeze(-1).chunk(2, -2)
        self.mean, self.std = mean, 2 * torch.sigmoid(raw_std / 2) + min_std

    def detach(self) -> DiagonalNormal:
        """The same distribution without gradient."""
        detached = object.__new__(DiagonalNormal)
        detached.mean, detached.std = self.mean.detach(), self.std.detach()
        return detached

    def rsample(self, sampler: Sampler) -> Tensor:
        """A sample with its gradient to mean and std."""
        return sampler.normal(self.mean, self.std)

    def diagnostics(self) -> dict[str, Tensor]:
        return {"min_std": self.std.min()}

    def entropy(self) -> Tensor:
        """Nats."""
        return (self.std.log() + 0.5 * log(2 * pi) + 0.5).sum((-1, -2))

    def kl_per_latent(self, other: DiagonalNormal) -> Tensor:
        """KL of each normal (..., S), nats."""
        ratio = (self.std**2 + (self.mean - other.mean) ** 2) / (2 * other.std**2)
        return (other.std.log() - self.std.log() + ratio - 0.5).squeeze(-1)

    def kl(self, other: DiagonalNormal) -> Tensor:
        """KL(self || other), nats."""
        return self.kl_per_latent(other).sum(-1)


class BoundedNormal:
    """Independent normals with mean tanh(m) and std between two bounds; samples are not clipped.

    std = (max - min) sigmoid(s + 2) + min. `raw` is (..., 2A): m, then s. Sums over A.
    """

    def __init__(self, raw: Tensor, min_std: float, max_std: float) -> None:
        raw_mean, raw_std = raw.float().chunk(2, -1)
        self.mean = raw_mean.tanh()
        self.std = (max_std - min_std) * torch.sigmoid(raw_std + 2) + min_std

    @property
    def mode(self) -> Tensor:
        return self.mean

    def sample(self, sampler: Sampler) -> Tensor:
        return sampler.normal(self.mean.detach(), self.std.detach())

    def rsample(self, sampler: Sampler) -> Tensor:
        """A sample with its gradient to mean and std."""
        return sampler.normal(self.mean, self.std)

    def diagnostics(self) -> dict[str, Tensor]:
        return {"min_std": self.std.min()}

    def log_prob(self, x: Tensor) -> Tensor:
        return (-((x - self.mean) ** 2) / (2 * self.std**2) - self.std.log() - 0.5 * log(2 * pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Nats."""
        return (self.std.log() + 0.5 * log(2 * pi) + 0.5).sum(-1)


class Bernoulli:
    """Continuation. `mean` is its probability; targets may lie between 0 and 1."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.float().squeeze(-1)

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def nll(self, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, target, reduction="none")


def symexp_bins(count: int) -> Tensor:
    """Bin centres from symexp(-20) to symexp(20), exactly antisymmetric. An even count has zero twice."""
    half = symexp(torch.linspace(-20, 0, (count + 1) // 2, dtype=torch.float32))
    return torch.cat([half, -half.flip(0)[count % 2 :]])


def two_hot(target: Tensor, bins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Targets (...) -> indices of the bins below and above each, and the upper one's share: (...) each.

    A bin's share falls linearly with its distance to the target. Out of range, the end bin has all. Hafner et al. 2025, eq. 10.
    """
    last = bins.numel() - 1
    count = torch.searchsorted(bins, target.contiguous(), right=True)  # bins <= target
    below, above = (count - 1).clamp(min=0), count.clamp(max=last)
    low, high = bins[below], bins[above]
    # Beyond the ends both bins are the same and any share will do. A share of a NaN target is NaN.
    return below, above, ((target - low) / (high - low).clamp(min=1e-20)).clamp(0, 1)


class _TwoHotNll(torch.autograd.Function):
    """Cross-entropy to a two-hot target. Its gradient is `probs - target`, from probabilities that are already computed.

    `index` and `weight` (..., 2) are the two bins and their shares.
    """

    @staticmethod
    def forward(
        ctx: AutogradContext, logits: Tensor, probs: Tensor, logsumexp: Tensor, index: Tensor, weight: Tensor
    ) -> Tensor:
        ctx.save_for_backward(probs, index, weight)
        return logsumexp - (logits.gather(-1, index) * weight).sum(-1)

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        probs, index, weight = ctx.saved_tensors
        grad = grad.unsqueeze(-1)
        return (probs * grad).scatter_add_(-1, index, -weight * grad), None, None, None, None


class TwoHot:
    """A scalar as a categorical over fixed bins: `mean` is the expected bin, `nll` the cross-entropy to a two-hot."""

    def __init__(self, logits: Tensor, bins: Tensor) -> None:
        self.logits = logits.float()
        self.bins = bins

    @cached_tensor
    def probs(self) -> Tensor:
        """Their gradient is that of `mean`; the loss has its own (see `_TwoHotNll`)."""
        return self.logits.softmax(-1)

    @cached_tensor
    def _logsumexp(self) -> Tensor:
        """Logarithm of the summed exponentials, from the softmax's largest probability, which is already computed."""
        return self.logits.detach().amax(-1) - self.probs.detach().amax(-1).log()

    @cached_tensor
    def mean(self) -> Tensor:
        """The expected bin (...), summed in mirrored pairs: equal probabilities give exactly zero."""
        half = self.bins.numel() // 2
        pairs = self.probs[..., -half:] - self.probs[..., :half].flip(-1)
        return (pairs * self.bins[-half:]).sum(-1)

    def nll(self, target: Tensor) -> Tensor:
        below, above, share = two_hot(target.float(), self.bins)
        index, weight = torch.stack([below, above], -1), torch.stack([1 - share, share], -1)
        return _TwoHotNll.apply(self.logits, self.probs.detach(), self._logsumexp, index, weight)

    def constant_loss(self, target: Tensor) -> Tensor:
        """Mean loss of the best prediction that is the same everywhere: the entropy of the targets' mean."""
        below, above, share = (x.flatten() for x in two_hot(target.float(), self.bins))
        counts = torch.zeros_like(self.bins).index_add(0, below, 1 - share).index_add(0, above, share)
        return torch.special.entr(counts / share.numel()).sum()


class TwoHotReadout(nn.Module):
    """(..., K) logits -> TwoHot; holds the bins."""

    bins: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("bins", symexp_bins(count), persistent=False)

    def forward(self, logits: Tensor) -> TwoHot:
        return TwoHot(logits, self.bins)


class SymlogTwoHot:
    """As `TwoHot`, but of the symlog of the scalar: `mean` is the symexp of the expected bin."""

    def __init__(self, logits: Tensor, bins: Tensor) -> None:
        self._symlog = TwoHot(logits, bins)

    @property
    def mean(self) -> Tensor:
        return symexp(self._symlog.mean)

    def nll(self, target: Tensor) -> Tensor:
        return self._symlog.nll(symlog(target.float()))

    def constant_loss(self, target: Tensor) -> Tensor:
        return self._symlog.constant_loss(symlog(target.float()))


class SymlogTwoHotReadout(nn.Module):
    """(..., K) logits -> SymlogTwoHot; holds the bins."""

    bins: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        half = torch.linspace(-20, 0, (count + 1) // 2)
        self.register_buffer("bins", torch.cat([half, -half.flip(0)[count % 2 :]]), persistent=False)

    def forward(self, logits: Tensor) -> SymlogTwoHot:
        return SymlogTwoHot(logits, self.bins)


class SquaredScalar:
    """A scalar from one output (..., 1), with squared error (no factor 1/2)."""

    def __init__(self, output: Tensor) -> None:
        self.mean = output.float().squeeze(-1)

    def nll(self, target: Tensor) -> Tensor:
        return (self.mean - target.float()) ** 2

    def constant_loss(self, target: Tensor) -> Tensor:
        """Mean loss of predicting the targets' mean everywhere."""
        return target.float().var(correction=0)


class HuberScalar(SquaredScalar):
    """A scalar from one output, with loss sqrt(error^2 + 1) - 1: linear far out."""

    def nll(self, target: Tensor) -> Tensor:
        return (super().nll(target) + 1).sqrt() - 1

    def constant_loss(self, target: Tensor) -> Tensor:
        return ((target - target.mean()).square() + 1).sqrt().mean() - 1


class SymlogScalar(SquaredScalar):
    """A scalar whose symlog is the output, with squared error in symlog space."""

    def __init__(self, output: Tensor) -> None:
        super().__init__(symexp(output.float()))
        self._output = output.float().squeeze(-1)

    def nll(self, target: Tensor) -> Tensor:
        return (self._output - symlog(target.float())) ** 2

    def constant_loss(self, target: Tensor) -> Tensor:
        return symlog(target.float()).var(correction=0)


class SquaredVector:
    """A vector with squared error in the space of its transform, summed over its last axis (no factor 1/2)."""

    def __init__(self, mean: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.mean = mean.float()
        self._transform = transform

    def nll(self, target: Tensor) -> Tensor:
        return ((self.mean - self._transform(target.float()).reshape(self.mean.shape)) ** 2).sum(-1)


class _PixelError(torch.autograd.Function):
    """Squared error of sigmoid(logits), summed over the last three axes. It keeps its gradient and nothing else."""

    @staticmethod
    def forward(ctx: AutogradContext, logits: Tensor, mean: Tensor, target: Tensor) -> Tensor:
        error = torch.sub(mean, target, out=target)
        total = torch.linalg.vector_norm(error, dim=(-3, -2, -1)).square_()
        ctx.save_for_backward(torch.ops.aten.sigmoid_backward.grad_input(error, mean, grad_input=error))
        return total

    @staticmethod
    def backward(ctx: AutogradContext, grad: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * (2 * grad)[..., None, None, None], None, None


class SquaredPixels:
    """An image in [0, 1] with squared error against bytes, summed over pixels and channels (no factor 1/2)."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits.float()

    @cached_tensor
    def mean(self) -> Tensor:
        """(..., H, W, C), without gradient: the loss has its own."""
        return self._logits.detach().sigmoid()

    def nll(self, target: Tensor) -> Tensor:
        # The target's copy as float32 is overwritten.
        return _PixelError.apply(self._logits, self.mean, target.float().div_(255))
