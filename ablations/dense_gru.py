"""Dense GRU: the recurrent weights are one block; the number of weights grows. Source: Hafner et al., Nature 2025, Methods."""

CHANGES = {"agent.core.blocks": 1}
