"""The sequence model h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): a GRU with block-diagonal weights, or a dense one with layer norm.

`deter` is h, `stoch` is z, flat. N rows, D width of h, G blocks, A action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from agents.nn.functional import cast
from agents.nn.layers import Act, BlockLinear, Dense, LayerNorm, Linear, Norm, split_blocks

StepFn = Callable[[Tensor, Tensor, Tensor], Tensor]  # h_{t-1} (N, D), flat z_{t-1}, action input -> h_t (N, D)


class SequenceModel(Protocol):
    """f, split in two: what the actions add is computed for many steps at once, the rest step by step."""

    def action_input(self, action: Tensor) -> Tensor:
        """What a_{t-1} (..., A) adds to the hidden layer, for `step_fn`. It does not depend on the state."""
        ...

    def step_fn(self) -> StepFn:
        """One step, for use in one scan. What all its steps share is computed here, once."""
        ...


def clip_actions(action: Tensor) -> Tensor:
    """a / max(1, |a|), the divisor without gradient: samples of the policy are not clipped before."""
    return action / action.abs().clamp(min=1).detach()


class BlockGRU(nn.Module):
    """f with block-diagonal recurrent weights. Hafner et al. 2025, Methods.

    Each of G blocks of h sees itself and a dense embedding of h, z and a. Inside each block follow a hidden layer v and
    the reset, candidate and update gates r, c, u:
    c' = tanh(sigmoid(r) c), u' = sigmoid(u - 1), h_t = u' c' + (1 - u') h_{t-1}.
    """

    shift: Tensor  # of the gates' bias (3D/G,)

    def __init__(self, *, deter: int, stoch: int, actions: int, hidden: int, blocks: int, norm: Norm, act: Act) -> None:
        super().__init__()
        self.blocks, self.hidden_size = blocks, hidden
        self.from_deter = Dense(deter, hidden, norm=norm, act=act)
        self.from_stoch = Dense(stoch, hidden, norm=norm, act=act)
        self.from_action = Dense(actions, hidden, norm=norm, act=act)
        self.hidden = BlockLinear(deter + 3 * hidden * blocks, deter, blocks)
        self.hidden_norm = norm(deter)
        self.gates = BlockLinear(deter, 3 * deter, blocks)
        self._act = act
        # The update gate starts nearly closed, at sigmoid(-1). Gates come in the order reset, candidate, update.
        shift = torch.tensor([0.0, 0.0, -1.0]).repeat_interleave(deter // blocks)
        self.register_buffer("shift", shift, persistent=False)

    def _split_hidden_weight(self) -> tuple[Tensor, ...]:
        """Rows of the hidden layer's weight that see the block itself, the embedding of h and z, that of a."""
        rows = self.hidden.weight.shape[0]
        return self.hidden.weight.split([rows - 3 * self.hidden_size, 2 * self.hidden_size, self.hidden_size])

    def action_input(self, action: Tensor) -> Tensor:
        """(..., A) -> (..., D)."""
        _, _, action_weight = self._split_hidden_weight()
        return torch.matmul(self.from_action(clip_actions(action)), action_weight) + self.hidden.bias

    def step_fn(self) -> StepFn:
        """The weights are split here: inside the scan every slice would cost a gradient as large as the weight."""
        block_weight, dense_weight, _ = self._split_hidden_weight()
        block_weight, gate_weight = (cast(split_blocks(x, self.blocks)) for x in (block_weight, self.gates.weight))
        dense_weight = cast(dense_weight)
        if not torch.is_inference_mode_enabled():  # acting takes one step
            # In bfloat16 the library copies a transposed view in every step of the backward pass.
            block_weight, gate_weight = block_weight.contiguous(), gate_weight.contiguous()
        gate_bias = split_blocks(self.gates.bias.unsqueeze(0), self.blocks) + self.shift  # (G, 1, 3D/G)

        def to_blocks(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.blocks, -1)).transpose(0, 1)  # (N, D) -> (G, N, D/G)

        def step(deter: Tensor, stoch: Tensor, action_input: Tensor) -> Tensor:
            # Hidden layer: every block sees itself and the same dense embedding.
            deter_blocks = to_blocks(deter)
            dense = torch.cat([self.from_deter(deter), self.from_stoch(stoch)], -1)
            dense_input = to_blocks(torch.addmm(action_input, cast(dense), dense_weight))
            hidden = torch.baddbmm(dense_input, cast(deter_blocks), block_weight).transpose(0, 1).flatten(-2)
            hidden = self._act(self.hidden_norm(hidden))

            # Gates. tanh(x) = 2 sigmoid(2x) - 1 takes a sixth of the time of tanh on a CPU.
            reset, candidate, update = torch.baddbmm(gate_bias, cast(to_blocks(hidden)), gate_weight).float().chunk(3, -1)
            candidate = torch.sigmoid((torch.sigmoid(reset) * candidate).mul_(2)).mul(2).sub_(1)
            return torch.lerp(deter_blocks, candidate, torch.sigmoid(update)).transpose(0, 1).flatten(-2)

        return step


class LayerNormGRU(nn.Module):
    """f as one dense GRU with layer norm before its gates, on a hidden layer that reads z and a.

    Source: Hafner et al. 2023 (official code, 8fa35f8). Gates as in `BlockGRU`.
    """

    def __init__(self, *, deter: int, stoch: int, actions: int, hidden: int, eps: float, norm: Norm, act: Act) -> None:
        super().__init__()
        self._stoch = stoch
        self.inputs = Dense(stoch + actions, hidden, norm=norm, act=act)
        self.gates = Linear(deter + hidden, 3 * deter)
        self.gates_norm = LayerNorm(3 * deter, eps)

    def action_input(self, action: Tensor) -> Tensor:
        """(..., A) -> (..., hidden)."""
        weight = self.inputs.linear.weight[:, self._stoch :]
        return nn.functional.linear(clip_actions(action), weight, self.inputs.linear.bias)

    def step_fn(self) -> StepFn:
        stoch_weight = cast(self.inputs.linear.weight[:, : self._stoch]).t()

        def step(deter: Tensor, stoch: Tensor, action_input: Tensor) -> Tensor:
            hidden = self.inputs.finish(torch.addmm(action_input, cast(stoch), stoch_weight))
            gates = self.gates_norm(self.gates(torch.cat([deter, hidden], -1)))
            reset, candidate, update = gates.chunk(3, -1)
            return torch.lerp(deter, (reset.sigmoid() * candidate).tanh(), (update - 1).sigmoid())

        return step
