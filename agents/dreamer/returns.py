"""Returns: pure functions of tensors. N rows, K imagined states, B batch, T time."""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_return(reward: Tensor, live: Tensor, value: Tensor, lam: float) -> Tensor:
    """R_k = r_{k+1} + c_{k+1} ((1 - lam) v_{k+1} + lam R_{k+1}), R_{K-1} = v_{K-1}: (K, N) each -> (K-1, N).

    `live` is the discount of reaching a state, `reward` what is received on arrival there. Hafner et al. 2025, eq. 5.
    """
    inputs = reward + live * (1 - lam) * value
    returns = [value[-1]]
    for k in reversed(range(1, len(value))):
        returns.append(inputs[k] + lam * live[k] * returns[-1])
    return torch.stack(returns[:0:-1])


def replay_return(reward: Tensor, last: Tensor, terminal: Tensor, boot: Tensor, discount: float, lam: float) -> Tensor:
    """Returns along a replayed sequence, (B, T) each -> (B, T-1): as `lambda_return`, with real rewards and ends.

    `boot` stands for the value of each step; at the last step of an episode the recursion stops, at a terminal one
    there is no future.
    """
    live = (~terminal).float() * discount
    mix = (~last).float() * lam
    inputs = reward + live * (1 - mix) * boot
    returns = [boot[:, -1]]
    for t in reversed(range(1, reward.shape[1])):
        returns.append(inputs[:, t] + live[:, t] * mix[:, t] * returns[-1])
    return torch.stack(returns[:0:-1], 1)
