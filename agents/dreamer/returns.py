"""Returns: pure functions of tensors. N rows, K imagined states, B batch, T time."""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_return(reward: Tensor, discount_t: Tensor, value: Tensor, lam: float) -> Tensor:
    """R^lambda_k = r_{k+1} + d_{k+1} ((1 - lambda) v_{k+1} + lambda R^lambda_{k+1}), R^lambda_{K-1} = v_{K-1}.

    (K, N) each -> (K-1, N). `reward` r_k is received on arrival at state k, `discount_t` d_k = gamma c_k is the discount
    of reaching it, `value` is v_k. Hafner et al. 2025, eq. 5.
    """
    one_step = reward + discount_t * (1 - lam) * value
    returns = [value[-1]]
    for k in reversed(range(1, len(value))):
        returns.append(one_step[k] + lam * discount_t[k] * returns[-1])
    return torch.stack(returns[:0:-1])


def replay_return(reward: Tensor, is_last: Tensor, is_terminal: Tensor, bootstrap: Tensor, gamma: float, lam: float) -> Tensor:
    """Returns along a replayed sequence, (B, T) each -> (B, T-1): as `lambda_return`, with real rewards and ends.

    `bootstrap` stands for the value of each step. At the last step of an episode the recursion stops; at a terminal one
    there is no future.
    """
    discount_t = (~is_terminal).float() * gamma
    lam_t = (~is_last).float() * lam
    one_step = reward + discount_t * (1 - lam_t) * bootstrap
    returns = [bootstrap[:, -1]]
    for t in reversed(range(1, reward.shape[1])):
        returns.append(one_step[:, t] + discount_t[:, t] * lam_t[:, t] * returns[-1])
    return torch.stack(returns[:0:-1], 1)
