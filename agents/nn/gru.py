"""The recurrent core: a GRU with block-diagonal recurrent weights, or a dense one with layer norm.

N rows, D deter, G blocks, A action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agents.nn.functional import cast
from agents.nn.layers import Act, BlockLinear, Dense, LayerNorm, Linear, Norm, split_blocks

Step = Callable[[Tensor, Tensor, Tensor], Tensor]


class BlockGRU(nn.Module):
    """deter, stoch, action -> next deter.

    Each of G blocks of the state sees itself and a dense embedding of the whole state, the sample and the action; reset,
    candidate and update gates follow inside each block. Hafner et al. 2025, Methods.
    """

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

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the hidden layer's weight that see the block itself, the dense state, the dense action."""
        rows = self.hidden.weight.shape[0]
        return self.hidden.weight.split([rows - 3 * self.hidden_size, 2 * self.hidden_size, self.hidden_size])

    def drive(self, action: Tensor) -> Tensor:
        """What the actions (..., A) add to the hidden layer (..., D): it does not depend on the state."""
        scaled = action / action.abs().clamp(min=1).detach()  # samples of the policy are not clipped
        return torch.matmul(self.from_action(scaled), self._split()[2]) + self.hidden.bias

    def ready(self) -> Step:
        """One step, as a function of deter (N, D), flat stoch and drive (N, D).

        The weights are split here, once per scan: inside the scan every slice would cost a gradient as large as the weight.
        """
        own, dense, _ = self._split()
        own, gates = (cast(split_blocks(x, self.blocks)) for x in (own, self.gates.weight))
        dense = cast(dense)
        if not torch.is_inference_mode_enabled():  # acting takes one step
            # Whole: of a transposed view in bfloat16 the library would make a copy in every step of the backward pass.
            own, gates = own.contiguous(), gates.contiguous()
        bias = split_blocks(self.gates.bias.unsqueeze(0), self.blocks) + self.shift  # (G, 1, 3D/G)

        def blocks(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.blocks, -1)).transpose(0, 1)  # (N, D) -> (G, N, D/G)

        def step(deter: Tensor, stoch: Tensor, drive: Tensor) -> Tensor:
            past = blocks(deter)
            embed = torch.cat([self.from_deter(deter), self.from_stoch(stoch)], -1)
            shared = blocks(torch.addmm(drive, cast(embed), dense))
            inner = torch.baddbmm(shared, cast(past), own).transpose(0, 1).flatten(-2)
            hidden = self._act(self.hidden_norm(inner))
            reset, cand, update = torch.baddbmm(bias, cast(blocks(hidden)), gates).float().chunk(3, -1)
            # tanh(x) = 2 sigmoid(2x) - 1, a sixth of the time on a CPU
            cand = torch.sigmoid((torch.sigmoid(reset) * cand).mul_(2)).mul(2).sub_(1)
            return torch.lerp(past, cand, torch.sigmoid(update)).transpose(0, 1).flatten(-2)

        return step


class LayerNormGRU(nn.Module):
    """deter, stoch, action -> next deter: one dense GRU, layer norm before its gates.

    It reads a hidden layer on sample and action. Hafner et al. 2023 (official code, 8fa35f8); gates as in `BlockGRU`.
    """

    def __init__(self, *, deter: int, stoch: int, actions: int, hidden: int, eps: float, norm: Norm, act: Act) -> None:
        super().__init__()
        self._stoch = stoch
        self.inputs = Dense(stoch + actions, hidden, norm=norm, act=act)
        self.gates = Linear(deter + hidden, 3 * deter)
        self.gates_norm = LayerNorm(3 * deter, eps)

    def drive(self, action: Tensor) -> Tensor:
        """What the actions (..., A) add to the hidden layer (..., hidden): it does not depend on the state."""
        scaled = action / action.abs().clamp(min=1).detach()  # samples of the policy are not clipped
        return nn.functional.linear(scaled, self.inputs.linear.weight[:, self._stoch :], self.inputs.linear.bias)

    def ready(self) -> Step:
        """One step, as a function of deter (N, D), flat stoch and drive (N, hidden)."""
        weight = cast(self.inputs.linear.weight[:, : self._stoch]).t()

        def step(deter: Tensor, stoch: Tensor, drive: Tensor) -> Tensor:
            hidden = self.inputs.finish(torch.addmm(drive, cast(stoch), weight))
            gates = self.gates_norm(self.gates(torch.cat([deter, hidden], -1)))
            reset, cand, update = gates.chunk(3, -1)
            return torch.lerp(deter, (reset.sigmoid() * cand).tanh(), (update - 1).sigmoid())

        return step
